"""The views that ship with hilum, and views in files."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import resources
from pathlib import Path

from hilum.errors import NotFound
from hilum.fhirpath import decode
from hilum.views.definition import View, read_view

__all__ = ["load_view", "starter_views"]


def starter_views() -> dict[str, View]:
    """Name to view, in the order of their names."""
    folder = resources.files(__package__).joinpath("starter")
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".json")), key=lambda one: one.name)
    return {one.name.removesuffix(".json"): read_view(decode(one.read_bytes())) for one in files}


def load_view(name: str) -> View:
    """A view by the name of one that ships, or by the path of a file.

    Raises NotFound `view-unknown`, FormatError `fhir-json-invalid`, ConfigError `view-invalid`.
    """
    if name.endswith(".json") or "/" in name or Path(name).is_file():
        return read_view(decode(Path(name).read_bytes()))
    views = starter_views()
    if name not in views:
        near = get_close_matches(name, views, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else "; `hilum view list` shows them, or name a JSON file"
        raise NotFound(f"no view ships with that name{hint}", code="view-unknown", location=name)
    return views[name]

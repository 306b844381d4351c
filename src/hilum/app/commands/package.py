"""`hilum package`: FHIR packages (implementation guides) of an integration folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from hilum.app.arguments import Folder, Json
from hilum.definitions import Shelf, r4
from hilum.errors import NotFound

__all__ = ["add", "app", "list_", "remove"]

app = App(name="package", help="Add, list and remove FHIR packages: profiles, value sets, search parameters.")


@app.command
def add(
    file: Annotated[Path, Parameter(help="The package: a .tgz as FHIR registries serve it.")],
    folder: Folder = Path(),
    *,
    json: Json = False,
) -> int:
    """Load a package into a folder. Another version of the same package gives way to it.

    What is needed of it is kept in `packages/` of the folder, and belongs into git with the rest. Nothing is fetched:
    get the file yourself, and those that it builds on where it needs them.
    """
    shelf = Shelf(_folder(folder))
    added = shelf.add(file, r4())
    if json:
        print(msgspec.json.encode(added).decode())
        return 0
    print(
        f"added {added.package.label}: {added.profiles} profiles and extensions, {added.search_parameters} search "
        f"parameters, {added.value_sets} value sets, {added.code_systems} code systems ({added.size:,} bytes kept)"
    )
    if added.replaced:
        print(f"it took the place of {added.replaced}")
    if added.without_snapshot:
        print(f"{added.without_snapshot} profiles were left out: the package gives only their differences")
    if added.missing:
        print(f"it builds on packages that are not loaded: {', '.join(added.missing)}")
    return 0


@app.command(name="list")
def list_(folder: Folder = Path(), *, json: Json = False) -> int:
    """List the packages of a folder, R4 first, in the order in which they are asked: later ones win."""
    packages = Shelf(_folder(folder)).all()
    if json:
        print(msgspec.json.encode({"r4": r4().version, "packages": packages}).decode())
        return 0
    print(f"hl7.fhir.r4#{r4().version}  (ships with hilum)")
    for one in packages:
        print(f"{one.label}  {one.canonical}  sha256 {one.sha256[:12]}")
    return 0


@app.command
def remove(
    name: Annotated[str, Parameter(help="Its name, or name#version.")], folder: Folder = Path(), *, json: Json = False
) -> int:
    """Take a package out of a folder."""
    gone = Shelf(_folder(folder)).remove(name)
    print(msgspec.json.encode(gone).decode() if json else f"removed {gone.label}")
    return 0


def _folder(folder: Path) -> Path:
    """Raises NotFound for a folder that is none: packages are kept with an integration."""
    if not (folder / "integration.yaml").is_file():
        raise NotFound(
            "there is no integration.yaml here: name the integration folder, or make one with `hilum init`",
            code="folder-missing",
            location=folder.name,
        )
    return folder

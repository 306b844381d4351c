"""Files that hold resources: one that is named, or those of a folder that may hold a type."""

from __future__ import annotations

from pathlib import Path

from hilum.errors import NotFound
from hilum.fhirpath import r4_model

__all__ = ["ENDINGS", "resource_files"]

ENDINGS = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz", ".parquet")


def resource_files(source: Path, resource: str) -> list[Path]:
    """The files to read for a type.

    In a folder, a file whose name begins with another type (`Patient.ndjson`, `Patient-2.ndjson`) is passed over.
    Raises NotFound `view-no-input`.
    """
    if source.is_file():
        if not source.name.endswith(ENDINGS):
            known = ", ".join(ENDINGS)
            raise NotFound(f"this is none of what a view reads: {known}", code="view-no-input", location=source.name)
        return [source]
    if not source.is_dir():
        raise NotFound("there is no such file or folder", code="view-no-input", location=source.name)
    files = sorted(one for one in source.iterdir() if one.name.endswith(ENDINGS) and one.is_file())
    found = [one for one in files if _said_type(one.name) in ("", resource)]
    if not found:
        message = f"this folder has no NDJSON or Parquet files that could hold {resource}"
        raise NotFound(message, code="view-no-input", location=source.name)
    return found


def _said_type(name: str) -> str:
    """The resource type that a file name begins with; "" for none."""
    length = next((index for index, sign in enumerate(name) if not sign.isalpha()), len(name))
    return name[:length] if r4_model().is_resource(name[:length]) else ""

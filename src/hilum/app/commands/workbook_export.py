"""`hilum workbook export`: the tables as a spreadsheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hilum.app.arguments import Json, MaybeFolder
from hilum.app.printing import print_json
from hilum.app.reviewing import review_folder
from hilum.errors import HilumError
from hilum.workbook import export_xlsx, mark_of, pin_of, write_files

__all__ = ["command"]


def command(
    folder: MaybeFolder = None,
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="The file to write; else named after the folder.")
    ] = None,
    force: Annotated[bool, Parameter(help="Replace the file if it is there.", negative="")] = False,
    json: Json = False,
) -> int:
    """Write the mapping tables as one XLSX workbook, for people to read, filter, discuss and change.

    Its first sheet explains how to read it; a sheet of owners says what waits for whom. `hilum workbook import` brings
    changes back. The same tables give the same file, byte for byte. It holds no patient data beyond your samples.
    """
    opened = review_folder(folder)
    target = output or Path(f"{folder.resolve().name if folder else 'hilum-base'}-workbook.xlsx")
    if target.exists() and not force:
        raise HilumError(
            f"{target} is there already, and may hold changes: --force replaces it, -o names another",
            code="file-exists",
        )
    pin = pin_of(opened.review)
    base = f"{pin.extends} {pin.version} ({pin.hash[:12]})"
    title = f"{opened.use or folder.resolve().name}, on top of {base}" if folder else base
    mark = mark_of(opened.review, opened.use)
    content = export_xlsx(opened.review, opened.approvals, title=title, mark=mark)
    write_files(target.parent, {target.name: content})
    lines = len(opened.review.merged)
    if json:
        print_json({"file": str(target), "lines": lines, "bytes": len(content)})
    else:
        print(f"wrote {target}: {lines} lines; the first sheet says how to read it")
    return 0

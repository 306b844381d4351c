"""`hilum workbook import`: what was changed in a spreadsheet, line by line, and then in the folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hilum.app.arguments import Folder, Json, Yes
from hilum.app.importing import take
from hilum.app.reviewing import review_folder
from hilum.workbook import plan_import, read_xlsx_file, refuse_other_base

__all__ = ["command"]


def command(
    file: Annotated[Path, Parameter(help="A workbook that `hilum workbook export` wrote.")],
    folder: Folder,
    *,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Show what was changed in a workbook, and write it into the tables of a folder once you agree.

    Only your own tables are written: lines of the base that you changed are kept as your version of them. What a
    spreadsheet made of a text (a number, a date, a formula) is found, with sheet and cell. Lines that were approved and
    changed are drafts again. Nothing is written without --yes or your answer, nor while there are errors. The exit
    status is 1 when there are.
    """
    opened = review_folder(folder)
    refuse_other_base(opened.review, opened.pin)
    plan = plan_import(opened.review, opened.approvals, read_xlsx_file(file))
    diff = f"what it would do to messages: hilum workbook diff FILE... {folder} --candidate {file}"
    return take(opened, plan, folder, yes=yes, as_json=json, before_writing=diff)

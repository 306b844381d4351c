"""`hilum workbook import-v2-tables`: HL7's own mapping tables as draft rows, with a report of what is left out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hilum.app.arguments import Json
from hilum.app.drafts import write_drafts
from hilum.app.printing import print_json, print_table
from hilum.workbook import V2Tables, read_v2_tables

__all__ = ["command"]

FINDINGS, USAGE = 1, 2
FILES = ("rows-v2.csv", "maps-v2.csv")


def command(
    tables: Annotated[Path, Parameter(help="The folder with the official CSV files, for example mappings.")],
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="The folder to write the draft tables into.")],
    force: Annotated[bool, Parameter(help="Replace drafts that are there.", negative="")] = False,
    json: Json = False,
) -> int:
    """Turn a copy of HL7's "V2 to FHIR" tables into draft rows and code maps, and say what could not be translated.

    The drafts are a beginning: the tables leave keys, systems of identifiers, zones and statuses open, and rows without
    a key row make nothing. Take from them what you need into your own tables. The same files give the same drafts.

    The exit status is 1 when no row came of it.
    """
    if not tables.is_dir():
        print(f"hilum: {tables} is no folder", file=sys.stderr)
        return USAGE
    unread: list[tuple[str, str]] = []
    result = read_v2_tables(_files(tables, unread))
    if result.row_count:
        drafts = {name: text.encode() for name, text in zip(FILES, (result.rows, result.maps), strict=True)}
        write_drafts(output, drafts, force=force)
    _tell(result, unread, output, as_json=json)
    return 0 if result.row_count else FINDINGS


def _files(tables: Path, unread: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for path in sorted(tables.rglob("*.csv")):
        try:
            yield path.name, path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            unread.append((path.name, error.strerror or "it cannot be opened"))
        except UnicodeDecodeError as error:
            unread.append((path.name, f"byte {error.start + 1} is not UTF-8; save the file as UTF-8"))


def _tell(result: V2Tables, unread: list[tuple[str, str]], output: Path, *, as_json: bool) -> None:
    counts = result.counts()
    total = sum(counts.values())
    unreadable = [*unread, *((one.place, one.detail) for one in result.unreadable)]
    if as_json:
        reasons = {fate: result.reasons(fate) for fate in ("repaired", "left-out")}
        facts = {"lines": total, **counts, "rows": result.row_count, "map_entries": result.map_count}
        files = [{"file": name, "reason": why} for name, why in unreadable]
        print_json({**facts, "unreadable": files, "reasons": reasons, "lint": result.lint})
        return
    if not total:
        print("no official table of a segment was found here")
    else:
        usable = 100 * (counts["clean"] + counts["repaired"]) / total
        print(f"{total} official lines name a FHIR attribute; {usable:.0f} % are clean or were repaired:")
        print(f"  {counts['clean']} clean, {counts['repaired']} repaired, {counts['left-out']} left out")
        rows = [
            (fate, reason, count) for fate in ("repaired", "left-out") for reason, count in result.reasons(fate).items()
        ]
        print_table(("fate", "reason", "count"), rows, empty="")
    for name, why in unreadable:
        print(f"cannot be read: {name}: {why}")
    if result.row_count:
        print(f"wrote {result.row_count} draft rows and {result.map_count} map entries into {output}")

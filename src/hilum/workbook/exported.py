"""What an export remembers of each line, on its hidden sheet: a print of every cell.

So an import tells what was changed in the spreadsheet from what changed in the folder or in the shipped base meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b

from msgspec import Struct

from hilum.mapping import columns_of
from hilum.workbook.changes import CellChange
from hilum.workbook.pinning import base_hash
from hilum.workbook.sheets import Entry, Review, parse_name

__all__ = ["FORMAT", "Exported", "Merged", "Prints", "exported_of", "mark_of", "merge", "prints_of"]

FORMAT = "2"
_LINE = "line "
_BYTES = 4  # of a cell: a change that keeps its print is one in four thousand million

Prints = tuple[str, ...]  # of the cells of a line, in the order of its columns; "" for an empty one


class Merged(Struct, frozen=True):
    """A line that both changed: its cells together. `conflicts`: before as the folder has it, after as the sheet."""

    cells: dict[str, str]
    conflicts: tuple[CellChange, ...]


class Exported(Struct, frozen=True):
    """The lines of an export by name. `base`: hash of the shipped tables it was made of."""

    format: str
    base: str
    lines: dict[str, Prints]

    def newer(self, review: Review) -> Iterator[tuple[str, str]]:
        """(name, what became of it) of each line that ships otherwise now: the columns that differ, or a word."""
        for key, entry in review.base.entries.items():
            said, now = self.lines.get(entry.name), prints_of(entry.cells)
            if key not in review.site.entries and said != now:
                yield entry.name, "new" if said is None else ", ".join(_columns(entry.table, said, now))
        yield from ((name, "not there any more") for name in self.lines if parse_name(name) not in review.merged)


def mark_of(review: Review, use: str) -> dict[str, str]:
    """What an export keeps on its hidden sheet: of which base and of which lines it was made."""
    lines = {f"{_LINE}{one.name}": ".".join(prints_of(one.cells)) for one in review.merged.values()}
    return {"format": FORMAT, "use": use, "base": base_hash(review.base.entries.values()), **lines}


def exported_of(mark: Mapping[str, str]) -> Exported:
    """The mark as the spreadsheet brought it back."""
    named = ((name[len(_LINE) :], tuple(text.split("."))) for name, text in mark.items() if name.startswith(_LINE))
    lines = {name: prints for name, prints in named if len(prints) == len(columns_of(parse_name(name)[0]))}
    return Exported(mark.get("format", ""), mark.get("base", ""), lines)


def prints_of(cells: Mapping[str, str]) -> Prints:
    """A short hash of each cell."""
    return tuple(blake2b(text.encode(), digest_size=_BYTES).hexdigest() if text else "" for text in cells.values())


def merge(there: Entry, said: Prints, cells: Mapping[str, str]) -> Merged:
    """The sheet's changes over the folder's, cell by cell. A cell that both changed otherwise is a conflict."""
    merged, conflicts = dict(there.cells), []
    prints = zip(merged, said, prints_of(there.cells), prints_of(cells), strict=True)
    for name, then, now, mine in prints:
        if mine in (then, now):
            continue
        if now == then:
            merged[name] = cells[name]
        else:
            conflicts.append(CellChange(name, there.cells[name], cells[name]))
    return Merged(merged, tuple(conflicts))


def _columns(table: str, then: Prints, now: Prints) -> Iterator[str]:
    return (name for name, one, other in zip(columns_of(table), then, now, strict=True) if one != other)

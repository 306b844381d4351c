"""The tables of a workbook for review: every line of base and site, retired ones too, with the file it stands in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from hilum.mapping import (
    Workbook,
    base_files,
    columns_of,
    key_columns,
    read_workbook,
    release_of,
    required_columns,
    table_of,
    table_text,
)
from hilum.workbook.documents import Document, parse_document

__all__ = [
    "SIGNED_TABLES",
    "TABLES",
    "Entry",
    "Layer",
    "Review",
    "content_hash",
    "entry_name",
    "open_review",
    "parse_name",
    "read_layer",
    "review_of",
]

TABLES = tuple(field.name for field in structs.fields(Workbook) if table_of(f"{field.name}.csv"))
SIGNED_TABLES = tuple(table for table in TABLES if "owner" in columns_of(table))
RETIRED = "retired"
FOLDER = "workbook"  # where an integration folder keeps its tables
_NOT_MEANT = frozenset({"approver", "status", "origin", "note"})  # words about a line that change nothing it does

Key = tuple[str, ...]  # (table, cell, cell...)


class Entry(Struct, frozen=True):
    """One line of a table. `cells` has every column of it, `columns` are those of its file; `layer` is base or site."""

    table: str
    cells: dict[str, str]
    file: str = ""
    line: int = 0
    layer: str = "base"
    columns: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """What tells it from every other line of the workbook."""
        return (self.table, *(self.cells[name] for name in key_columns(self.table)))

    @property
    def name(self) -> str:
        """The key as one text: `rows:pat-phone`, `maps:AdministrativeSex::F`."""
        return entry_name(self.key)

    @property
    def owner(self) -> str:
        """Who answers for it; "" in a table without owners."""
        return self.cells.get("owner", "")

    @property
    def is_retired(self) -> bool:
        """Whether it is switched off."""
        return self.cells.get("status") == RETIRED

    def location(self, column: str = "") -> str:
        """`rows.csv:12:7`, the first cell for a column that the file lacks; the base is `base/rows-patient.csv`."""
        place = f"base/{self.file}" if self.layer == "base" else self.file
        return f"{place}:{self.line}:{self.columns.index(column) + 1 if column in self.columns else 1}"


class Layer(Struct, frozen=True):
    """The files of the base or of a site, and their lines by key; of two with one key the later one."""

    documents: dict[str, Document]
    entries: dict[Key, Entry]


class Review(Struct, frozen=True):
    """Base and site, and how they lie over each other.

    `book` is what runs. `decided` are the params of integration.yaml, which win over the tables.
    """

    base: Layer
    site: Layer
    book: Workbook
    decided: dict[str, str] = {}
    folder: Path | None = None

    @property
    def merged(self) -> dict[Key, Entry]:
        """Every line, in the order in which it runs, retired lines too."""
        found = dict(self.base.entries)
        for key, entry in self.site.entries.items():
            below = found.get(key)
            if below is not None and entry.table == "params" and not entry.cells["inspection"]:
                cells = {**entry.cells, "inspection": below.cells["inspection"]}
                entry = structs.replace(entry, cells=cells)
            found[key] = entry
        return found

    def layer_of(self, key: Key) -> str:
        """`base`, `site`, or `site over base`."""
        if key not in self.site.entries:
            return "base"
        return "site over base" if key in self.base.entries else "site"


def entry_name(key: Key) -> str:
    """`table:cell:cell` with `:` and `\\` inside a cell marked by a `\\`."""
    table, *cells = key
    return ":".join((table, *(cell.replace("\\", "\\\\").replace(":", "\\:") for cell in cells)))


def parse_name(name: str) -> Key:
    """The key that `entry_name` wrote; a name without a table is that of a row."""
    parts = [""]
    letters = iter(name)
    for letter in letters:
        if letter == "\\":
            parts[-1] += next(letters, "")
        elif letter == ":":
            parts.append("")
        else:
            parts[-1] += letter
    return tuple(parts) if parts[0] in TABLES and len(parts) > 1 else ("rows", name)


def content_hash(entry: Entry, decided: Mapping[str, str] | None = None) -> str:
    """SHA-256 over what the line does: all cells but approver, status, origin and note, and whether it is retired.

    A param that integration.yaml decides is hashed with that value; a row whose transform another package brings with
    the release of that package, so that another release asks for another signature.
    """
    cells = {name: text for name, text in entry.cells.items() if text and name not in _NOT_MEANT}
    if entry.table == "params" and decided and entry.cells["param"] in decided:
        cells["value"] = decided[entry.cells["param"]]
    said = [entry.table, sorted(cells.items()), entry.is_retired]
    transform = cells.get("transform", "").partition("(")[0].strip()
    if transform and (release := release_of(transform)):
        said.append(release)
    return sha256(msgspec.json.encode(said)).hexdigest()


def read_layer(files: Iterable[tuple[str, str]], layer: str) -> Layer:
    """The tables among (file name, text). Lines that have no key are left out; `read_workbook` says what they lack.

    Raises ConfigError `table-unreadable`.
    """
    documents: dict[str, Document] = {}
    entries: dict[Key, Entry] = {}
    for file, text in files:
        table = table_of(file)
        if not table:
            continue
        document = documents[file] = parse_document(file, text)
        columns = columns_of(table)
        needed = [name for name in key_columns(table) if name in required_columns(table)]
        for record in document.lines:
            given = document.cells_of(record)
            cells = {name: given.get(name, "") for name in columns}
            entry = Entry(table, cells, file, record.line, layer, document.columns)
            if all(entry.cells[name] for name in needed):
                entries[entry.key] = entry
    return Layer(documents, entries)


def review_of(
    base: Iterable[tuple[str, str]],
    site: Iterable[tuple[str, str]] = (),
    *,
    decided: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Review:
    """Base and site from (file name, text). Raises ConfigError `table-unreadable`."""
    lower, upper = list(base), list(site)
    book = read_workbook(lower, upper, inspection=folder is None)
    return Review(read_layer(lower, "base"), read_layer(upper, "site"), book, dict(decided or {}), folder)


def open_review(folder: Path | None, decided: Mapping[str, str] | None = None) -> Review:
    """The workbook of an integration folder, or (None) the base alone. Raises ConfigError for what cannot be read."""
    if folder is None:
        return review_of(base_files())
    return review_of(base_files(), list(_site_files(folder / FOLDER)), decided=decided, folder=folder)


def _site_files(tables: Path) -> Iterable[tuple[str, str]]:
    for path in sorted(tables.glob("*.csv")):
        if not table_of(path.name):
            continue
        yield path.name, table_text(path.read_bytes(), path.name)

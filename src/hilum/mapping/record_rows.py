"""Rows about records: their columns get numbers, their paths of FHIR are compiled, their cells hold one value each.

Each function notes what is wrong with a row. `parsed` has its cells by name, and is changed.
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import structs

from hilum.mapping.columns import is_resource_kind, numbered, record_of_kind
from hilum.mapping.places import Anchor
from hilum.mapping.syntax import Call, Literal, Path, SyntaxProblem, Word, walk
from hilum.mapping.tables import Row

__all__ = ["LINE", "WORDS", "read_cell", "read_columns", "read_elements"]

WORDS = frozenset({"kind", "event", "sender", "source"})
LINE = ((Literal("line"),), Call("key"))  # source and transform of the row that makes a line of a table
_CELL_TRANSFORMS = (
    *("text", "code", "date", "datetime", "instant", "time", "boolean", "integer", "decimal", "minutes", "uri"),
    *("copy", "const"),
)
Parsed = dict[str, Any]


class Note(Protocol):
    """Notes a finding about a cell of a row."""

    def __call__(self, row: Row, column: str, code: str, message: str, /) -> None: ...


def read_columns(row: Row, parsed: Parsed, known: dict[str, dict[str, int]], note: Note) -> None:
    """Number the columns of a row about records, and see that no other row names any. `known`: numbers by record."""
    applies: tuple[str, ...] = parsed["applies"]
    anchor: Anchor = parsed["anchor"][0]
    records = {record_of_kind(kind) for kind in applies}
    if anchor.segment.isupper() and len(anchor.segment) == 3 and not (records - {""}):
        for column in ("source", "when", "transform"):
            for path in _columns_of(parsed[column]):
                text = f"`[{path.column}]` is a column, and `applies` names no record such as csv:patients"
                note(row, column, f"{column}-invalid", text)
        return
    if records != {anchor.segment}:
        if records - {""}:
            text = f"the anchor of {' '.join(applies)} is the name behind the colon, and every kind has the same"
        else:
            text = f"`{row.anchor.strip()}` is no anchor such as PID, OBR>OBX or PV1-7[*]"
        note(row, "anchor", "anchor-invalid", text)
        return
    numbers = known.setdefault(anchor.segment, {})
    for column in ("source", "when", "transform"):
        try:
            parsed[column] = _numbered(parsed[column], anchor.segment, numbers, bare=column != "transform")
        except SyntaxProblem as problem:
            note(row, column, f"{column}-invalid", str(problem))


def read_elements(row: Row, parsed: Parsed, note: Note) -> Row:
    """Check the paths of a row about resources; a row that copies has the R4 type of what it reads."""
    from hilum.mapping.element_paths import element_path  # what it needs takes 0.1 s to import

    if not all(map(is_resource_kind, parsed["applies"])):
        note(row, "applies", "applies-invalid", "a row reads columns or elements of FHIR, not both")
        return row
    copies = parsed["transform"].name == "copy"
    types: dict[str, None] = {}
    for column in ("source", "when", "transform"):
        for path in _columns_of(parsed[column]):
            try:
                found = element_path(path.segment, path.column)
            except SyntaxProblem as problem:
                note(row, column, f"{column}-invalid", str(problem))
                continue
            if found.is_complex and column == "source" and not copies:
                text = f"`{path.column}` is a {found.types[0]}: name a part of it, or write copy"
                note(row, column, "source-invalid", text)
            if column == "source":
                types.update(dict.fromkeys(found.types or ("string",)))
    if copies and len(types) > 1:
        text = f"what copy reads has one type, and this is {' or '.join(list(types)[:3])}: say ofType(..)"
        note(row, "source", "source-invalid", text)
    return structs.replace(row, type=next(iter(types))) if copies and types else row


def read_cell(row: Row, parsed: Parsed, note: Note) -> None:
    """Check a row that writes a column; the line itself (`worklist[]`) is made where its condition holds."""
    target, transform = parsed["target"], parsed["transform"]
    if not all(map(is_resource_kind, parsed["applies"])) or not parsed["applies"]:
        note(row, "applies", "applies-invalid", "a column is written from FHIR: fhir:Patient")
    elif target.role == "key":
        if parsed["source"] or row.transform:
            text = f"`{row.target}` is the line itself: the row has a condition, and no source or transform"
            note(row, "source", "source-invalid", text)
        parsed["source"], parsed["transform"] = LINE
    elif transform.name not in _CELL_TRANSFORMS or row.type[:1].isupper():
        text = f"`{transform.name}` gives more than one value, and a cell holds one: {', '.join(_CELL_TRANSFORMS)}"
        note(row, "transform", "transform-invalid", text)
    elif transform.name == "const" and _is_json(transform):
        note(row, "transform", "transform-invalid", "a cell holds one value, and no JSON")


def _is_json(transform: Call) -> bool:
    return any(isinstance(one, Word) and one.name.startswith("{") for one in transform.args)


def _columns_of(parsed: Any) -> list[Path]:
    expressions = parsed if isinstance(parsed, tuple) else (parsed,)
    return [part for one in expressions for part in walk(one) if isinstance(part, Path) and part.column]


def _numbered(parsed: Any, record: str, numbers: dict[str, int], *, bare: bool) -> Any:
    words = WORDS | {"true", "false"}
    if isinstance(parsed, tuple):
        return tuple(numbered(one, record, numbers, words, bare=bare) for one in parsed)
    return None if parsed is None else numbered(parsed, record, numbers, words, bare=bare)

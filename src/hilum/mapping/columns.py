"""Records of named columns: rows of a file, a sheet or a layout. Columns get numbers, and the engine sees fields.

A column that the workbook names has the number that compiling gave it; others are numbered as they are met. Texts keep
every character: what the engine takes for a delimiter in HL7 v2 is here a noncharacter of Unicode (23.7, U+FDD0), and
one that stands in a text is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct, structs

from hilum.mapping.syntax import (
    Binary,
    Call,
    Expression,
    Logic,
    Membership,
    Negation,
    Path,
    SyntaxProblem,
    Word,
)

__all__ = [
    "MARKS",
    "MOST_COLUMNS",
    "Arranged",
    "Columns",
    "Table",
    "Tabular",
    "escaped",
    "is_record_kind",
    "is_resource_kind",
    "named_column",
    "numbered",
    "record_of_kind",
]

MOST_COLUMNS = 4096  # names that one state remembers; then it is made anew

_FIELD, _COMPONENT, _REPETITION, _ESCAPE, _SUBCOMPONENT = "\ufdd0\ufdd1\ufdd2\ufdd3\ufdd4"
_SPECIAL = re.compile("[\ufdd0-\ufdd4]")
_LETTERS = {_ESCAPE: "E", _COMPONENT: "S", _REPETITION: "R", _SUBCOMPONENT: "T", _FIELD: "F"}
_MARKS_BY_LETTER = {letter: mark for mark, letter in _LETTERS.items()} | {"Q": '""'}
_ESCAPED = re.compile(f"{_ESCAPE}([ESRTFQ]){_ESCAPE}")
_DELETE = '""'
_CELL = re.compile(r"([A-Za-z][\w-]*)\[([^\[\]]+)\]")
_KINDS = re.compile(r"(csv|fixed|xlsx|fhir):([A-Za-z][\w-]*)")


class Marks(Struct, frozen=True):
    """What stands where HL7 v2 has its delimiters."""

    field: str = _FIELD
    component: str = _COMPONENT
    repetition: str = _REPETITION
    escape: str = _ESCAPE
    subcomponent: str = _SUBCOMPONENT


MARKS = Marks()


class Tabular(Protocol):
    """A record of named columns: `cells[n]` belongs to `columns[n]`; `deletes`: an empty cell takes the value away."""

    @property
    def kind(self) -> str: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def cells(self) -> Sequence[str]: ...
    @property
    def deletes(self) -> bool: ...


class Table(Struct, frozen=True):
    """What a workbook says of the columns of one record: their numbers, and what parts the texts in a cell."""

    numbers: dict[str, int]
    splits: dict[str, str] = {}  # column -> what stands between repetitions
    parts: dict[str, str] = {}  # column -> what stands between components


class _Line(Struct, frozen=True):
    fields: list[str]
    raw: str = ""


class Arranged:
    """A record as the engine reads it: one segment."""

    __slots__ = ("kind", "names", "segments")
    delimiters = MARKS
    parents = (-1,)

    def __init__(self, kind: str, name: str, fields: list[str]) -> None:
        self.kind, self.names, self.segments = kind, (name,), (_Line(fields),)

    @staticmethod
    def unescape(text: str) -> str:
        """A cell's own characters again."""
        return _ESCAPED.sub(lambda found: _MARKS_BY_LETTER[found[1]], text)


class Columns:
    """Columns of one kind of record as one state of the engine knows them."""

    def __init__(self, record: str, table: Table) -> None:
        self.record, self._table = record, table
        self._numbers = dict(table.numbers)
        self.labels = [""] * (max(table.numbers.values(), default=0) + 1)
        for name, number in table.numbers.items():
            self.labels[number] = f"{record}[{name}]"
        self._layouts: dict[tuple[str, ...], tuple[tuple[int, bool, str, str], ...]] = {}

    @property
    def is_full(self) -> bool:
        """Whether too many names were met: columns that come from outside must not fill the memory."""
        return len(self.labels) > MOST_COLUMNS

    def arrange(self, record: Tabular) -> Arranged:
        """Cells by the numbers of their columns."""
        layout = self._layouts.get(record.columns)
        if layout is None:
            if len(self._layouts) > 64:
                self._layouts.clear()
            layout = self._layouts[record.columns] = tuple(map(self._place, record.columns))
        fields = [""] * len(self.labels)
        fields[0] = self.record
        cells = record.cells
        plain = "".join(cells)
        plain_text = (plain.isascii() or not _SPECIAL.search(plain)) and _DELETE not in cells
        deletes = record.deletes
        for (number, known, split, parts), cell in zip(layout, cells, strict=False):
            if not cell or cell.isspace():
                if deletes and known:
                    fields[number] = _DELETE
                continue
            text = cell if plain_text else escaped(cell)
            if split:
                text = _REPETITION.join(part.strip() for part in text.split(split))
            if parts:
                text = _COMPONENT.join(part.strip() for part in text.split(parts))
            fields[number] = text if not (split or parts) or text.strip(_REPETITION + _COMPONENT) else ""
        return Arranged(record.kind, self.record, fields)

    def _place(self, name: str) -> tuple[int, bool, str, str]:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.labels)
            self.labels.append(f"{self.record}[{name}]")
        table = self._table
        return number, name in table.numbers, table.splits.get(name, ""), table.parts.get(name, "")


def escaped(cell: str) -> str:
    """A text in which no mark of ours stands, and that is not taken for `\"\"`."""
    if not _SPECIAL.search(cell) and cell != _DELETE:
        return cell
    if cell == _DELETE:
        return f"{_ESCAPE}Q{_ESCAPE}"
    return _SPECIAL.sub(lambda found: f"{_ESCAPE}{_LETTERS[found[0]]}{_ESCAPE}", cell)


def is_record_kind(kind: str) -> bool:
    """Whether it names records of columns (`csv:patients`) and not messages of HL7 v2."""
    return ":" in kind


def is_resource_kind(kind: str) -> bool:
    """Whether it names records that are FHIR resources (`fhir:Patient`), which rows read by paths."""
    return kind.startswith("fhir:")


def record_of_kind(kind: str) -> str:
    """`patients` of `csv:patients`; "" for what is no such kind."""
    match = _KINDS.fullmatch(kind)
    return match[2] if match else ""


def named_column(text: str) -> tuple[str, str] | None:
    """(`patients`, `Birth Date`) of `patients[Birth Date]`; None for what is written otherwise."""
    match = _CELL.fullmatch(text.strip())
    return (match[1], match[2].strip()) if match else None


def _number(name: str, record: str, numbers: dict[str, int], path: Path) -> Path:
    number = numbers.setdefault(name, len(numbers) + 1)
    return Path(record, 0, number, path.repetition, path.component, path.sub, name)


def numbered(
    expression: Expression, record: str, numbers: dict[str, int], words: Iterable[str], *, bare: bool
) -> Expression:
    """The expression with its columns numbered. `bare`: names without brackets are columns too, but for `words`.

    Raises SyntaxProblem for a path of HL7 v2.
    """

    def inner(part: Expression) -> Expression:
        return numbered(part, record, numbers, words, bare=bare)

    if isinstance(expression, Path):
        if expression.column:
            return _number(expression.column, record, numbers, expression)
        if not expression.segment or expression.field:
            text = f"`{expression}` is no column of a record: a column of that name is written [{expression}]"
            raise SyntaxProblem(text)
        return _number(expression.segment, record, numbers, expression)
    if isinstance(expression, Word):
        is_column = bare and expression.name not in words
        return _number(expression.name, record, numbers, Path("")) if is_column else expression
    if isinstance(expression, Call):
        if expression.name == "made":
            return expression
        named = tuple((name, inner(value)) for name, value in expression.named)
        return Call(expression.name, tuple(map(inner, expression.args)), named)
    if isinstance(expression, Binary):
        return Binary(expression.operator, inner(expression.left), inner(expression.right))
    if isinstance(expression, Membership):
        return structs.replace(expression, left=inner(expression.left), choices=tuple(map(inner, expression.choices)))
    if isinstance(expression, Logic):
        return Logic(expression.operator, tuple(map(inner, expression.parts)))
    if isinstance(expression, Negation):
        return Negation(inner(expression.part))
    return expression

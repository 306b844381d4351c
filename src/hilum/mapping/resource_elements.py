"""FHIR resources as records: paths that rows read are columns, and the elements themselves are accounted for.

What a row reads of a resource is worked out before it runs, as for records of columns: the text of its path, with the
marks of `columns.py` between repetitions. Beside the text stand the leaves that the path speaks for, so that the fate
of every element follows from which rows wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from hilum.mapping.accounting import Fate, FieldFates, covers
from hilum.mapping.columns import MARKS, MOST_COLUMNS, Arranged, Table, escaped, named_column
from hilum.mapping.lookup import sender_rank
from hilum.mapping.resource_tree import ResourceTree
from hilum.mapping.tables import Ignore
from hilum.model import ExceptionItem

if TYPE_CHECKING:
    from hilum.mapping.element_paths import ElementPath, Resolve

__all__ = ["ElementFates", "Elements", "Left", "Resource"]

_DELETE = '""'


class Resource(Protocol):
    """A record that is a FHIR resource. `deletes`: what it does not say is taken away. `resolve` finds others."""

    @property
    def kind(self) -> str: ...
    @property
    def resource(self) -> Mapping[str, Any]: ...
    @property
    def deletes(self) -> bool: ...
    @property
    def resolve(self) -> Resolve | None: ...


class Left(Struct, frozen=True):
    """Elements that are not mapped on purpose: labels with all below them, or (`whole`) all that no row reads."""

    labels: tuple[str, ...]
    whole: bool

    def has(self, label: str) -> bool:
        """Whether an element is one of them."""
        return self.whole or any(label == one or label.startswith((f"{one}.", f"{one}(")) for one in self.labels)

    @classmethod
    def of(cls, lines: Iterable[Ignore], record: str, kinds: Sequence[str], sender: str) -> Left:
        """Those of the lines that are about this type, these kinds (what comes in, what is made) and this sender."""
        found = []
        for line in lines:
            column = named_column(line.field)
            if column is None or column[0] != record or not sender_rank(line.sender, sender):
                continue
            if any(covers(line.applies, kind) for kind in kinds):
                found.append(column[1])
        return cls(tuple(one for one in found if one != "*"), "*" in found)


class Elements:
    """Resources of one type as one state of the engine knows them: the paths of its rows, and the labels it has met."""

    def __init__(self, record: str, table: Table, left: Left) -> None:
        from hilum.mapping.element_paths import element_path  # what it needs takes 0.1 s to import

        self.record, self._left = record, left
        self._paths: list[tuple[int, ElementPath]] = [
            (number, element_path(record, name)) for name, number in table.numbers.items()
        ]
        self._width = max(table.numbers.values(), default=0) + 1
        self.labels: list[str] = [record]
        self._numbers: dict[str, int] = {}
        self._tree = ResourceTree({})
        self._masks: dict[int, int] = {}  # column -> leaves that it speaks for, of the resource at hand

    @property
    def is_full(self) -> bool:
        """Whether too many elements were met: names that come from outside must not fill the memory."""
        return len(self.labels) > MOST_COLUMNS

    def arrange(self, record: Resource) -> Arranged:
        """The texts of all paths by their numbers."""
        tree = self._tree = ResourceTree(dict(record.resource))
        self._masks = {}
        fields = [""] * self._width
        fields[0] = self.record
        for number, path in self._paths:
            found = path.read(tree, record.resolve)
            if found.texts:
                fields[number] = MARKS.repetition.join(map(escaped, found.texts))
                self._masks[number] = _mask(found.ranges)
            elif record.deletes:
                fields[number] = _DELETE
        return Arranged(record.kind, self.record, fields)

    def fates(self, key: tuple[bytes, int]) -> tuple[FieldFates, int]:
        """(what became of the elements of the resource at hand, those of them that rows read).

        `key` has the bits of the columns for which a row wrote. Of an element that comes several times one place that
        is left is enough for an exception; else one that is mapped makes it mapped.
        """
        written = key[1]
        mapped = read = 0
        for number, mask in self._masks.items():
            read |= mask
            if written >> number & 1:
                mapped |= mask
        bits = [0, 0, 0, 0]  # mapped, ignored, left, read
        for at, label in enumerate(self._tree.labels):
            number = self._number(label)
            fate = 0 if mapped >> at & 1 else 1 if self._left.has(label) else 2
            bits[fate] |= 1 << number
            bits[3] |= (read >> at & 1) << number
        left = bits[2]
        whole = FieldFates(self.record, bits[0] & ~left, bits[1] & ~left & ~bits[0], left, tuple(self.labels))
        return whole, bits[3]

    def _number(self, label: str) -> int:
        number = self._numbers.get(label)
        if number is None:
            number = self._numbers[label] = len(self.labels)
            self.labels.append(f"{self.record}[{label}]")
        return number


def _mask(ranges: Iterable[tuple[int, int]]) -> int:
    found = 0
    for start, end in ranges:
        found |= (1 << end) - (1 << start)
    return found


class ElementFates:
    """The fates of the elements of one type, for one kind and sender: of the resource that was arranged last."""

    __slots__ = ("_elements", "_seen", "_sender", "_sighted", "known", "name")

    def __init__(self, elements: Elements, sender: str, sighted: list[str]) -> None:
        """Elements that are there for the first time are named in `sighted`."""
        self.name = elements.record
        self._elements, self._sender, self._sighted, self._seen = elements, sender, sighted, 0
        self.known: dict[tuple[bytes, int], Fate] = {}  # nothing: no resource says what another one holds

    def find(self, key: tuple[bytes, int]) -> Fate:
        """As `Fates.find`."""
        split, read = self._elements.fates(key)
        valued = split.mapped | split.ignored | split.left
        fresh = valued & ~self._seen
        if fresh:
            self._sighted += [f"field {place}" for place in split.places(fresh)]
            self._seen |= fresh
        left = split.left
        items = [self._item(place, was_read=True) for place in split.places(left & read)]
        items += [self._item(place, was_read=False) for place in split.places(left & ~read)]
        return Fate(
            valued.bit_count(), split.mapped.bit_count(), split.ignored.bit_count(), left.bit_count(), tuple(items)
        )

    def split(self, key: Sequence[Any]) -> FieldFates:
        """As `Fates.split`."""
        return self._elements.fates((key[0], key[1]))[0]

    def _item(self, place: str, *, was_read: bool) -> ExceptionItem:
        if was_read:
            code, message = "field-unused", "rows read this element, and in one of its places none wrote"
        else:
            code, message = "field-unmapped", "no row reads this element, and it is not ignored on purpose"
        return ExceptionItem(code, message, place, "", "", f"{code}|{self._sender}|{place}")

"""The rows of one kind of message, and the code generated for the places where they run."""

from __future__ import annotations

from functools import lru_cache
from types import CodeType

from hilum.mapping.accounting import read_fields
from hilum.mapping.generate import generate
from hilum.mapping.places import Anchor
from hilum.mapping.rows import Rule
from hilum.mapping.structure import Tree, matching
from hilum.mapping.syntax import Expression, Word, walk
from hilum.mapping.unit import Place, Special, Unit

__all__ = ["Kind", "Library"]

MOST_UNITS = 5000


class Library:
    """Generated code of one workbook. Kinds whose rows at a place are the same share it."""

    def __init__(
        self,
        params: dict[str, str],
        slotted: set[tuple[str, str]],
        choices: dict[tuple[str, str], tuple[str, ...]],
        *,
        made: frozenset[str] | None = None,
    ) -> None:
        """`made`: the only resources that are made of their key rows; None: all."""
        self.params, self._slotted, self._choices, self._made = params, slotted, choices, made
        self._units: dict[tuple[object, ...], tuple[Unit, CodeType]] = {}
        self._next = 0

    def unit(
        self, place: Place, rules: list[Rule], kind: str, *, trace: bool = False, special: Special | None = None
    ) -> tuple[Unit, CodeType]:
        """The code of one place, generated when first asked for."""
        about = kind if any(_names_kind((*rule.alternatives, rule.transform, rule.when)) for rule in rules) else ""
        key = (place, tuple(rule.row.row_id for rule in rules), about, trace, special)
        found = self._units.get(key)
        if found is None:
            if len(self._units) > MOST_UNITS:
                self._units.clear()
            base = self.unit(place, rules, kind, trace=trace)[0] if special else None
            unit = generate(
                place,
                rules,
                kind=kind,
                params=self.params,
                slotted=self._slotted,
                choices=self._choices,
                first_number=self._next,
                trace=trace,
                base=base,
                special=special,
                made=self._made,
            )
            self._next += len(rules)
            where = f"{place.segment}-{place.field}" if place.field else place.segment
            found = self._units[key] = (unit, compile(unit.source, f"<workbook {about} {where}>", "exec"))
        return found


@lru_cache(8192)
def _names_kind(expressions: tuple[Expression | None, ...]) -> bool:
    """Whether what these make depends on the kind of message."""
    return any(isinstance(part, Word) and part.name in ("kind", "event") for one in expressions for part in walk(one))


class Kind:
    """The rows of one kind, and the code generated for the places where they run."""

    def __init__(self, library: Library, kind: str, rules: list[Rule], *, has_rows: bool) -> None:
        """Without `has_rows` (no key row names the kind) nothing runs."""
        self._library, self.kind, self.has_rows = library, kind, has_rows
        self.rules = rules if has_rows else []
        self._anchored: dict[Anchor, list[int]] = {}  # numbers of the rules that run there
        for number, rule in enumerate(self.rules):
            for anchor in rule.anchors:
                self._anchored.setdefault(anchor, []).append(number)
        self.anchors = list(self._anchored)
        self.segments = {anchor.segment for anchor in self.anchors}
        self.opened = {rule.target.resource for rule in self.rules if rule.target.role == "key"}
        self.read = read_fields(self.rules)
        self._places: dict[tuple[str, tuple[Anchor, ...]], tuple[Place, ...]] = {}
        self._at: dict[Place, list[Rule]] = {}

    def places(self, tree: Tree, index: int) -> tuple[Place, ...]:
        """Where code runs at one segment: the segment itself, then each anchored field."""
        name = tree.names[index]
        if name not in self.segments:
            return ()
        anchors = matching(tree, (anchor for anchor in self.anchors if anchor.segment == name), index)
        key = (name, anchors)
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = tuple(_places(name, anchors))
        return found

    def warm(self) -> None:
        """Generate the code of every place, as if all anchors of a segment matched."""
        for name in sorted(self.segments):
            anchors = tuple(anchor for anchor in self.anchors if anchor.segment == name)
            for place in self._places.setdefault((name, anchors), tuple(_places(name, anchors))):
                self.unit(place)

    def unit(self, place: Place, *, trace: bool = False, special: Special | None = None) -> tuple[Unit, CodeType]:
        """The code of one place."""
        rules = self._at.get(place)
        if rules is None:
            numbers = {number for anchor in place.anchors for number in self._anchored.get(anchor, ())}
            rules = self._at[place] = [self.rules[number] for number in sorted(numbers)]
        return self._library.unit(place, rules, self.kind, trace=trace, special=special)


def _places(name: str, anchors: tuple[Anchor, ...]) -> list[Place]:
    whole = tuple(anchor for anchor in anchors if not anchor.field)
    found = [Place(name, whole)] if whole else []
    for field, every in dict.fromkeys((anchor.field, anchor.every) for anchor in anchors if anchor.field):
        same = tuple(anchor for anchor in anchors if (anchor.field, anchor.every) == (field, every))
        found.append(Place(name, same, field, every))
    return found

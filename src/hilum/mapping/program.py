"""What runs at one segment of messages of one shape, in general and for the fields that are there."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from msgspec import Struct

from hilum.mapping.accounting import Fates
from hilum.mapping.mapped import Mapped
from hilum.mapping.resource_elements import ElementFates
from hilum.mapping.transforms import Report
from hilum.mapping.unit import Place, Special, Unit

__all__ = ["Made", "Opened", "Part", "Program", "Shape", "Step", "Variant", "bits_of", "variant_of"]

# (function, segment, slot, slots of its scope, segments of its lookups)
Step = tuple[Callable[..., None], int, int, tuple[int, ...], tuple[Any, ...]]


class Variant(Struct, frozen=True):
    """The calls for one segment: first all opens of a message, then all fills, then what needs all drafts."""

    opens: tuple[Step, ...]
    fills: tuple[Step, ...]
    late: tuple[Step, ...]


class Shape(Struct, frozen=True):
    """All that runs for messages with one sequence of segment names."""

    names: tuple[str, ...]
    programs: tuple[Program, ...]
    slots: int
    widths: tuple[int, ...]  # fields that every segment must offer
    tables: tuple[Fates | ElementFates, ...]
    needed: tuple[int, ...]  # segments that some row reads
    opened: dict[tuple[int, str], int]  # slot of each (segment, resource)


class Opened:
    """What was read of one message, and the ids that its key rows gave: what `fill` functions start from."""

    __slots__ = ("counts", "ids", "padded", "patterns", "references", "reports", "shape", "variants", "written")

    def __init__(self, shape: Shape, patterns: list[bytes], padded: list[list[str]]) -> None:
        self.shape, self.patterns, self.padded = shape, patterns, padded
        self.ids: list[str | None] = [None] * (shape.slots + 1)
        self.references = [b""] * (shape.slots + 1)
        self.written = [0] * len(padded)
        self.variants: list[Variant] = []
        self.counts: dict[str, int] = {}  # of the call
        self.reports: tuple[Report, ...] = ()

    def keep(self, counts: dict[str, int], reports: list[Report]) -> Opened:
        """A copy that is not changed by what runs next: for another plan."""
        kept = Opened(self.shape, self.patterns, self.padded)
        kept.ids, kept.references, kept.written = self.ids, self.references, self.written.copy()
        kept.counts, kept.reports = counts.copy(), tuple(reports)
        return kept


class Made(Struct, frozen=True):
    """What `make` gives."""

    mapped: Mapped  # its accounting is empty
    written: list[int]  # for each segment a bit per field that a row wrote for
    opened: Opened  # for another plan with the same key rows


_BITS: dict[bytes, int] = {}


def bits_of(pattern: bytes) -> int:
    """Bit n for each byte n that is not zero."""
    found = _BITS.get(pattern)
    if found is None:
        if len(_BITS) > 10_000:
            _BITS.clear()
        found = _BITS[pattern] = sum(1 << number for number, there in enumerate(pattern) if there)
    return found


class Part(Struct, frozen=True):
    """One unit at one segment."""

    place: Place
    unit: Unit
    namespace: dict[str, Any]
    index: int
    scope: tuple[int, ...]
    segments: tuple[Any, ...]
    slots: dict[str, int]  # of the resources that it opens or fills

    def special(self, patterns: list[bytes]) -> Special:
        """What these patterns tell of the unit's lookups."""
        foreign = tuple(
            (bits_of(patterns[at]) if at >= 0 else -1) if isinstance(at, int) else (None if at else -1)
            for at in self.segments
        )
        return Special(bits_of(patterns[self.index]), foreign, tuple(slot >= 0 for slot in self.scope))


class Program:
    """The units of one segment, and the variants made for them. `key` picks the patterns that matter here."""

    __slots__ = ("general", "index", "key", "parts", "seen", "variants")

    def __init__(self, index: int) -> None:
        self.index = index
        self.parts: list[Part] = []
        self.variants: dict[Any, Variant] = {}
        self.seen: dict[Any, int] = {}

    def reads(self) -> set[int]:
        """The segments that its rows look at."""
        foreign = (at for part in self.parts for at in part.segments)
        inner = (one for at in foreign for one in (at if isinstance(at, tuple) else (at,)))
        return {self.index} | {at for at in inner if at >= 0}

    def finish(self) -> None:
        """Once all parts are there."""
        others = {at for part in self.parts for at in part.segments if isinstance(at, int) and at >= 0}
        self.key: Callable[[list[bytes]], Any] = itemgetter(self.index, *sorted(others - {self.index}))
        self.general = variant_of(self.parts)


def variant_of(parts: list[Part]) -> Variant:
    """The calls of these units."""
    opens: list[Step] = []
    fills: list[Step] = []
    late: list[Step] = []
    for part in parts:
        unit, names = part.unit, part.namespace
        tail = (part.scope, part.segments)
        for at, resource in enumerate(unit.opens):
            opens.append((names[f"open_{at}"], part.index, part.slots[resource], *tail))
        for resource, at, is_late in unit.fills:
            slot = part.slots.get(resource, -1)
            if slot >= 0:
                (late if is_late else fills).append((names[f"fill_{at}"], part.index, slot, *tail))
        if unit.place.field:
            fills.append((names["run"], part.index, -1, *tail))
        if unit.merges:
            fills.append((names["merge"], part.index, -1, *tail))
    return Variant(tuple(opens), tuple(fills), tuple(late))

"""The values of code generation: places, lines, what is known of a message, and the unit of code made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hilum.mapping.places import Anchor
from hilum.mapping.rows import Rule
from hilum.mapping.syntax import Expression
from hilum.mapping.transforms import Spec

__all__ = ["Binding", "Line", "Place", "Special", "Unit"]


@dataclass(frozen=True)
class Place:
    """Where a unit runs: its segment, the anchors of its rows, and the field of a field anchor."""

    segment: str
    anchors: tuple[Anchor, ...]
    field: int = 0
    every: bool = False


@dataclass(frozen=True)
class Special:
    """What is known of a message before its code runs: which fields are there, which resources can be meant.

    `own` has a bit for each valued field of the segment; `foreign` the same for each segment looked up (-1: there is no
    such segment, None: several, not told); `scope` says for each resource looked up whether it has a place at all.
    """

    own: int
    foreign: tuple[int | None, ...]
    scope: tuple[bool, ...]


@dataclass
class Line:
    """One row at one place."""

    number: int
    rule: Rule
    spec: Spec
    mode: str  # single, list, zip
    constant: bool  # reads nothing of the message
    alternatives: list[tuple[int, Expression]] = field(default_factory=list)  # those that may be valued, by position

    @property
    def name(self) -> str:
        """Its variable in the generated code."""
        return f"r{self.number}"


@dataclass(frozen=True)
class Binding:
    """How a name in the source gets its value for one sender."""

    kind: str  # a name of `binding.Binder._makers`
    line: Line | None = None
    at: int = 0
    value: Any = None


@dataclass
class Unit:
    """Source and what binding and running it need."""

    place: Place
    source: str
    bindings: dict[str, Binding]
    lines: list[Line]
    foreign: tuple[tuple[str, int], ...]  # segments looked up: (name, occurrence)
    scope: tuple[str, ...]  # resources looked up
    opens: tuple[str, ...] = ()  # resources that its key rows open, in order
    fills: tuple[tuple[str, int, bool], ...] = ()  # (resource, n of its function `fill_<n>`, late) in order
    merges: bool = False
    reads: dict[str, int] = field(default_factory=dict)  # segment -> highest field read

"""What a store is asked to look up: one term of a query, read. Pure values."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from hilum.formats import fhir
from hilum.formats.fhir import Parameter, Part, Place

__all__ = ["Criterion", "Mode", "numbers_under"]


class Mode(StrEnum):
    """How the values of a criterion are compared."""

    IS = "is"  # as the kind does
    NOT = "not"  # a token that is absent, or none of these
    EXACT = "exact"  # a string, to the letter
    CONTAINS = "contains"  # part of a string
    MISSING = "missing"  # no value at all
    PRESENT = "present"  # any value
    TEXT = "text"  # the words beside a code begin so
    OF_TYPE = "of-type"  # an identifier of that type
    IDENTIFIER = "identifier"  # a reference that names its target by an identifier


class Criterion(Struct, frozen=True):
    """One term. `numbers` are the parameters whose facts are looked at; `values` are alternatives:

    | kind | value |
    |---|---|
    | "id" | id |
    | "updated" | (prefix, first, after) in milliseconds |
    | TOKEN, IDENTIFIER | (system, code); None: any; "" as a system: none |
    | STRING | (folded text, text as asked) |
    | DATE | (prefix, first, after) in milliseconds |
    | REFERENCE | `Type/id`, or a whole URL |
    | QUANTITY, NUMBER | (prefix, low, value, high, system, code); low <= x < high are those that read as `value` |
    | URI | text |
    | COMPOSITE | one tuple of alternatives for each component |
    | "chain", "has" | none: `inner` says what the other end of the reference must meet |
    | "limits" | conjunctions of criteria, one of which must hold |
    """

    kind: str
    numbers: tuple[int, ...]
    values: tuple[Any, ...]
    mode: Mode = Mode.IS
    target: str = ""  # only references to this type (for MISSING and PRESENT)
    is_indexed: bool = True  # else the bodies tell
    places: tuple[Place, ...] = ()
    inner: tuple[tuple[str, Criterion], ...] = ()
    parts: tuple[tuple[tuple[str, ...], tuple[Part, ...]], ...] = ()

    @property
    def needs_body(self) -> bool:
        """Whether the index alone cannot tell."""
        return not self.is_indexed or self.mode in (Mode.EXACT, Mode.TEXT, Mode.OF_TYPE, Mode.IDENTIFIER)


def numbers_under(one: Parameter) -> tuple[int, ...]:
    """The numbers of the parameters under which the values of this one are stored."""
    found = (fhir.find_parameter(one.type, name) for name in one.found_under)
    return tuple(other.number for other in found if other is not None)

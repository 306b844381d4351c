"""What the compiler knows of a collection before any resource is seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["ANY", "BOOLEAN", "DECIMAL", "INTEGER", "STRING", "Shape", "one_of"]


@dataclass(frozen=True, slots=True)
class Shape:
    """`fhir`: the one FHIR type of all items, which are then bare JSON; "" when items say their type themselves.

    `system`: the one system type of all items. `possible`: the FHIR types that items which say their type may have, ()
    when nothing is known. `is_single`: never more than one item. `is_ordered`: whether the order means anything.
    """

    fhir: str = ""
    system: str = ""
    possible: tuple[str, ...] = ()
    is_single: bool = False
    is_ordered: bool = True

    def many(self) -> Shape:
        """The same items, any number of them."""
        return replace(self, is_single=False) if self.is_single else self

    def single(self) -> Shape:
        """At most one of the items."""
        return self if self.is_single else replace(self, is_single=True)


ANY = Shape()


def one_of(system: str) -> Shape:
    """At most one system value."""
    return Shape(system=system, is_single=True)


BOOLEAN, INTEGER, STRING, DECIMAL = (one_of(name) for name in ("Boolean", "Integer", "String", "Decimal"))

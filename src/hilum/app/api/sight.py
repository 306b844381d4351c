"""What a caller may see: the one decision that read, search, includes, history, counts, writes and errors go through.

A caller is limited type by type, by searches: `Observation` only where `category=laboratory`. The limits are part of
the search itself, so that a page, its total and its includes are right without a second look; single resources are
tested with the same criteria. What a caller may not see is as absent as what never was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from hilum.repository import Limits, Query, Stored, is_within

if TYPE_CHECKING:
    from hilum.app.tokens import Grant

__all__ = ["EVERYTHING", "Sight", "sight_of"]


class Sight(Struct, frozen=True):
    """`limits`: type -> searches, one of which a resource must meet; a type that is not there is hidden. None: all."""

    limits: Mapping[str, Limits] | None = None

    def sees_type(self, type_: str) -> bool:
        """Whether anything of this type may be seen at all."""
        return self.limits is None or type_ in self.limits

    def sees(self, stored: Stored) -> bool:
        """Whether this version may be seen; a deleted one, where its whole type may be."""
        if self.limits is None:
            return True
        limits = self.limits.get(stored.type)
        if limits is None:
            return False
        return () in limits if stored.deleted else is_within(stored, limits)

    def narrowed(self, query: Query) -> Query:
        """The same search over what may be seen."""
        return query if self.limits is None else replace(query, limits=dict(self.limits))


EVERYTHING = Sight()


def sight_of(_: Grant) -> Sight:
    """What a bearer of this grant may see: the tokens that operators make are for whole applications."""
    return EVERYTHING

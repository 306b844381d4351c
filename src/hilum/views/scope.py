"""Where a path stands while it is translated: `$this`, the resource, `%rowIndex`, constants, names of variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from hilum.fhirpath import FhirPathError
from hilum.views.sql import Piece, Reads

__all__ = ["Scope", "unsupported"]


@dataclass(frozen=True, slots=True)
class Scope:
    """`names` gives a new variable each time; it is shared by all scopes of a view."""

    this: Piece
    root: Piece
    names: Iterator[str]
    reads: Reads
    constants: Mapping[str, Piece]
    row_index: str = "0"

    def within(self, this: Piece) -> Scope:
        """Inside the criteria of a function."""
        return replace(self, this=this)


def unsupported(what: str, at: int = -1) -> FhirPathError:
    """The error of FHIRPath that has no translation into SQL."""
    return FhirPathError(f"{what} cannot be used in a view", code="view-unsupported", at=at)

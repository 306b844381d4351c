"""The seam of the repository: apply, get, history, search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from hilum.model import Effects, Held

__all__ = ["Page", "Query", "Repository", "SearchTerm", "Stored"]


class Stored(Struct, frozen=True):
    """One version of a resource. `body` is the whole resource as JSON bytes with id and meta, ready to serve."""

    type: str
    id: str
    version: int
    updated: int
    body: bytes  # b"" when deleted
    seq: int  # the message that made this version; 0 for one made by hand
    deleted: bool = False


class SearchTerm(Struct, frozen=True):
    """`name:modifier=value,value`: alternatives are or'ed, terms are and'ed. Values are as in the URL, unescaped."""

    name: str
    values: tuple[str, ...]
    modifier: str = ""


class Query(Struct, frozen=True):
    """A search over one type. `after` is the opaque cursor of the page before."""

    type: str
    terms: tuple[SearchTerm, ...] = ()
    count: int = 50
    after: str = ""
    sort: tuple[str, ...] = ()  # "-date", "name"; empty: by the order of commits, newest last
    include: tuple[str, ...] = ()  # "Observation:subject"
    revinclude: tuple[str, ...] = ()  # "Provenance:target"
    total_only: bool = False


class Page(Struct, frozen=True):
    """One page: matches, then included ones. `total` is counted, never estimated."""

    matches: tuple[Stored, ...]
    included: tuple[Stored, ...]
    total: int
    next: str = ""  # cursor; "" at the end


@runtime_checkable
class Repository(Protocol):
    """Versions of resources, their search index, outbox, exceptions and positions: one transaction for all of them."""

    async def apply(self, work: Sequence[Effects | Held], positions: Mapping[int, int]) -> None:
        """Commit effects, holds and the new positions (partition -> seq) together, or nothing of it."""
        ...

    def get(self, type_: str, id_: str, version: int | None = None) -> Stored:
        """One resource, or one version of it. Raises NotFound (code `not-found`); a deleted one is returned as deleted."""
        ...

    def history(self, type_: str, id_: str, limit: int = 100) -> list[Stored]:
        """Versions of one resource, newest first. Raises NotFound."""
        ...

    def search(self, query: Query) -> Page:
        """Raises HilumError `search-parameter-unknown` or `search-value-invalid`, with the parameter as location."""
        ...

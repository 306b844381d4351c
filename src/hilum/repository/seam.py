"""The seam of the repository: apply, get, history, search; and what the engine and people ask of it besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from msgspec import Struct

from hilum.model import Accounting, Effects, ExceptionItem, Held, Outgoing, Receipt

from .merging import MergeRecord

if TYPE_CHECKING:
    from .past import Past, Versions
    from .writes import Aftermath, Change, Written

__all__ = [
    "RELOAD",
    "WAITING_DELIVERIES",
    "Delivery",
    "DeliveryState",
    "ExceptionRecord",
    "Hold",
    "HoldState",
    "Limits",
    "Page",
    "Query",
    "ReplayRequest",
    "Repository",
    "RepositoryCounts",
    "SearchTerm",
    "Stored",
    "StuckDeliveries",
]


class Stored(Struct, frozen=True):
    """One version of a resource. `body` is the whole resource as JSON bytes with id and meta, ready to serve."""

    type: str
    id: str
    version: int
    updated: int
    body: bytes  # b"" when deleted
    seq: int  # the message that made this version; below 0 for one that was written through the API
    deleted: bool = False


class SearchTerm(Struct, frozen=True):
    """`name:modifier=value,value`: alternatives are or'ed, terms are and'ed. Values are as in the URL, unescaped."""

    name: str
    values: tuple[str, ...]
    modifier: str = ""


Limits = tuple[tuple[SearchTerm, ...], ...]  # alternatives: a resource meets all terms of one of them; () is met by all


class Query(Struct, frozen=True):
    """A search over one type, or (`type` "") over `types`, or all types of a compartment.

    `after` is the cursor of the page before.
    """

    type: str
    terms: tuple[SearchTerm, ...] = ()
    count: int = 50
    after: str = ""
    sort: tuple[str, ...] = ()  # "-date", "name"; empty: by the order of commits, newest last
    include: tuple[str, ...] = ()  # "Observation:subject", "*:*", "iterate|Observation:has-member"
    revinclude: tuple[str, ...] = ()  # "Provenance:target"
    total_only: bool = False
    with_total: bool = True
    compartment: str = ""  # `Patient/abc`: only what belongs to this record
    types: tuple[str, ...] = ()  # of a search over all types (`type` ""): only these
    care: tuple[int, int] | None = None  # first, after, in ms: only care of this time, or of none that is said
    limits: dict[str, Limits] | None = None  # what the caller may see, by type, of matches and of what is included


class Page(Struct, frozen=True):
    """One page: matches, then included ones. `total` is counted, never estimated; -1 when it was not asked for."""

    matches: tuple[Stored, ...]
    included: tuple[Stored, ...]
    total: int
    next: str = ""  # cursor; "" at the end


class HoldState(StrEnum):
    """Where a held message stands."""

    OPEN = "open"  # waits for a person, or (`behind`) for the one before it
    APPLIED = "applied"  # was run again, and its effects were committed
    DISCARDED = "discarded"  # a person decided that it shall never be applied: counts as rejected


class Hold(Struct, frozen=True):
    """One held message and what became of it."""

    seq: int
    partition: int
    key: str
    code: str
    message: str
    location: str
    owner: str
    behind: bool
    at: int  # when it was held first
    tries: int  # how often it was tried and held
    state: HoldState = HoldState.OPEN
    settled_at: int = 0
    settled_by: str = ""
    note: str = ""
    other_key: str = ""  # the second key of a merge


class ExceptionRecord(Struct, frozen=True):
    """One exception item; items of one group are one record with a count."""

    id: int
    code: str
    message: str
    location: str
    owner: str
    row: str
    group: str
    count: int
    first_at: int
    last_at: int
    samples: tuple[int, ...]  # seqs: the first, and the latest few
    is_open: bool = True
    settled_at: int = 0
    settled_by: str = ""
    note: str = ""


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    DUE = "due"  # to be sent, not before `next_at`
    CLAIMED = "claimed"  # being sent; after a crash it is unknown whether it arrived
    HELD = "held"  # refused as it is: waits for a person, and what comes later of its key waits behind it
    DELIVERED = "delivered"  # the destination said yes
    DEAD = "dead"  # given up; its key goes on without it
    DISCARDED = "discarded"  # a person decided that it shall never be sent; its key goes on


# These are still to be sent: what comes later of their keys waits behind them.
WAITING_DELIVERIES = frozenset({DeliveryState.DUE, DeliveryState.CLAIMED, DeliveryState.HELD})


class StuckDeliveries(Struct, frozen=True):
    """Deliveries to one destination that stand `held` or `dead` for the same code: a person has to look at them."""

    destination: str
    state: DeliveryState
    code: str
    count: int
    first: int  # the lowest id
    since: int  # when the oldest was asked for, microseconds


class Delivery(Struct, frozen=True):
    """One record of the outbox. The payload of a delivered one is not kept: it is b""."""

    id: int
    seq: int  # the message that caused it
    outgoing: Outgoing
    state: DeliveryState
    attempts: int
    next_at: int
    code: str  # of the last failure
    created_at: int
    receipt: Receipt | None = None


RELOAD = 0  # the seq of a request to take the workbook as it is now


class ReplayRequest(Struct, frozen=True):
    """Somebody asks the engine to run a held message again, or (RELOAD) to take the workbook as it is now."""

    id: int
    seq: int
    by: str
    at: int


class RepositoryCounts(Struct, frozen=True):
    """Counted from the stored rows at the moment of asking."""

    applied: int
    held: int  # open holds that wait for a person
    behind: int  # open holds that wait behind one
    discarded: int
    fields: Accounting  # sums over the applied messages
    exceptions: int  # open exception records
    deliveries: dict[str, int]  # by state


@runtime_checkable
class Repository(Protocol):
    """Versions of resources, their search index, outbox, exceptions and positions: one transaction for all of them."""

    async def apply(
        self,
        work: Sequence[Effects | Held],
        positions: Mapping[int, int],
        expected: Mapping[int, int] | None = None,
    ) -> None:
        """Commit effects, holds and the new positions (partition -> seq) together, or nothing of it.

        A message that was applied or discarded before has no second effect; one that is held is settled by its effects.
        Raises StoreError `position-stale` (retry: read positions again) when a stored position is beyond a new one, or
        is not the `expected` one.
        """
        ...

    async def write(
        self,
        changes: Sequence[Change],
        *,
        references: Mapping[str, Query] = ...,
        then: Callable[[Sequence[Written]], Aftermath] = ...,
    ) -> list[Written]:
        """Carry out all changes or none, in one transaction; return after its commit.

        `references` are conditional references in the bodies, with what they ask for. `then` is called inside the
        transaction with what came of each change; what it gives is committed with them. Raises WriteRefused.
        """
        ...

    def get(self, type_: str, id_: str, version: int | None = None) -> Stored:
        """One resource, or one version of it. Raises NotFound; a deleted one is returned as deleted."""
        ...

    def history(self, type_: str, id_: str, limit: int = 100) -> list[Stored]:
        """Versions of one resource, newest first. Raises NotFound."""
        ...

    def versions(self, past: Past) -> Versions:
        """Versions of one resource, a type or all, newest first by commits. Raises HilumError `search-too-slow`."""
        ...

    def version_by(self, seq: int, type_: str, id_: str) -> Stored | None:
        """The version of one resource that a message made; None when it changed nothing of it, or there is none."""
        ...

    def search(self, query: Query) -> Page:
        """Raises HilumError `search-parameter-unknown` or `search-value-invalid`; location is the parameter.

        `search-too-slow` and `search-too-wide` when it takes too long, or includes too much.
        """
        ...

    def merges(self, record: str | None = None, limit: int = 100) -> list[MergeRecord]:
        """All that was said about merging `Type/id`, and what that is tied to, by event time; of None the newest."""
        ...

    def positions(self) -> dict[int, int]:
        """Partition -> seq of the last message that it has dealt with."""
        ...

    def counts(self) -> RepositoryCounts:
        """What is there, counted now."""
        ...

    def held_keys(self) -> dict[str, int]:
        """Keys with an open hold -> the lowest seq held. A held merge holds both of its keys."""
        ...

    def holds(
        self,
        *,
        key: str | None = None,
        code: str | None = None,
        state: HoldState | None = HoldState.OPEN,
        after: int = 0,
        limit: int = 100,
    ) -> list[Hold]:
        """Holds with seq > after, in order. `key` is either key of a merge, "" means without one; `state=None` all."""
        ...

    def hold(self, seq: int) -> Hold:
        """Raises NotFound `hold-unknown`."""
        ...

    async def discard(self, seq: int, by: str, note: str) -> None:
        """Decide that a held message shall never be applied. Raises NotFound `hold-unknown` unless it is open."""
        ...

    async def request_replay(self, seq: int | None, by: str, *, code: str | None = None) -> int:
        """Ask for one held message, or all (with this code), to be run again; returns how many were asked for.

        Raises NotFound `hold-unknown` when that one is not held. One that is asked for already is not asked for twice.
        """
        ...

    async def request_reload(self, by: str) -> None:
        """Ask whoever runs to take the workbook as it is now: a request of seq RELOAD, before all replays."""
        ...

    def requests(self, limit: int = 1000) -> list[ReplayRequest]:
        """What was asked for and not answered, by seq. Applying or discarding a message answers its own."""
        ...

    async def answer_requests(self, ids: Sequence[int]) -> None:
        """They were tried: take them off the list, whatever came of them."""
        ...

    def exceptions(
        self,
        *,
        code: str | None = None,
        owner: str | None = None,
        is_open: bool | None = True,
        after: int = 0,
        limit: int = 100,
    ) -> list[ExceptionRecord]:
        """Exception records with id > after, in order; `is_open=None` means all."""
        ...

    def exception(self, id_: int) -> ExceptionRecord:
        """Raises NotFound `exception-unknown`."""
        ...

    async def report(self, items: Sequence[ExceptionItem]) -> None:
        """Tell a person of what no message brought: a sender that went silent."""
        ...

    async def settle(self, id_: int, by: str, note: str) -> None:
        """End a record; the next message of its group opens it again. Raises NotFound `exception-unknown`."""
        ...

    def due(self, destination: str, now: int, limit: int = 100) -> list[Delivery]:
        """What may be sent now: of each key the oldest open one, when it is not claimed and its time has come.

        The delivery of a merge has two keys: it waits for both, and what comes later of either waits for it.
        """
        ...

    def next_due(self, destination: str) -> int | None:
        """When (microseconds) the next delivery may be sent; None when nothing waits for its time."""
        ...

    def deliveries(
        self,
        destination: str | None = None,
        *,
        state: DeliveryState | None = None,
        code: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[Delivery]:
        """The outbox with id > after, in order; `limit` -1 means all."""
        ...

    def delivery(self, id_: int) -> Delivery:
        """Raises NotFound `delivery-unknown`."""
        ...

    def deliveries_of(self, seq: int) -> list[Delivery]:
        """The deliveries that one message caused, in order."""
        ...

    def delivery_counts(self) -> dict[tuple[str, str], int]:
        """(destination, state) -> deliveries, counted now."""
        ...

    def stuck_deliveries(self) -> list[StuckDeliveries]:
        """What was refused or given up and waits for a person, by destination, state and code."""
        ...

    def type_counts(self) -> dict[str, int]:
        """FHIR type -> resources that are not deleted, counted now."""
        ...

    async def claim(self, ids: Sequence[int]) -> None:
        """Record the intent to send, before sending; counts one attempt. All or none: NotFound `delivery-unknown`."""
        ...

    async def release(self, destination: str | None = None) -> list[Delivery]:
        """Make claimed deliveries due again and return them. At start: these were under way when the process ended."""
        ...

    async def delivered(self, id_: int, receipt: Receipt) -> None:
        """The destination took it. Raises NotFound `delivery-unknown`."""
        ...

    async def failed(self, id_: int, next_at: int, code: str) -> None:
        """It did not, this time: due again at `next_at`; its key waits. Raises NotFound `delivery-unknown`."""
        ...

    async def refused(self, id_: int, code: str) -> None:
        """It is not taken as it is: it waits for a person, and its key waits. Raises NotFound `delivery-unknown`."""
        ...

    async def dead(self, id_: int, code: str) -> None:
        """Give it up; its key goes on. Raises NotFound `delivery-unknown`."""
        ...

    async def revive(self, ids: Sequence[int]) -> None:
        """Make these due at once, all or none. Raises NotFound `delivery-unknown` for one claimed or delivered."""
        ...

    async def abandon(self, ids: Sequence[int]) -> None:
        """They shall never be sent; their keys go on. Raises NotFound `delivery-unknown` unless due, held or dead."""
        ...

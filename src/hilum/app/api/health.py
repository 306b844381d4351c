"""What the API asks of the running engine, as values: readiness checks and control totals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

__all__ = [
    "ArrivalCount",
    "Check",
    "DeliveryCount",
    "ExportStand",
    "Health",
    "StaticHealth",
    "SubscriberStand",
    "SubscriptionStand",
    "Totals",
]


class Check(Struct, frozen=True):
    """One condition of readiness: `journal`, `workers`, `disk`, `source:adt`. `detail` holds numbers, never PHI."""

    name: str
    ok: bool
    detail: str = ""


class Totals(Struct, frozen=True):
    """The control totals, counted from the store: received = applied + held + rejected + waiting."""

    received: int = 0
    applied: int = 0
    held: int = 0
    rejected: int = 0
    waiting: int = 0
    duplicates: int = 0  # outside the sum


class DeliveryCount(Struct, frozen=True):
    """Outgoing records of one destination in one state: `due`, `claimed`, `held`, `delivered`, `dead`, `discarded`."""

    destination: str
    state: str
    count: int


class ArrivalCount(Struct, frozen=True):
    """Messages of one source in the journal, and when the last one came (microseconds, 0 for never)."""

    source: str
    count: int
    last_at: int = 0


class ExportStand(Struct, frozen=True):
    """Bulk exports in the store by state (`open`, `done`, `failed`); since when the oldest open one waits or runs.

    In microseconds, 0 where none is open.
    """

    counts: dict[str, int]
    oldest: int = 0


class SubscriberStand(Struct, frozen=True):
    """One subscriber's events that were not taken yet, since when (microseconds, 0: none), and failures in a row."""

    subscriber: str
    waiting: int = 0
    oldest: int = 0
    failures: int = 0


class SubscriptionStand(Struct, frozen=True):
    """Subscriptions by status, who is told, and how many commits were not looked through yet."""

    counts: dict[str, int]
    subscribers: tuple[SubscriberStand, ...] = ()
    behind: int = 0


@runtime_checkable
class Health(Protocol):
    """Asked for every /readyz and /metrics, from another thread than the event loop's. Numbers come from the store."""

    def checks(self) -> Sequence[Check]:
        """All conditions of readiness, the journal's writability among them."""
        ...

    def totals(self) -> Totals:
        """Counted now, from one snapshot of the store."""
        ...

    def deliveries(self) -> Sequence[DeliveryCount]:
        """Counted now, per destination and state."""
        ...

    def arrivals(self) -> Sequence[ArrivalCount]:
        """Counted now, per source."""
        ...


class StaticHealth:
    """Health that says what it was told: for tests and for serving a store that no engine runs on."""

    def __init__(
        self,
        checks: Sequence[Check] = (),
        totals: Totals | None = None,
        deliveries: Sequence[DeliveryCount] = (),
        arrivals: Sequence[ArrivalCount] = (),
    ) -> None:
        self._checks = tuple(checks)
        self._totals = totals or Totals()
        self._deliveries = tuple(deliveries)
        self._arrivals = tuple(arrivals)

    def checks(self) -> Sequence[Check]:
        return self._checks

    def totals(self) -> Totals:
        return self._totals

    def deliveries(self) -> Sequence[DeliveryCount]:
        return self._deliveries

    def arrivals(self) -> Sequence[ArrivalCount]:
        return self._arrivals

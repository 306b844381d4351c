"""Holds, replays, exceptions and the outbox in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from hilum.model import Accounting, ExceptionItem, Held, Receipt, Sighted

from .plan import Plan
from .rules import drift_item, is_learned, missing, with_sample
from .seam import (
    RELOAD,
    WAITING_DELIVERIES,
    Delivery,
    DeliveryState,
    ExceptionRecord,
    Hold,
    HoldState,
    ReplayRequest,
    RepositoryCounts,
    StuckDeliveries,
)

__all__ = ["MemoryDesk"]


class MemoryDesk:
    """The part of a repository that is not resources."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._committed_at = 0  # microseconds
        self._positions: dict[int, int] = {}
        self._applied: dict[int, Accounting] = {}
        self._holds: dict[int, Hold] = {}
        self._exceptions: dict[int, ExceptionRecord] = {}
        self._sighted: dict[str, dict[str, int]] = {}  # things by whom they were seen of -> when first
        self._deliveries: dict[int, Delivery] = {}
        self._requests: dict[int, ReplayRequest] = {}

    def _take(self, plan: Plan, now: int) -> None:
        """The parts of a plan that are not resources. `now` in microseconds."""
        self._committed_at = now
        self._applied.update(plan.applied)
        for seq in plan.settled:
            self._settle_hold(seq, HoldState.APPLIED, "engine", "")
        for held in plan.held.values():
            self._hold(held)
        news = [(seq, item) for seq, sighted in plan.sighted for item in self._sight(sighted, now)]
        for seq, item in (*plan.exceptions, *news):
            self._count_exception(_record(item, now), seq)
        for seq, outgoing in plan.outgoing:
            known = {(one.outgoing.destination, one.outgoing.idempotency_key) for one in self._deliveries.values()}
            if (outgoing.destination, outgoing.idempotency_key) not in known:
                id_ = len(self._deliveries) + 1
                self._deliveries[id_] = Delivery(id_, seq, outgoing, DeliveryState.DUE, 0, 0, "", now)

    def _sight(self, sighted: Sighted, now: int) -> list[ExceptionItem]:
        """Remember these things of somebody; items for those that are news."""
        known = self._sighted.setdefault(sighted.by, {})
        learned = is_learned(min(known.values(), default=None), now, sighted.learn_days)
        fresh = [thing for thing in sighted.things if thing not in known]
        known.update(dict.fromkeys(fresh, now))
        return [drift_item(sighted.by, thing, sighted.owner) for thing in fresh] if learned else []

    # holds and replays

    def is_applied(self, seq: int) -> bool:
        return seq in self._applied

    def hold_state(self, seq: int) -> HoldState | None:
        return self._holds[seq].state if seq in self._holds else None

    def positions(self) -> dict[int, int]:
        return dict(self._positions)

    def counts(self) -> RepositoryCounts:
        holds = list(self._holds.values())
        return RepositoryCounts(
            applied=len(self._applied),
            held=sum(one.state is HoldState.OPEN and not one.behind for one in holds),
            behind=sum(one.state is HoldState.OPEN and one.behind for one in holds),
            discarded=sum(one.state is HoldState.DISCARDED for one in holds),
            fields=Accounting(
                *(sum(getattr(one, name) for one in self._applied.values()) for name in Accounting.__struct_fields__)
            ),
            exceptions=sum(one.is_open for one in self._exceptions.values()),
            deliveries={
                state.value: sum(one.state is state for one in self._deliveries.values()) for state in DeliveryState
            },
        )

    def held_keys(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for one in self._open_holds():
            for key in (one.key, one.other_key):
                found.setdefault(key, one.seq)
        found.pop("", None)
        return found

    def holds(
        self,
        *,
        key: str | None = None,
        code: str | None = None,
        state: HoldState | None = HoldState.OPEN,
        after: int = 0,
        limit: int = 100,
    ) -> list[Hold]:
        found = (
            one
            for one in sorted(self._holds.values(), key=lambda one: one.seq)
            if one.seq > after
            and (key in (None, one.key) or (key and key == one.other_key))
            and code in (None, one.code)
            and state in (None, one.state)
        )
        return list(found)[:limit]

    def hold(self, seq: int) -> Hold:
        if seq not in self._holds:
            raise missing("hold", seq)
        return self._holds[seq]

    async def discard(self, seq: int, by: str, note: str) -> None:
        self._open_hold(seq)
        self._settle_hold(seq, HoldState.DISCARDED, by, note)

    async def request_replay(self, seq: int | None, by: str, *, code: str | None = None) -> int:
        holds = self._open_holds() if seq is None else [self._open_hold(seq)]
        wanted = [one.seq for one in holds if code in (None, one.code)]
        self._request(wanted, by)
        return len(wanted)

    async def request_reload(self, by: str) -> None:
        self._request([RELOAD], by)

    def _request(self, wanted: Sequence[int], by: str) -> None:
        for one in wanted:
            if one not in {request.seq for request in self._requests.values()}:
                id_ = max(self._requests, default=0) + 1
                self._requests[id_] = ReplayRequest(id_, one, by, self._clock())

    def requests(self, limit: int = 1000) -> list[ReplayRequest]:
        return sorted(self._requests.values(), key=lambda one: one.seq)[:limit]

    async def answer_requests(self, ids: Sequence[int]) -> None:
        for id_ in ids:
            self._requests.pop(id_, None)

    def _open_holds(self) -> list[Hold]:
        return [one for _, one in sorted(self._holds.items()) if one.state is HoldState.OPEN]

    def _open_hold(self, seq: int) -> Hold:
        if self.hold_state(seq) is not HoldState.OPEN:
            raise missing("hold", seq)
        return self._holds[seq]

    def _hold(self, held: Held) -> None:
        before = self._holds.get(held.seq)
        self._holds[held.seq] = Hold(
            held.seq,
            held.partition,
            held.key,
            held.code,
            held.message,
            held.location,
            held.owner,
            held.behind,
            at=before.at if before else self._committed_at,
            tries=(before.tries if before else 0) + 1,
            other_key=held.other_key,
        )

    def _settle_hold(self, seq: int, state: HoldState, by: str, note: str) -> None:
        at = self._clock() if state is HoldState.DISCARDED else self._committed_at
        self._holds[seq] = replace(self._holds[seq], state=state, settled_at=at, settled_by=by, note=note)
        self._requests = {id_: one for id_, one in self._requests.items() if one.seq != seq}

    # exceptions

    def exceptions(
        self,
        *,
        code: str | None = None,
        owner: str | None = None,
        is_open: bool | None = True,
        after: int = 0,
        limit: int = 100,
    ) -> list[ExceptionRecord]:
        found = (
            one
            for one in self._exceptions.values()
            if one.id > after
            and code in (None, one.code)
            and owner in (None, one.owner)
            and is_open in (None, one.is_open)
        )
        return list(found)[:limit]

    def exception(self, id_: int) -> ExceptionRecord:
        if id_ not in self._exceptions:
            raise missing("exception", id_)
        return self._exceptions[id_]

    async def report(self, items: Sequence[ExceptionItem]) -> None:
        for item in items:
            self._count_exception(_record(item, self._clock()), 0)

    async def settle(self, id_: int, by: str, note: str) -> None:
        record = self.exception(id_)
        if not record.is_open:
            raise missing("exception", id_)
        self._exceptions[id_] = replace(record, is_open=False, settled_at=self._clock(), settled_by=by, note=note)

    def _count_exception(self, record: ExceptionRecord, seq: int) -> None:
        known = [one for one in self._exceptions.values() if one.group and one.group == record.group]
        id_ = known[0].id if known else len(self._exceptions) + 1
        before = known[0] if known else record
        self._exceptions[id_] = replace(
            record,
            id=id_,
            count=before.count + 1,
            first_at=before.first_at,
            samples=with_sample(before.samples, seq),
        )

    # outbox

    def due(self, destination: str, now: int, limit: int = 100) -> list[Delivery]:
        heads = [one for one in self._heads(destination) if one.state is DeliveryState.DUE and one.next_at <= now]
        first = sorted(heads, key=lambda one: (one.next_at, one.id))[:limit]
        return sorted(first, key=lambda one: one.id)

    def next_due(self, destination: str) -> int | None:
        return min((one.next_at for one in self._heads(destination) if one.state is DeliveryState.DUE), default=None)

    def _heads(self, destination: str) -> list[Delivery]:
        heads: list[Delivery] = []
        waited_for: set[str] = set()
        for one in self._deliveries.values():
            is_open = one.state in WAITING_DELIVERIES
            if one.outgoing.destination == destination and is_open:
                keys = {one.outgoing.key, one.outgoing.other_key or one.outgoing.key}
                if not keys & waited_for:
                    heads.append(one)
                waited_for |= keys
        return heads

    def deliveries(
        self,
        destination: str | None = None,
        *,
        state: DeliveryState | None = None,
        code: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[Delivery]:
        found = [
            one
            for one in self._deliveries.values()
            if one.id > after
            and destination in (None, one.outgoing.destination)
            and state in (None, one.state)
            and code in (None, one.code)
        ]
        return found if limit < 0 else found[:limit]

    def delivery(self, id_: int) -> Delivery:
        return self._delivery(id_, *DeliveryState)

    def deliveries_of(self, seq: int) -> list[Delivery]:
        return [one for _, one in sorted(self._deliveries.items()) if one.seq == seq]

    def delivery_counts(self) -> dict[tuple[str, str], int]:
        return dict(Counter((one.outgoing.destination, one.state.value) for one in self._deliveries.values()))

    def stuck_deliveries(self) -> list[StuckDeliveries]:
        groups: dict[tuple[str, DeliveryState, str], list[Delivery]] = {}
        for one in self._deliveries.values():
            if one.state in (DeliveryState.HELD, DeliveryState.DEAD):
                groups.setdefault((one.outgoing.destination, one.state, one.code), []).append(one)
        return [StuckDeliveries(*key, len(all_), all_[0].id, all_[0].created_at) for key, all_ in groups.items()]

    async def claim(self, ids: Sequence[int]) -> None:
        for id_ in ids:
            one = self._delivery(id_, DeliveryState.DUE)
            self._deliveries[id_] = replace(one, state=DeliveryState.CLAIMED, attempts=one.attempts + 1)

    async def release(self, destination: str | None = None) -> list[Delivery]:
        found = self.deliveries(destination, state=DeliveryState.CLAIMED, limit=-1)
        for one in found:
            self._deliveries[one.id] = replace(one, state=DeliveryState.DUE)
        return found

    async def delivered(self, id_: int, receipt: Receipt) -> None:
        one = self._delivery(id_, DeliveryState.DUE, DeliveryState.CLAIMED)
        self._deliveries[id_] = replace(
            one,
            state=DeliveryState.DELIVERED,
            attempts=_attempts(one),
            receipt=receipt,
            outgoing=replace(one.outgoing, payload=b""),
        )

    async def failed(self, id_: int, next_at: int, code: str) -> None:
        one = self._delivery(id_, DeliveryState.DUE, DeliveryState.CLAIMED)
        self._deliveries[id_] = replace(
            one, state=DeliveryState.DUE, attempts=_attempts(one), next_at=next_at, code=code
        )

    async def refused(self, id_: int, code: str) -> None:
        one = self._delivery(id_, DeliveryState.DUE, DeliveryState.CLAIMED)
        self._deliveries[id_] = replace(one, state=DeliveryState.HELD, attempts=_attempts(one), code=code)

    async def dead(self, id_: int, code: str) -> None:
        one = self._delivery(id_, DeliveryState.DUE, DeliveryState.CLAIMED)
        self._deliveries[id_] = replace(one, state=DeliveryState.DEAD, attempts=_attempts(one), code=code)

    async def revive(self, ids: Sequence[int]) -> None:
        states = (DeliveryState.DUE, DeliveryState.HELD, DeliveryState.DEAD, DeliveryState.DISCARDED)
        for one in [self._delivery(id_, *states) for id_ in ids]:
            self._deliveries[one.id] = replace(one, state=DeliveryState.DUE, next_at=0)

    async def abandon(self, ids: Sequence[int]) -> None:
        states = (DeliveryState.DUE, DeliveryState.HELD, DeliveryState.DEAD)
        for one in [self._delivery(id_, *states) for id_ in ids]:
            self._deliveries[one.id] = replace(one, state=DeliveryState.DISCARDED)

    def _delivery(self, id_: int, *states: DeliveryState) -> Delivery:
        one = self._deliveries.get(id_)
        if one is None or one.state not in states:
            raise missing("delivery", id_)
        return one


def _attempts(one: Delivery) -> int:
    """An attempt that was not claimed before it was made counts when its outcome is told."""
    return one.attempts + (one.state is DeliveryState.DUE)


def _record(item: ExceptionItem, now: int) -> ExceptionRecord:
    return ExceptionRecord(0, item.code, item.message, item.location, item.owner, item.row, item.group, 0, now, now, ())

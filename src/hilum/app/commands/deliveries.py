"""`hilum deliveries`: what is on its way out, what was refused or given up, and what a person decides about it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from hilum.app.arguments import AT_LEAST_ONE, Environment, Folder, Json
from hilum.app.opening import Opened, open_folder
from hilum.app.printing import print_json, print_table, when
from hilum.repository import Delivery, DeliveryState

__all__ = ["app"]

app = App(name="deliveries", help="List what is sent on, held and given up; send it again, or decide against it.")

Number = Annotated[int, Parameter(help="The number of a delivery, as `list` names it.")]
Alike = Annotated[
    bool, Parameter(help="And all others to its destination that stand as it does for the same code.", negative="")
]
Code = Annotated[str | None, Parameter(help="Only those whose last failure has this code.")]


@app.command(name="list")
def list_(
    folder: Folder = Path(),
    *,
    state: Annotated[DeliveryState | None, Parameter(help="Only those that stand so.")] = None,
    destination: Annotated[str | None, Parameter(help="Only those to this destination.")] = None,
    code: Code = None,
    after: Annotated[int, Parameter(help="Go on after the delivery with this number.")] = 0,
    limit: Annotated[int, Parameter(help="How many at most.", validator=AT_LEAST_ONE)] = 50,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """List deliveries in the order in which they were asked for. Shows no PHI."""
    with open_folder(folder, environment) as opened:
        found = opened.repository.deliveries(destination, state=state, code=code, after=after, limit=limit)
    rows = [_facts(one) for one in found]
    if json:
        print_json({"deliveries": rows})
        return 0
    columns = ("delivery", "message", "destination", "state", "attempts", "since", "next", "code")
    print_table(columns, [[row[name] for name in columns] for row in rows], empty="no deliveries")
    if len(rows) == limit:
        print(f"\nmore: --after {rows[-1]['delivery']}")
    return 0


@app.command
def retry(
    delivery: Number,
    folder: Folder = Path(),
    *,
    alike: Alike = False,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Send again what was held, given up or discarded, or now what waits for its next try. The running hilum does it.

    The idempotency key stays the same, so a receiver that has the record already does nothing.
    """
    with open_folder(folder, environment) as opened:
        chosen = _chosen(opened, delivery, alike=alike)
        asyncio.run(opened.repository.revive(chosen))
        opened.audit_each("delivery-retry", [f"delivery/{one}" for one in chosen], "")
    return _tell(chosen, DeliveryState.DUE, "due again", json=json)


@app.command
def discard(
    delivery: Number,
    folder: Folder = Path(),
    *,
    note: Annotated[str, Parameter(help="Why; kept in the audit. No PHI, please.")],
    alike: Alike = False,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Decide that what waits, was held or given up shall not be sent; what waits behind it goes on.

    `hilum deliveries retry` takes that back.
    """
    with open_folder(folder, environment) as opened:
        chosen = _chosen(opened, delivery, alike=alike)
        asyncio.run(opened.repository.abandon(chosen))
        opened.audit_each("delivery-discard", [f"delivery/{one}" for one in chosen], note)
    return _tell(chosen, DeliveryState.DISCARDED, "discarded", json=json)


def _chosen(opened: Opened, delivery: int, *, alike: bool) -> list[int]:
    """This one; with `alike` all that stand as it does, at the same destination and for the same code."""
    if not alike:
        return [delivery]
    one = opened.repository.delivery(delivery)
    like_it = opened.repository.deliveries(one.outgoing.destination, state=one.state, code=one.code, limit=-1)
    return [other.id for other in like_it]


def _tell(chosen: list[int], state: DeliveryState, said: str, *, json: bool) -> int:
    if json:
        print_json({"deliveries": chosen, "state": state.value})
    elif len(chosen) == 1:
        print(f"delivery {chosen[0]} is {said}")
    else:
        print(f"{len(chosen)} deliveries are {said}")
    return 0


def _facts(one: Delivery) -> dict[str, Any]:
    return {
        "delivery": one.id,
        "message": one.seq,
        "destination": one.outgoing.destination,
        "state": one.state.value,
        "attempts": one.attempts,
        "since": when(one.created_at),
        "next": when(one.next_at) if one.state is DeliveryState.DUE else "",
        "code": one.code,
    }

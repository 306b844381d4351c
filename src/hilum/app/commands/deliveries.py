"""`hilum deliveries`: what is on its way out, what was given up, and sending it again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from hilum.app.arguments import AT_LEAST_ONE, Environment, Folder, Json
from hilum.app.opening import open_folder
from hilum.app.printing import print_json, print_table, when
from hilum.repository import Delivery, DeliveryState

__all__ = ["app"]

app = App(name="deliveries", help="List what is sent on and what was given up; send it again.")


@app.command(name="list")
def list_(
    folder: Folder = Path(),
    *,
    state: Annotated[DeliveryState | None, Parameter(help="Only those that stand so.")] = None,
    destination: Annotated[str | None, Parameter(help="Only those to this destination.")] = None,
    after: Annotated[int, Parameter(help="Go on after the delivery with this number.")] = 0,
    limit: Annotated[int, Parameter(help="How many at most.", validator=AT_LEAST_ONE)] = 50,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """List deliveries in the order in which they were asked for. Shows no PHI."""
    with open_folder(folder, environment) as opened:
        found = opened.repository.deliveries(destination, state=state, after=after, limit=limit)
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
    delivery: Annotated[int, Parameter(help="The number of a delivery that was given up.")],
    folder: Folder = Path(),
    *,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Send a delivery that was given up again, with the same idempotency key. The running hilum does it."""
    with open_folder(folder, environment) as opened:
        asyncio.run(opened.repository.revive(delivery))
        opened.audit("delivery-retry", f"delivery/{delivery}", "")
    if json:
        print_json({"delivery": delivery, "state": DeliveryState.DUE.value})
    else:
        print(f"delivery {delivery} is due again")
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

"""`hilum exceptions`: what waits for a person, and who that is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from hilum.app.arguments import AT_LEAST_ONE, Environment, Folder, Json
from hilum.app.lessons import Teachable, sender_of, teach, teachable
from hilum.app.opening import Opened, open_folder, whoami
from hilum.app.printing import print_json, print_table, when
from hilum.app.sending import destination_configs
from hilum.errors import HilumError
from hilum.repository import Delivery, DeliveryState, ExceptionRecord, Hold, StuckDeliveries

__all__ = ["app"]

app = App(name="exceptions", help="List, show and settle what waits for a person.")

MOST_TARGETS = 20  # of a map, shown beside an item
LONGEST = 18  # digits of a number; a store cannot count further

Item = Annotated[
    str,
    Parameter(help="H17 is the held message 17, E3 the exception item 3, D5 the delivery 5, as `list` names them."),
]


@app.command(name="list")
def list_(
    folder: Folder = Path(),
    *,
    code: Annotated[str, Parameter(help="Only this code.")] = "",
    owner: Annotated[str, Parameter(help="Only what this person or team owns.")] = "",
    limit: Annotated[int, Parameter(help="How many of each at most.", validator=AT_LEAST_ONE)] = 100,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """List held messages, exception items, and deliveries that were refused or given up. Shows no PHI."""
    with open_folder(folder, environment) as opened:
        holds = opened.repository.holds(code=code or None, limit=limit + 1)
        items = opened.repository.exceptions(code=code or None, owner=owner or None, limit=limit + 1)
        stuck = [_stuck_facts(opened, one) for one in opened.repository.stuck_deliveries() if code in ("", one.code)]
        rows = [_hold_facts(opened, hold) for hold in holds[:limit] if not owner or hold.owner == owner]
        rows += [_item_facts(opened, item) for item in items[:limit]]
    rows += [one for one in stuck if not owner or one["owner"] == owner]
    if json:
        print_json({"exceptions": rows})
        return 0
    columns = ("item", "code", "count", "owner", "since", "sender", "where", "what")
    cells = [
        [*(row[name] for name in columns[:4]), row["since"][:10], row["sender"], row["where"], row["message"]]
        for row in rows
    ]
    print_table(columns, cells, empty="nothing waits for a person")
    if len(holds) > limit or len(items) > limit:
        print(f"\nmore wait: --limit {limit * 10} shows more, --code and --owner choose")
    return 0


@app.command
def show(item: Item, folder: Folder = Path(), *, environment: Environment = None, json: Json = False) -> int:
    """Show one item with all that is known of it. Shows no PHI."""
    kind, number = _parse(item)
    with open_folder(folder, environment) as opened:
        facts = _all_facts(opened, kind, number)
        known = teachable(opened, number) if kind == "E" else None
    if json:
        print_json(facts | ({"candidates": known.candidates, "display": known.display} if known else {}))
    else:
        print_table(("field", "value"), [(name, value) for name, value in facts.items() if value != ""], empty="")
        if known:
            _print_candidates(item, known)
        if kind == "H":
            print(
                f"\n`hilum hl7 show` reads such a message; `hilum messages show {number} --reason TEXT` shows this one."
            )
        if kind == "D":
            print(f"\n`hilum deliveries retry {number}` sends it again, `hilum deliveries discard {number} --note WHY`")
            print("decides against it; with --alike both do so to all that stand as it does for the same code.")
    return 0


@app.command
def settle(
    item: Item,
    folder: Folder = Path(),
    *,
    note: Annotated[str, Parameter(help="Why; kept with the item and in the audit. No PHI, please.")],
    discard: Annotated[
        bool,
        Parameter(
            help="A held message shall never be applied: it counts as rejected. A delivery shall never be sent.",
            negative="",
        ),
    ] = False,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """End an item. A held message is either replayed (`hilum messages replay`) or, with --discard, given up.

    A delivery is either sent again (`hilum deliveries retry`) or, with --discard, never sent.
    """
    kind, number = _parse(item)
    if kind in _AGAIN and not discard:
        raise HilumError(_AGAIN[kind].format(number), code="settle-undecided")
    with open_folder(folder, environment) as opened:
        asyncio.run(_settle(opened, kind, number, note))
        opened.audit("discard" if kind in _AGAIN else "settle", item, note)
    if json:
        print_json({"item": item, "settled": True})
    else:
        print(f"{item} is {_SETTLED[kind]}")
    return 0


_AGAIN = {
    "H": "a held message is not settled by a note: `hilum messages replay {}` runs it again, --discard gives it up",
    "D": "a delivery is not settled by a note: `hilum deliveries retry {}` sends it again, --discard gives it up",
}
_SETTLED = {"H": "discarded and counts as rejected", "D": "discarded and will not be sent", "E": "settled"}


async def _settle(opened: Opened, kind: str, number: int, note: str) -> None:
    if kind == "H":
        await opened.repository.discard(number, whoami(), note)
    elif kind == "D":
        await opened.repository.abandon([number])
    else:
        await opened.repository.settle(number, whoami(), note)


@app.command(name="map")
def map_(
    item: Item,
    target: Annotated[str, Parameter(help='The code that it means; "" for nothing at all, on purpose.')],
    folder: Folder = Path(),
    *,
    system: Annotated[str, Parameter(help="Code system of the target; by default that of its map.")] = "",
    display: Annotated[str, Parameter(help="Words for the target; by default those of its map.")] = "",
    note: Annotated[str, Parameter(help="Why; kept with the line. No PHI, please.")] = "",
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Say what a code without a map means, and run again what was held for it.

    The line goes into workbook/maps.csv of your folder, for this sender, as a draft that its owner signs. A running
    hilum takes it at once. `exceptions show` names candidates.
    """
    kind, number = _parse(item)
    if kind != "E":
        raise HilumError("only an exception item names a code: E3, as `list` names it", code="item-unknown")
    with open_folder(folder, environment) as opened:
        lesson = teach(opened, number, target, system=system, display=display, note=note)
    if json:
        print_json(lesson)
    else:
        print(f"{lesson.file}: {lesson.map} {lesson.code} of {lesson.sender} means {target or 'nothing, on purpose'}")
        print(f"{item} is settled; messages asked to run again: {lesson.replayed}")
        print("messages that were applied without it stay as they are")
    return 0


def _print_candidates(item: str, known: Teachable) -> None:
    rows = [(one.target, one.display, one.system, f"{one.alike:.2f}", one.why) for one in known.candidates]
    print(f"\nThe sender calls it `{known.display}`." if known.display else "")
    print_table(("target", "display", "system", "alike", "why"), rows, empty="no target of its map is like it")
    if known.targets:
        more = f" and {len(known.targets) - MOST_TARGETS} more" if len(known.targets) > MOST_TARGETS else ""
        print(f"\nIts map {known.missing.map} has the targets {', '.join(known.targets[:MOST_TARGETS])}{more}.")
    print(f"\n`hilum exceptions map {item} TARGET` says what it means, and runs again what was held for it.")


def _parse(item: str) -> tuple[str, int]:
    kind, number = item[:1].upper(), item[1:]
    if kind not in _SETTLED or not (number.isascii() and number.isdecimal()) or len(number) > LONGEST:
        raise HilumError(
            "write H and the number of a held message, E of an item, or D of a delivery: H17, E3, D5",
            code="item-unknown",
        )
    return kind, int(number)


def _all_facts(opened: Opened, kind: str, number: int) -> dict[str, Any]:
    if kind == "H":
        hold = opened.repository.hold(number)
        facts = _hold_facts(opened, hold)
        facts |= {"state": hold.state.value, "tries": hold.tries, "settled": when(hold.settled_at)}
        return facts | {"settled_by": hold.settled_by, "note": hold.note}
    if kind == "D":
        return _delivery_facts(opened, number)
    item = opened.repository.exception(number)
    facts = _item_facts(opened, item)
    facts |= {"row": item.row, "last": when(item.last_at), "samples": " ".join(map(str, item.samples))}
    return facts | {"settled": when(item.settled_at), "settled_by": item.settled_by, "note": item.note}


def _hold_facts(opened: Opened, hold: Hold) -> dict[str, Any]:
    return {
        "item": f"H{hold.seq}",
        "code": hold.code,
        "where": hold.location,
        "count": 1,
        "owner": hold.owner,
        "since": when(hold.at),
        "sender": sender_of(opened, hold.seq),
        "message": hold.message,
    }


def _item_facts(opened: Opened, item: ExceptionRecord) -> dict[str, Any]:
    return {
        "item": f"E{item.id}",
        "code": item.code,
        "where": item.location,
        "count": item.count,
        "owner": item.owner,
        "since": when(item.first_at),
        "sender": sender_of(opened, item.samples[-1]) if item.samples else "",
        "message": item.message,
    }


_STUCK = {
    DeliveryState.HELD: "refused; what comes later of the same patient waits",
    DeliveryState.DEAD: "given up; what comes later of the same patient went on",
}


def _stuck_facts(opened: Opened, stuck: StuckDeliveries) -> dict[str, Any]:
    return {
        "item": f"D{stuck.first}",
        "code": stuck.code,
        "where": f"to {stuck.destination}",
        "count": stuck.count,
        "owner": _owner_of(opened, stuck.destination),
        "since": when(stuck.since),
        "sender": "",
        "message": _STUCK[stuck.state],
    }


def _delivery_facts(opened: Opened, number: int) -> dict[str, Any]:
    one = opened.repository.delivery(number)
    name = one.outgoing.destination
    return {
        "item": f"D{number}",
        "code": one.code,
        "where": f"to {name}",
        "count": _like(opened, one),
        "owner": _owner_of(opened, name),
        "since": when(one.created_at),
        "sender": sender_of(opened, one.seq),
        "message": _STUCK.get(one.state, ""),
        "state": one.state.value,
        "tries": one.attempts,
        "samples": str(one.seq),
    }


def _like(opened: Opened, one: Delivery) -> int:
    """How many stand as this one does, for the same code."""
    key = (one.outgoing.destination, one.state, one.code)
    stuck = opened.repository.stuck_deliveries()
    return next((group.count for group in stuck if (group.destination, group.state, group.code) == key), 1)


def _owner_of(opened: Opened, destination: str) -> str:
    """ "" for a destination that the folder does not name any more."""
    config = destination_configs(opened.tree).get(destination)
    return config.owner if config else ""

"""`hilum messages`: what was received, and what became of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from msgspec import structs

from hilum.app.arguments import AT_LEAST_ONE, Environment, Folder, Json
from hilum.app.housekeeping import feeds_of
from hilum.app.opening import Opened, open_folder, whoami
from hilum.app.printing import print_json, print_table, when
from hilum.errors import NotFound
from hilum.journal import Found, MessageQuery
from hilum.model import Disposition
from hilum.repository import HoldState

__all__ = ["app", "state_of"]

app = App(name="messages", help="List, show, search and replay the messages that were received.")

_BARS = "·▁▂▃▄▅▆▇█"
MOST = 2**63 - 1  # the highest number a store can count to
COLUMNS = ("message", "received", "source", "kind", "control id", "state", "codes")  # what fits; --json has all


@app.command(name="list")
def list_(
    folder: Folder = Path(),
    *,
    kind: Annotated[str, Parameter(help='Only this type and event: "ADT^A01".')] = "",
    sender: Annotated[str, Parameter(help='Only this sender, application|facility: "EPIC|HOSP".')] = "",
    source: Annotated[str, Parameter(help="Only this source, by the name of its file.")] = "",
    disposition: Annotated[Disposition | None, Parameter(help="Only what became this at the door.")] = None,
    limit: Annotated[int, Parameter(help="How many at most.", validator=AT_LEAST_ONE)] = 50,
    after: Annotated[str, Parameter(help="Go on after a page: the text that it gave at its end.")] = "",
    environment: Environment = None,
    json: Json = False,
) -> int:
    """List messages, newest first. Shows no PHI."""
    query = MessageQuery(kind=kind, sender=sender, source=source, disposition=disposition, limit=limit, after=after)
    return _print_page(folder, environment, query, as_json=json)


@app.command
def search(
    folder: Folder = Path(),
    *,
    patient: Annotated[str, Parameter(help='The patient identifier with its authority: "100200|HOSP".')] = "",
    control_id: Annotated[str, Parameter(help="MSH-10 of the message.")] = "",
    limit: Annotated[int, Parameter(help="How many at most.", validator=AT_LEAST_ONE)] = 50,
    after: Annotated[str, Parameter(help="Go on after a page: the text that it gave at its end.")] = "",
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Find messages by patient or control id."""
    if not patient and not control_id:
        print_table((), (), empty="say what to look for: --patient or --control-id")
        return 2
    query = MessageQuery(key=patient, control_id=control_id, limit=limit, after=after)
    return _print_page(folder, environment, query, as_json=json)


@app.command
def rates(
    folder: Folder = Path(),
    *,
    silent: Annotated[bool, Parameter(help="Only feeds that should have been heard of by now.", negative="")] = False,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Show how many messages of each kind each sender gives, and who has gone silent.

    A feed is silent when it says nothing for more than twice its longest pause of the last four weeks. A running hilum
    looks every hour and makes an item (`feed-silent`) for the owner of the source.
    """
    with open_folder(folder, environment) as opened:
        found = [one for one in feeds_of(opened, time.time_ns() // 1000) if one.is_silent or not silent]
    if json:
        print_json({"feeds": [{**structs.asdict(one), "is_silent": one.is_silent} for one in found]})
        return 0
    columns = ("source", "sender", "kind", "messages", "last 24 hours", "longest pause", "last", "silent")
    rows = [
        (
            one.source,
            one.sender,
            one.kind,
            one.messages,
            _bars(one.by_hour),
            f"{one.longest_pause} h",
            when(one.last_at),
            f"{one.silent_hours} h" if one.is_silent else "",
        )
        for one in found
    ]
    print_table(columns, rows, empty="nobody is silent" if silent else "nothing was received in the last four weeks")
    return 0


def _bars(counts: Sequence[int]) -> str:
    """A bar for each count, as high as it is."""
    highest = max(counts)
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // highest)] if highest else _BARS[0] for count in counts)


@app.command
def show(
    message: Annotated[int, Parameter(help="The number of the message, from `messages list`.")],
    folder: Folder = Path(),
    *,
    reason: Annotated[
        str, Parameter(help="Why you look at PHI: shows the content, and is written into the audit.")
    ] = "",
    raw: Annotated[bool, Parameter(help="With --reason: the exact bytes on standard output.", negative="")] = False,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Show one message: its envelope and its fate, and with --reason its content."""
    with open_folder(folder, environment) as opened:
        found = opened.journal.get(min(message, MOST))
        facts = {
            **_facts(opened, Found(found.seq, found.partition, found.envelope)),
            "charset": found.envelope.charset,
            "bytes": len(found.body),
            "hold": _hold_facts(opened, message),
        }
        if reason:
            opened.audit("show", f"message/{message}", reason)
    if raw and reason:
        import sys

        sys.stdout.buffer.write(found.body)
        return 0
    if json:
        print_json({**facts, "content": found.body.decode(found.envelope.charset or "latin-1")} if reason else facts)
        return 0
    print_table(("field", "value"), [(name, value) for name, value in facts.items() if value], empty="")
    if reason:
        print()
        print(found.body.decode(found.envelope.charset or "latin-1", "replace").replace("\r", "\n").rstrip())
    else:
        print("\nThe content is PHI: --reason TEXT shows it and writes an audit row.")
    return 0


@app.command
def replay(
    message: Annotated[str, Parameter(help="The number of a held message; left out with --all or --code.")] = "",
    folder: Folder = Path(),
    *,
    all_: Annotated[bool, Parameter(name="--all", help="Every held message.", negative="")] = False,
    code: Annotated[str, Parameter(help="Every message held with this code.")] = "",
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Run held messages again, after their cause was mended. The running hilum does it, in order."""
    is_number = message.isascii() and message.isdecimal()
    if (all_ or code) and message and not is_number:
        folder, message = Path(message), ""  # `replay --all FOLDER`
    if not is_number and not all_ and not code:
        print_table((), (), empty="say which: a number, --code CODE or --all")
        return 2
    seq = min(int(message), MOST) if message else None
    with open_folder(folder, environment) as opened:
        asked = asyncio.run(opened.repository.request_replay(seq, whoami(), code=code or None))
        target = f"message/{seq}" if seq is not None else f"held:{code or 'all'}"
        opened.audit("replay", target, str(asked))
    if json:
        print_json({"asked": asked})
    else:
        print(f"{asked} asked for; `hilum run` takes them up within a second, `hilum exceptions list` shows what stays")
    return 0


def state_of(opened: Opened, found: Found, positions: dict[int, int]) -> str:
    """applied, held, waiting, rejected or discarded."""
    if found.envelope.disposition.is_refusal:
        return "rejected"
    if found.seq > positions.get(found.partition, 0):
        return "waiting"
    try:
        hold = opened.repository.hold(found.seq)
    except NotFound:
        return "applied"
    if hold.state is HoldState.OPEN:
        return "waiting behind" if hold.behind else "held"
    return hold.state.value


def _print_page(folder: Path, environment: str | None, query: MessageQuery, *, as_json: bool) -> int:
    with open_folder(folder, environment) as opened:
        page = opened.journal.messages(query)
        positions = opened.repository.positions()
        rows = [_facts(opened, found, positions) for found in page.messages]
    if as_json:
        print_json({"messages": rows, "next": page.next})
        return 0
    print_table(COLUMNS, [[row[name.replace(" ", "_")] for name in COLUMNS] for row in rows], empty="no messages")
    if page.next:
        print(f"\nmore: --after {page.next}")
    return 0


def _facts(opened: Opened, found: Found, positions: dict[int, int] | None = None) -> dict[str, Any]:
    """What may be shown of a message without a reason: nothing that names or describes a patient."""
    envelope = found.envelope
    return {
        "message": found.seq,
        "received": when(envelope.received_at),
        "source": envelope.source,
        "kind": envelope.kind,
        "sender": envelope.sender,
        "control_id": envelope.control_id,
        "disposition": envelope.disposition.value,
        "state": state_of(opened, found, positions if positions is not None else opened.repository.positions()),
        "codes": " ".join(envelope.codes),
    }


def _hold_facts(opened: Opened, seq: int) -> str:
    try:
        hold = opened.repository.hold(seq)
    except NotFound:
        return ""
    parts = [hold.code, hold.location, hold.message, f"owner {hold.owner}" if hold.owner else ""]
    return " ".join(part for part in parts if part)

"""`hilum audit`: who did what, and who looked at the record of a patient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from msgspec import structs

from hilum.app.arguments import AT_LEAST_ONE, Environment, Folder, Json
from hilum.app.commands.patients import record_of
from hilum.app.opening import Opened, open_folder
from hilum.app.printing import print_json, print_table, when
from hilum.errors import HilumError
from hilum.formats import fhir
from hilum.model import AuditEvent
from hilum.repository import Query

__all__ = ["app"]

app = App(name="audit", help="Say who did what, and who looked at the record of a patient.")

PAGE = 500
WIDEST = 100
# what leaves as a file of many patients: the audit has its count, not its ids
_OF_MANY = "$export/"


@app.command(name="list")
def list_(
    folder: Folder = Path(),
    *,
    patient: Annotated[
        str, Parameter(help="Only what touched the record of this patient: its FHIR id, or one of its numbers.")
    ] = "",
    actor: Annotated[str, Parameter(help="Only this token, app/NAME, app/NAME/PERSON or user of this machine.")] = "",
    since: Annotated[str, Parameter(help="Only from this day or time on: 2026-03-01.")] = "",
    until: Annotated[str, Parameter(help="Only to the end of this day or time.")] = "",
    limit: Annotated[int, Parameter(help="How many at most, the newest.", validator=AT_LEAST_ONE)] = 100,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """List rows of the audit, oldest first: who, what, whose, and what came of it. Shows ids and no PHI.

    With --patient also searches and notifications that gave out a part of the record, the messages behind it, and
    exports of many patients, which may have. That the audit was asked is a row, too.
    """
    first, last = _time(since, "--since")[0], _time(until, "--until")[1]
    with open_folder(folder, environment) as opened:
        record = record_of(opened, patient) if patient else ""
        opened.audit("audit-list", record, f"actor={actor}" if actor else "")
        touches = _touches(opened, record) if record else _anything

        def wanted(event: AuditEvent) -> bool:
            return first <= event.at < last and actor in ("", event.actor) and touches(event)

        found = opened.journal.find_audits(wanted, limit + 1)
    is_cut, found = len(found) > limit, found[-limit:]
    if json:
        rows = [{**structs.asdict(one), "at": when(one.at)} for one in found]
        print_json({"patient": record, "is_cut": is_cut, "rows": rows})
        return 0
    columns = ("time", "who", "did", "what", "outcome", "detail")
    table = [(when(one.at), one.actor, one.action, one.target, one.outcome, _short(one.detail)) for one in found]
    print_table(columns, table, empty="the audit has no such rows")
    if is_cut:
        print(f"\nThese are the newest {limit}; there are more: --limit, --since, --until.")
    return 0


def _short(detail: str) -> str:
    """A search names every id that left; --json has all."""
    return detail if len(detail) <= WIDEST else f"{detail[: WIDEST - 1]}…"


def _time(written: str, option: str) -> tuple[int, int]:
    """Microseconds: the first, and the one after the last. Raises HilumError `time-invalid`."""
    if not written:
        return 0, 1 << 62
    found = fhir.date_range(written)
    if found is None:
        text = "write a day or a time with its zone, as in 2026-03-01 or 2026-03-01T08:00:00Z"
        raise HilumError(text, code="time-invalid", location=option)
    return found[0] * 1000, found[1] * 1000


def _anything(_: AuditEvent) -> bool:
    return True


def _touches(opened: Opened, record: str) -> Callable[[AuditEvent], bool]:
    """Whether a row is about a resource of this patient as stored now, or about a message that made one."""
    names = {record, *_names(opened, record)}

    def touches(event: AuditEvent) -> bool:
        if event.target.startswith(_OF_MANY):
            return True
        return not names.isdisjoint(_named(event))

    return touches


def _names(opened: Opened, record: str) -> Iterator[str]:
    query = Query("", compartment=record, count=PAGE, with_total=False)
    while True:
        page = opened.repository.search(query)
        for one in page.matches:
            yield f"{one.type}/{one.id}"
            if one.seq > 0:
                yield f"message/{one.seq}"
        if not page.next:
            return
        query = structs.replace(query, after=page.next)


def _named(event: AuditEvent) -> Iterator[str]:
    """What a row names: `Patient/a/_history` in its target, `Patient:a,b` and `Patient/a` in its detail."""
    yield "/".join(event.target.split("?")[0].split("/")[:2])
    for word in event.detail.split():
        type_, colon, ids = word.partition(":")
        if colon:
            yield from (f"{type_}/{id_}" for id_ in ids.split(","))
        else:
            yield word

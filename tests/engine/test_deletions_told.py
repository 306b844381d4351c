"""What programs delete is told to the destinations that hear of their writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest
from msgspec import Raw

from hilum.app.api.writing import changed_by
from hilum.app.api_writing import route_of
from hilum.delivery import BreakerPolicy, MemoryDestination, RetryPolicy
from hilum.engine.making import Maker
from hilum.engine.sender import Sender, render
from hilum.engine.stopping import Stop
from hilum.formats import hl7v2
from hilum.journal import MemoryJournal
from hilum.mapping import load_base, outward
from hilum.repository import Aftermath, Change, Delivery, MemoryRepository, Repository, Stored, Verb, Written
from hilum.translator import Format, Rule

pytestmark = pytest.mark.anyio

PATIENT = Change(Verb.CREATE, "Patient", "p1", {"gender": Raw(b'"female"')})
LAB = Change(
    Verb.CREATE, "Observation", "o1", {"status": Raw(b'"final"'), "subject": Raw(b'{"reference":"Patient/p1"}')}
)


class Silent:
    """A partner that hears of patients alone, and of nothing in this test."""

    types = frozenset({"Patient"})

    def make(self, _due: Delivery, _repository: Repository) -> bytes | None:
        return None

    def tells(self, _gone: Stored, _due: Delivery, _repository: Repository) -> bool:
        return False


def ended(stop: Stop, count: int) -> Callable[[int], None]:
    """Stops after so many deliveries."""
    seen: list[int] = []

    def done(seq: int) -> None:
        seen.append(seq)
        if len(seen) == count:
            stop.set()

    return done


async def written(repository: MemoryRepository, *changes: Change) -> list[dict[str, Any]]:
    """The Bundles that follow from one write, as they are sent."""
    route = route_of([Rule("portal", Format.FHIR, "", frozenset(), True)])
    before = {one.id for one in repository.deliveries("portal")}

    def then(done: list[Written]) -> Aftermath:
        return Aftermath(outgoing=route(changed_by(done)))

    await repository.write(changes, then=cast(Any, then))
    made = [one for one in repository.deliveries("portal") if one.id not in before]
    assert {one.outgoing.key for one in made} <= {"Patient/p1"}
    sent = [render(one, repository, MemoryJournal()) for one in made]
    return [msgspec.json.decode(one.payload) for one in sent if one is not None]


async def test_a_deletion_is_an_entry_that_says_so_behind_what_is_on_its_way_about_the_patient() -> None:
    repository = MemoryRepository()
    await written(repository, PATIENT, LAB)
    (bundle,) = await written(repository, Change(Verb.DELETE, "Observation", "o1"))
    assert bundle["type"] == "history"
    (entry,) = bundle["entry"]
    assert (entry["fullUrl"], entry["request"]) == ("Observation/o1", {"method": "DELETE", "url": "Observation/o1"})
    assert (entry["response"]["status"], entry["response"]["etag"]) == ("204", 'W/"2"')
    assert "resource" not in entry


async def test_what_was_written_beside_a_deletion_is_told_with_it() -> None:
    repository = MemoryRepository()
    (first,) = await written(repository, PATIENT, LAB)
    assert (first["type"], len(first["entry"])) == ("collection", 2)
    more = Change(Verb.UPDATE, "Patient", "p1", {"gender": Raw(b'"other"')})
    (bundle,) = await written(repository, Change(Verb.DELETE, "Observation", "o1"), more)
    told = {entry["request"]["method"]: entry.get("resource", {}).get("gender") for entry in bundle["entry"]}
    assert told == {"DELETE": None, "PUT": "other"}


async def test_a_person_hears_of_a_deletion_that_hl7_v2_cannot_say() -> None:
    repository = MemoryRepository()
    route = route_of([Rule("lab", Format.MADE, "", frozenset(), True)])

    async def write(*changes: Change) -> None:
        await repository.write(changes, then=lambda done: Aftermath(outgoing=route(changed_by(done))))

    await write(PATIENT, LAB)
    await write(
        Change(Verb.DELETE, "Observation", "o1"), Change(Verb.UPDATE, "Patient", "p1", {"gender": Raw(b'"other"')})
    )
    await write(Change(Verb.DELETE, "Patient", "p1"))
    stop = Stop()
    sender = Sender(
        MemoryDestination("lab"),
        repository,
        MemoryJournal(),
        RetryPolicy(),
        BreakerPolicy(),
        ended(stop, 3),
        stop,
        Silent(),
    )
    await asyncio.wait_for(sender.run(), 20)
    found = [(one.code, one.location, one.count) for one in repository.exceptions()]
    assert found == [("deletion-not-sent", "Patient", 1)], "nobody misses the Observation, of which no message is"


NAMED = Change(
    Verb.CREATE,
    "Patient",
    "p1",
    {
        "identifier": Raw(b'[{"system": "urn:oid:2.16.840.1.113883.19.5.1", "value": "100200"}]'),
        "name": Raw(b'[{"family": "Probe"}]'),
    },
)


@pytest.mark.parametrize("kind", ["ADT^A29", "ADT^A23", ""])
async def test_a_partner_is_told_that_a_patient_is_deleted_where_its_file_says_by_which_message(kind: str) -> None:
    repository, book = MemoryRepository(), load_base()
    route = route_of([Rule("lab", Format.MADE, "", frozenset(), True)])
    deleted = outward.compile_outward(book, kind) if kind else None
    maker = Maker(outward.compile_outward(book, "ADT^A08"), outward.Receiver("LAB", "NORTH"), deleted)

    async def write(*changes: Change) -> None:
        await repository.write(changes, then=lambda done: Aftermath(outgoing=route(changed_by(done))))

    await write(NAMED, LAB)
    await write(Change(Verb.DELETE, "Observation", "o1"), Change(Verb.DELETE, "Patient", "p1"))
    destination, stop = MemoryDestination("lab"), Stop()
    sender = Sender(
        destination, repository, MemoryJournal(), RetryPolicy(), BreakerPolicy(), ended(stop, 2), stop, maker
    )
    await asyncio.wait_for(sender.run(), 20)
    sent = [hl7v2.parse(one.payload) for one in destination.attempts]
    kinds = [one.get(hl7v2.compile_path("MSH-9")) for one in sent]
    assert kinds == ["ADT^A08^ADT_A01", *([f"{kind}^ADT_A21"] if kind else [])]
    if kind:
        assert sent[-1].get(hl7v2.compile_path("PID-3.1")) == "100200"
        assert sent[-1].get(hl7v2.compile_path("PID-5.1")) == "Probe"
        assert sent[-1].get(hl7v2.compile_path("EVN-1")) == kind[-3:]
        assert [one.name for one in sent[-1].segments] == ["MSH", "EVN", "PID", "PV1"]
    missed = [(one.code, one.location) for one in repository.exceptions()]
    about = [] if kind else ["Patient"]
    assert missed == [("deletion-not-sent", type_) for type_ in ("Observation", *about)]


async def test_a_deletion_of_nothing_is_not_told() -> None:
    repository = MemoryRepository()
    assert await written(repository, Change(Verb.DELETE, "Observation", "o1")) == []

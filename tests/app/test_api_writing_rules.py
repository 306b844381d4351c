"""What a folder makes of writes: who hears of them."""

from __future__ import annotations

import msgspec
import pytest
from api_support import World, draft
from test_api_writes import ADA, writer

from hilum.app.api import WritingRules
from hilum.app.api_writing import route_of
from hilum.errors import ConfigError
from hilum.repository import Stored
from hilum.translator import BUNDLE, MADE, Format, Rule, refs_of

pytestmark = pytest.mark.anyio

RULES = [
    Rule("portal", Format.FHIR, "", frozenset({"Observation"}), True),
    Rule("ehr", Format.MADE, "", frozenset(), True),
    Rule("mirror", Format.FHIR),
]


def stored(type_: str, id_: str, seq: int = -7, **elements: object) -> Stored:
    one = draft(type_, id_, **elements)
    return Stored(type_, id_, 1, 0, msgspec.json.encode(one.elements), seq)


def test_routes_that_say_so_hear_of_what_they_ask_for() -> None:
    lab = stored("Observation", "o", subject={"reference": "Patient/p"})
    made = route_of(RULES)([stored("Patient", "p"), lab, stored("Observation", "late", seq=-8)])
    told = [(seq, one.destination, one.key, one.content_type, refs_of(one.payload)) for seq, one in made]
    assert told == [
        (-7, "portal", "Patient/p", BUNDLE, [("Observation", "o")]),
        (-8, "portal", "Observation/late", BUNDLE, [("Observation", "late")]),
        (-7, "ehr", "Patient/p", MADE, [("Patient", "p"), ("Observation", "o")]),
        (-8, "ehr", "Observation/late", MADE, [("Observation", "late")]),
    ]
    assert len({one.idempotency_key for _, one in made}) == 4


def test_what_is_sent_messages_as_they_came_cannot_hear_of_writes() -> None:
    with pytest.raises(ConfigError) as refused:
        route_of([Rule("lab", Format.HL7V2, "", frozenset(), True)])
    assert refused.value.code == "route-writes-raw"


async def test_a_write_puts_its_deliveries_into_the_outbox() -> None:
    world = World(writing=WritingRules(route=route_of([Rule("portal", Format.FHIR, "", frozenset(), True)])))
    async with writer(world) as client:
        made = (await client.post("/fhir/Patient", json=ADA)).json()
        await client.put(f"/fhir/Patient/{made['id']}", json=made)
        await client.put(f"/fhir/Patient/{made['id']}", json={**made, "gender": "other"})
    outbox = world.repository.deliveries("portal")
    versions = [world.repository.version_by(one.seq, "Patient", made["id"]) for one in outbox]
    assert [one.version for one in versions] == [1, 2]

"""Messages in, resources out, messages out again: for the tests of the way out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from hilum import mapping
from hilum.formats import hl7v2
from hilum.mapping import outward

UTF8 = "UNICODE UTF-8"
NOW = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
RECEIVER = outward.Receiver("LAB", "NORTH", "HILUM", "GENHOSP")
Resources = dict[str, list[dict[str, Any]]]


@cache
def book() -> mapping.Workbook:
    return mapping.load_base()


@cache
def plan() -> mapping.Plan:
    return mapping.compile_workbook(book())


@cache
def way_out(kind: str) -> outward.OutwardPlan:
    return outward.compile_outward(book(), kind)


def read(raw: bytes) -> tuple[mapping.Mapped, hl7v2.Hl7Message]:
    """What the workbook makes of a message."""
    admission = hl7v2.admit(raw, hl7v2.Rules(), source="test", received_at=NOW)
    assert admission.message is not None
    return plan().run(admission.message, mapping.Context.of(admission.envelope)), admission.message


def resources(mapped: mapping.Mapped) -> Resources:
    found: Resources = {}
    for body in mapping.render(mapped):
        resource = outward.read_resource(body)
        found.setdefault(resource["resourceType"], []).append(resource)
    return found


def group(*bodies: dict[str, Any]) -> Resources:
    """Resources as they would be read from JSON text: `0.10` is written as json.loads reads it from the text."""
    found: Resources = {}
    for body in bodies:
        resource = outward.read_resource(json.dumps(body).encode())
        found.setdefault(resource["resourceType"], []).append(resource)
    return found


def send(
    kind: str,
    given: Mapping[str, Sequence[Mapping[str, Any]]],
    receiver: outward.Receiver = RECEIVER,
    **context: Any,
) -> outward.Outward:
    found = way_out(kind).run(given, outward.OutwardContext(receiver, "C1", NOW, **context))
    assert found.accounting.adds_up
    return found


def written(found: outward.Outward, charset: str = UTF8) -> hl7v2.Hl7Message:
    """The message as its receiver parses it."""
    return hl7v2.parse(hl7v2.build(found.segments, charset=charset))


def field(message: hl7v2.Hl7Message, segment: str, number: int, nth: int = 1) -> str:
    """SEG-number of the nth segment of that name, as it is written."""
    segments = [one for one in message.segments if one.name == segment]
    return segments[nth - 1].field(number) if len(segments) >= nth else ""


def patient(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [{"system": "urn:oid:2.16.840.1.113883.19.5.1", "value": "100200"}],
        **elements,
    }

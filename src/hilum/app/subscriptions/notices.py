"""Notifications as Bundles (Subscriptions Backport IG, R4: a history Bundle that begins with a Parameters)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from hilum.app.api.bundles import instant
from hilum.app.subscriptions.rows import Event, Subscription
from hilum.repository import Stored

__all__ = ["notification", "status_bundle", "status_of"]

PROFILE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
_METHODS = {"create": ("POST", "201"), "update": ("PUT", "200"), "delete": ("DELETE", "204")}


def notification(
    base: str,
    one: Subscription,
    kind: str,
    events: Sequence[Event] = (),
    resources: Mapping[int, Stored] = {},
    content: str = "",
) -> bytes:
    """One notification of this kind: handshake, heartbeat, event-notification, query-event.

    `resources` are the versions that events tell of, by number, for full resources.
    """
    content = content or one.asked.content
    url = f"{base}/Subscription/{one.id}/$status"
    status = {
        "fullUrl": f"urn:uuid:{uuid.uuid4()}",
        "resource": status_of(base, one, kind, events, content),
        "request": {"method": "GET", "url": url},
        "response": {"status": "200"},
    }
    entries: list[dict[str, Any]] = [status]
    if content != "empty":
        entries += [_entry(base, event, resources.get(event.number)) for event in events]
    bundle = {
        "resourceType": "Bundle",
        "id": str(uuid.uuid4()),
        "meta": {"profile": [f"{PROFILE}/backport-subscription-notification-r4"]},
        "type": "history",
        "timestamp": instant(time.time_ns() // 1000),
        "entry": entries,
    }
    return msgspec.json.encode(bundle)


def status_of(
    base: str, one: Subscription, kind: str, events: Sequence[Event] = (), content: str = ""
) -> dict[str, Any]:
    """The Parameters that say how a subscription stands, and which events a notification has."""
    given: list[dict[str, Any]] = [
        {"name": "subscription", "valueReference": {"reference": f"{base}/Subscription/{one.id}"}},
        {"name": "topic", "valueCanonical": one.asked.topic},
        {"name": "status", "valueCode": one.status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(one.number)},
    ]
    given += [{"name": "notification-event", "part": _parts(base, event, content)} for event in events]
    if one.code:
        coding = {"system": "urn:hilum:code", "code": one.code}
        given.append({"name": "error", "valueCodeableConcept": {"coding": [coding]}})
    return {
        "resourceType": "Parameters",
        "id": str(uuid.uuid4()),
        "meta": {"profile": [f"{PROFILE}/backport-subscription-status-r4"]},
        "parameter": given,
    }


def status_bundle(base: str, found: Sequence[Subscription]) -> bytes:
    """The answer of `$status`."""
    entries = [
        {
            "fullUrl": f"urn:uuid:{uuid.uuid4()}",
            "resource": status_of(base, one, "query-status"),
            "search": {"mode": "match"},
        }
        for one in found
    ]
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": len(entries)}
    return msgspec.json.encode(bundle | ({"entry": entries} if entries else {}))


def _parts(base: str, event: Event, content: str) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": instant(event.at)},
    ]
    if content != "empty":
        parts.append({"name": "focus", "valueReference": {"reference": f"{base}/{event.type}/{event.id}"}})
    return parts


def _entry(base: str, event: Event, stored: Stored | None) -> dict[str, Any]:
    method, status = _METHODS[event.change]
    url = event.type if event.change == "create" else f"{event.type}/{event.id}"
    entry: dict[str, Any] = {
        "fullUrl": f"{base}/{event.type}/{event.id}",
        "request": {"method": method, "url": url},
        "response": {"status": status},
    }
    if stored is not None and not stored.deleted:
        entry["resource"] = Raw(stored.body)
    return entry

"""A Subscription of R4 with the extensions of the Subscriptions Backport IG -> what is asked for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from hilum.app.api.outcomes import Problem
from hilum.app.subscriptions.settings import Subscriber, Topic, terms_of
from hilum.config import is_loopback, may_be_called
from hilum.errors import HilumError
from hilum.formats import fhir
from hilum.repository import Limits, SearchTerm

__all__ = ["Asked", "read_subscription"]

IG = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
_HEADER = re.compile(r"([A-Za-z0-9-]{1,64}):[ \t]*([\x20-\x7e]{1,1024})")
_SECRET = re.compile(r"secret:([A-Za-z0-9_-]{1,64})")
_SENSITIVE = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
_OURS = frozenset(
    {"connection", "content-length", "content-type", "hilum-signature", "host", "idempotency-key", "transfer-encoding"}
)
CONTENTS = ("empty", "id-only", "full-resource")
MOST_EVENTS = 100  # in one notification
HEARTBEATS = (10, 86_400)  # seconds, the shortest and the longest


class Asked(Struct, frozen=True):
    """One subscription as asked. `headers`: a literal, or the name of a secret after `secret:`."""

    topic: str
    endpoint: str
    content: str = "empty"
    headers: dict[str, str] = {}
    filters: dict[str, Limits] = {}  # by type; a type that is not there is not narrowed
    heartbeat: int = 0  # seconds; 0: none
    timeout: int = 0  # seconds; 0: as this server has it
    most: int = 1  # events in one notification
    is_off: bool = False
    end: int = 0  # microseconds; 0: none


def read_subscription(resource: Mapping[str, Any], topics: Mapping[str, Topic], subscriber: Subscriber) -> Asked:
    """Raises Problem 422 `subscription-...` for what this server cannot do."""
    topic = topics.get(str(resource.get("criteria", "")))
    if topic is None:
        text = "`criteria` names no topic of this server; the CapabilityStatement lists them"
        raise _refused("subscription-topic-unknown", text, "Subscription.criteria")
    channel = resource.get("channel", {})
    if channel.get("type") != "rest-hook":
        text = "notifications are sent by rest-hook only"
        raise _refused("subscription-channel-unsupported", text, "Subscription.channel.type")
    _check_payload(channel)
    extensions = dict(_extensions(channel))
    content = dict(_extensions(channel.get("_payload"))).get(f"{IG}/backport-payload-content", "empty")
    if content not in CONTENTS:
        text = f"the content of a payload is one of {', '.join(CONTENTS)}"
        raise _refused("subscription-payload-unsupported", text, "Subscription.channel.payload")
    return Asked(
        topic.url,
        _endpoint(str(channel.get("endpoint", "")), subscriber),
        content,
        _headers(channel.get("header", ()), subscriber),
        _filters(resource, topic),
        _within(extensions.get(f"{IG}/backport-heartbeat-period"), *HEARTBEATS),
        _within(extensions.get(f"{IG}/backport-timeout"), 1, 60),
        _within(extensions.get(f"{IG}/backport-max-count"), 1, MOST_EVENTS) or 20,
        resource.get("status") == "off",
        _end(resource.get("end")),
    )


def _check_payload(channel: Mapping[str, Any]) -> None:
    if channel.get("payload", "application/fhir+json") not in ("application/fhir+json", "application/json"):
        text = "notifications are sent as application/fhir+json only"
        raise _refused("subscription-payload-unsupported", text, "Subscription.channel.payload")


def _endpoint(written: str, subscriber: Subscriber) -> str:
    """https, or http to this machine itself; one that the subscriber's list allows, or without a list a public one."""
    where = "Subscription.channel.endpoint"
    try:
        url = urlsplit(written)
        host, _ = url.hostname or "", url.port
    except ValueError:
        host, url = "", urlsplit("")
    is_safe = url.scheme == "https" or (url.scheme == "http" and is_loopback(host))
    if not host or not is_safe or url.username or url.fragment:
        text = "an endpoint is an https address, or http to this machine itself, without a name or password in it"
        raise _refused("subscription-endpoint-unsafe", text, where)
    if not may_be_called(written, subscriber.endpoints):
        text = (
            "this endpoint is none of those that the integration allows this subscriber; one on this machine or an "
            "inner network has to stand under `endpoints` in subscribers/"
        )
        raise _refused("subscription-endpoint-unsafe", text, where)
    return written


def _headers(given: Any, subscriber: Subscriber) -> dict[str, str]:
    where = "Subscription.channel.header"
    found: dict[str, str] = {}
    for one in given if isinstance(given, list) else ():
        match = _HEADER.fullmatch(str(one))
        if match is None or match[1].lower() in _OURS:
            text = "a header is written `Name: value`, and is none of those that hilum sets itself"
            raise _refused("subscription-header-unusable", text, where)
        secret = _SECRET.fullmatch(match[2].strip())
        if secret is None and match[1].lower() in _SENSITIVE:
            text = "a secret has no place in a resource: write secret:NAME, and declare NAME in subscribers/"
            raise _refused("subscription-header-secret", text, where)
        if secret is not None and secret[1] not in subscriber.headers:
            text = "this names a secret that subscribers/ does not declare"
            raise _refused("subscription-header-unusable", text, where)
        found[match[1]] = match[2].strip()
    return found


def _filters(resource: Mapping[str, Any], topic: Topic) -> dict[str, Limits]:
    """`Type?search`, each an alternative for its type."""
    where = "Subscription.criteria.extension"
    found: dict[str, list[tuple[SearchTerm, ...]]] = {}
    types = {trigger.type for trigger in topic.changes}
    for url, value in _extensions(resource.get("_criteria")):
        if url != f"{IG}/backport-filter-criteria":
            continue
        type_, _, written = str(value).partition("?")
        if type_ not in types:
            text = f"a filter is written Type?search, where the type is one of the topic: {', '.join(sorted(types))}"
            raise _refused("subscription-filter-unusable", text, where)
        try:
            terms = terms_of(type_, written)
        except HilumError as error:
            raise _refused("subscription-filter-unusable", f"{error.location}: {error.message}", where) from None
        if not terms or any(term.name not in topic.filters for term in terms):
            text = f"this topic can be narrowed by {', '.join(topic.filters) or 'nothing'} only"
            raise _refused("subscription-filter-unusable", text, where)
        found.setdefault(type_, []).append(terms)
    return {type_: tuple(some) for type_, some in found.items()}


def _extensions(element: Any) -> Iterable[tuple[str, Any]]:
    """(url, value) of the extensions of an element."""
    given = element.get("extension", ()) if isinstance(element, dict) else ()
    for one in given:
        value = next((item for key, item in one.items() if key.startswith("value")), None)
        yield str(one.get("url", "")), value


def _within(value: Any, least: int, most: int) -> int:
    """A whole number between these; 0 when none is given."""
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        return 0
    return min(max(value, least), most)


def _end(written: Any) -> int:
    found = fhir.date_range(written) if isinstance(written, str) else None
    return found[0] * 1000 if found else 0


def _refused(code: str, text: str, path: str) -> Problem:
    problem = Problem(code, 422, "business-rule", text)
    problem.issues = (fhir.Issue(type="business-rule", text=text, code=code, expression=(path,)),)
    return problem

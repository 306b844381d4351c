"""Topics and subscribers of an integration folder: `topics/*.yaml`, `subscribers/*.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import parse_qsl

from msgspec import Meta, Struct

from hilum.config import Secret, Section, Tree
from hilum.errors import HilumError
from hilum.formats import fhir
from hilum.model import Finding
from hilum.repository import SearchTerm, Stored, is_within

__all__ = ["SECTIONS", "SHORTEST_SECRET", "Subscriber", "Topic", "Trigger", "terms_of"]

SHORTEST_SECRET = 16  # bytes
_COMMA = re.compile(r"(?:[^\\,]|\\.|\\$)+")  # values are parted by commas without a backslash before them
Event = Literal["create", "update", "delete"]


class Trigger(Struct, frozen=True, forbid_unknown_fields=True):
    """Changes of one type that a topic tells of."""

    type: Annotated[str, Meta(description="A FHIR type.")]
    events: Annotated[list[Event], Meta(min_length=1, description="Which changes.")]
    previous: Annotated[
        str, Meta(description="A search that the version before must meet, as in status=planned; empty: any.")
    ] = ""
    current: Annotated[
        str, Meta(description="A search that the version now must meet, as in status=final; empty: any.")
    ] = ""


class Topic(Struct, frozen=True, forbid_unknown_fields=True):
    """What programs may subscribe to."""

    url: Annotated[str, Meta(pattern=r"^https?://\S+$", description="Its canonical URL: what a Subscription names.")]
    changes: Annotated[list[Trigger], Meta(min_length=1, description="The changes that it tells of: any of these.")]
    title: Annotated[str, Meta(description="A line for people.")] = ""
    filters: Annotated[
        list[str], Meta(description="Search parameters by which a subscriber may narrow it: patient, code.")
    ] = []


class Subscriber(Struct, frozen=True, forbid_unknown_fields=True):
    """A program that may subscribe; the file is named after its token or app."""

    secret: Annotated[Secret, Meta(description="What notifications are signed with, 16 bytes or more.")]
    headers: Annotated[
        dict[str, Secret], Meta(description="Secrets by name, for headers that a Subscription writes as secret:NAME.")
    ] = {}
    endpoints: Annotated[
        list[str],
        Meta(
            description="Notifications go only to addresses that begin with one of these (`http://127.0.0.1/`: any "
            "port of this machine); empty: to any that is not on this machine or an inner network."
        ),
    ] = []


def terms_of(type_: str, written: str) -> tuple[SearchTerm, ...]:
    """A search as terms that a resource meets by itself. Raises HilumError `search-...` for what it cannot tell."""
    terms = []
    for name, value in parse_qsl(written, keep_blank_values=True):
        base, _, modifier = name.partition(":")
        terms.append(SearchTerm(base, tuple(one.replace("\\,", ",") for one in _COMMA.findall(value)), modifier))
    if any(term.name == "_has" or "." in f"{term.name}{term.modifier}" for term in terms):
        text = "a search that leads to other resources cannot be told from one resource"
        raise HilumError(text, code="search-parameter-unknown", location=terms[0].name)
    probe = Stored(type_, "x", 1, 0, b'{"resourceType":"%b","id":"x"}' % type_.encode(), 0)
    is_within(probe, (tuple(terms),))
    return tuple(terms)


def _topics_can_be_used(tree: Tree) -> Iterator[Finding]:
    """Types, searches and filters that are none would never match, in silence."""
    seen: dict[str, str] = {}
    for name, topic in tree.all(Topic).items():
        if topic.url in seen:
            yield Finding(
                "topic-taken-twice", f"topic {seen[topic.url]} has this url already", tree.where(topic, "url")
            )
        seen.setdefault(topic.url, name)
        for index, trigger in enumerate(topic.changes):
            if not fhir.is_resource_type(trigger.type):
                where = tree.where(topic, "changes", index, "type")
                yield Finding("topic-type-unknown", "R4 has no resource type of this name", where)
                continue
            for part in ("previous", "current"):
                try:
                    terms_of(trigger.type, getattr(trigger, part))
                except HilumError as error:
                    where = tree.where(topic, "changes", index, part)
                    yield Finding("topic-search-unusable", f"{error.location}: {error.message}", where)
        for index, one in enumerate(topic.filters):
            if not any(fhir.find_parameter(trigger.type, one) for trigger in topic.changes):
                where = tree.where(topic, "filters", index)
                yield Finding("topic-filter-unknown", "none of the types has this search parameter", where)


SECTIONS = (
    Section("topics/*.yaml", Topic, (_topics_can_be_used,)),
    Section("subscribers/*.yaml", Subscriber),
)

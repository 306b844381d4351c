"""Which destinations hear of a message: rules of the folder, applied to what the message did. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256

import msgspec
from msgspec import Struct

from hilum.formats.stored import Stored
from hilum.mapping import Mapped, compile_condition
from hilum.model import Message, Outgoing
from hilum.translator.translate import Route

__all__ = ["BUNDLE", "MADE", "RAW", "Format", "Rule", "make_route", "refs_of"]

RAW = "x-application/hl7-v2+er7"  # the message as it came; read from the journal when it is sent
BUNDLE = "application/fhir+json"  # the versions that the message made; read from the repository when it is sent
MADE = "x-application/hl7-v2+er7; made"  # HL7 v2 made of the versions that the message made, when it is sent


class Format(StrEnum):
    """What a destination is sent."""

    HL7V2 = "hl7v2"  # the message as it came
    MADE = "made"  # HL7 v2 made of resources
    FHIR = "fhir"


class Rule(Struct, frozen=True):
    """One route. `when` is a condition over the message (empty: every message); `types` leaves out other resources."""

    to: str
    format: Format
    when: str = ""
    types: frozenset[str] = frozenset()  # empty takes all
    writes: bool = False  # also what programs write through the API


def make_route(rules: Sequence[Rule]) -> Route:
    """The routing step. An outbox row holds references, never a second copy of the content.

    Raises ConfigError `route-condition-invalid`.
    """
    conditions = [(rule, compile_condition(rule.when)) for rule in rules]

    def route(message: Message, record: Stored, mapped: Mapped) -> list[Outgoing]:
        return [
            outgoing
            for rule, holds in conditions
            if holds(record) and (outgoing := _outgoing(rule, message, mapped)) is not None
        ]

    return route


def refs_of(payload: bytes) -> list[tuple[str, str]]:
    """(type, id) of the resources that a BUNDLE row names."""
    return msgspec.json.decode(payload, type=list[tuple[str, str]])


def _touched(mapped: Mapped) -> list[tuple[str, str]]:
    """(type, id) of what the message speaks of: drafts, and both sides of a merge."""
    refs = [(draft.type, draft.id) for draft in mapped.drafts]
    refs += [(merge.type, id_) for merge in mapped.merges for id_ in (merge.survivor, merge.retired)]
    return list(dict.fromkeys(refs))


def _outgoing(rule: Rule, message: Message, mapped: Mapped) -> Outgoing | None:
    if rule.format is Format.HL7V2:
        payload, content_type, moved = b"", RAW, None
    else:
        refs = [ref for ref in _touched(mapped) if not rule.types or ref[0] in rule.types]
        if rule.format is Format.MADE:  # a message is about the one that stays
            gone = {(merge.type, merge.retired) for merge in mapped.merges}
            refs = [ref for ref in refs if ref not in gone]
        if not refs and not mapped.merges:
            return None
        payload, content_type = msgspec.json.encode(refs), MADE if rule.format is Format.MADE else BUNDLE
        moved = tuple(sorted(rule.types)) if mapped.merges else None
    # without a control id the journal cannot tell a copy from the same thing said again, so the partner must not either
    said = str(message.seq).encode() if not message.envelope.control_id else b""
    same_for_every_attempt = sha256(b"\0".join((rule.to.encode(), said, message.body))).hexdigest()[:32]
    keys = message.envelope.key, message.envelope.other_key
    return Outgoing(rule.to, keys[0], same_for_every_attempt, payload, content_type, keys[1], moved)

"""How a folder takes what programs write through its API: what validates it, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

import msgspec

from hilum.app.api import WritingRules, by_definitions
from hilum.app.opening import Opened
from hilum.definitions import Shelf, r4
from hilum.errors import ConfigError
from hilum.formats import fhir
from hilum.model import Outgoing
from hilum.repository import Stored
from hilum.translator import BUNDLE, MADE, Format, Rule

__all__ = ["route_of", "writing_rules"]

Written = Callable[[Sequence[Stored]], list[tuple[int, Outgoing]]]


def writing_rules(opened: Opened, rules: Sequence[Rule]) -> WritingRules:
    """The rules of a folder: R4 with its packages, `api.update_creates`, and the routes that say `writes`.

    The search parameters of its packages are offered from then on.
    """
    shelf = Shelf(opened.tree.folder)
    definitions = shelf.definitions(r4()) if shelf.contents() else None
    fhir.offer_packages(definitions or r4())
    creates = opened.integration.api.update_creates
    return WritingRules(by_definitions(definitions), creates, route_of(rules), definitions=definitions)


def route_of(rules: Sequence[Rule]) -> Written:
    """What was written -> deliveries, one for each destination and each number that the write goes by.

    Raises ConfigError `route-writes-raw` for a destination that is sent messages as they came.
    """
    taking = [rule for rule in rules if rule.writes]
    for rule in taking:
        if rule.format is Format.HL7V2:
            text = (
                f"what programs write is no message: `{rule.to}` is sent messages as they came, so take `writes` away"
            )
            raise ConfigError(text, code="route-writes-raw")

    def route(written: Sequence[Stored]) -> list[tuple[int, Outgoing]]:
        made: list[tuple[int, Outgoing]] = []
        for rule in taking:
            by_seq: dict[int, list[Stored]] = {}
            for one in written:
                if not rule.types or one.type in rule.types:
                    by_seq.setdefault(one.seq, []).append(one)
            made += [(seq, _outgoing(rule, some)) for seq, some in by_seq.items()]
        return made

    return route


def _outgoing(rule: Rule, written: Sequence[Stored]) -> Outgoing:
    refs = [(one.type, one.id) for one in written]
    said = "\0".join([rule.to, *(f"{one.type}/{one.id}/{one.version}" for one in written)])
    kind = MADE if rule.format is Format.MADE else BUNDLE
    return Outgoing(rule.to, _key(written[0]), sha256(said.encode()).hexdigest()[:32], msgspec.json.encode(refs), kind)


def _key(stored: Stored) -> str:
    """What orders it: its patient, or itself."""
    record = f"{stored.type}/{stored.id}"
    if stored.type == "Patient":
        return record
    return next((one for one in fhir.local_references(stored.body) if one.startswith("Patient/")), record)

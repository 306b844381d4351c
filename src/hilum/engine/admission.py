"""From bytes at the door to journal rows: split, gate, address. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, structs

from hilum.engine.partition import partitions_of
from hilum.engine.record_admission import record_messages
from hilum.engine.settings import SourceSettings
from hilum.errors import FormatError
from hilum.formats import hl7v2, records
from hilum.journal import Incoming
from hilum.model import Arrival, Disposition, Envelope, Finding, Severity

__all__ = ["Admitted", "Item", "admit"]


class Item(Struct, frozen=True):
    """One message of an arrival: what the journal gets, and what the answer needs."""

    incoming: Incoming
    disposition: Disposition
    finding: Finding | None  # the worst one, for the ERR segment
    record: hl7v2.Hl7Message | None  # None when the bytes could not be read as a message

    @property
    def refused(self) -> bool:
        """Whether the sender is told no."""
        return self.disposition.is_refusal


class Admitted(Struct, frozen=True):
    """An arrival after the gate. `batch` says that it came as one and wants one answer; `findings` are of the whole."""

    arrival: Arrival
    items: tuple[Item, ...]
    batch: bool = False
    findings: tuple[Finding, ...] = ()


def admit(arrival: Arrival, source: SourceSettings) -> Admitted:
    """Gate one arrival. Whatever comes in gives at least one item: garbage is refused, and kept.

    A batch without a message is the exception, where the rules let it pass: there is nothing to keep.
    """
    try:
        return _admit(arrival, source)
    except Exception as error:  # noqa: BLE001 - a defect of the gate refuses one arrival, it never stops the feed
        finding = Finding("gate-crashed", f"the gate failed on it: {type(error).__name__}")
        return Admitted(arrival, (_refusal(arrival, arrival.body, finding, Disposition.AE),))


def _admit(arrival: Arrival, source: SourceSettings) -> Admitted:
    if arrival.fault is not None:
        return Admitted(arrival, (_refusal(arrival, arrival.body, arrival.fault, Disposition.AR),))
    if source.records is not None:
        return _records(arrival, source.records)
    if not hl7v2.is_batch(arrival.body):
        return Admitted(arrival, (_framed(_item(arrival, arrival.body, source), arrival, source),))
    batch = hl7v2.split_batch(arrival.body, source.rules.tolerances)
    if batch.disposition.is_refusal:
        finding = next(one for one in batch.findings if one.severity is Severity.ERROR)
        return Admitted(arrival, (_refusal(arrival, arrival.body, finding, batch.disposition),), batch=True)
    if not batch.messages and batch.disposition is Disposition.HOLD:
        return Admitted(arrival, (_held_whole(arrival, batch.findings[0]),), batch=True)
    items = [_framed(_item(arrival, body, source), arrival, source) for body in batch.messages]
    if batch.disposition is Disposition.HOLD:
        items = [_at_least(item, Disposition.HOLD, batch.findings) for item in items]
    elif batch.findings:  # said of the whole, and so told once
        items[:1] = [_at_least(item, Disposition.WARNING, batch.findings) for item in items[:1]]
    return Admitted(arrival, tuple(items), batch=True, findings=batch.findings)


def _records(arrival: Arrival, format_: records.Format) -> Admitted:
    try:
        found = tuple(record_messages(arrival, format_))
    except FormatError as error:
        finding = Finding(error.code, error.message, error.location)
        return Admitted(arrival, (_refusal(arrival, arrival.body, finding, Disposition.AR),), batch=True)
    items = tuple(Item(incoming, incoming.envelope.disposition, finding, None) for incoming, finding in found)
    return Admitted(arrival, items, batch=True)


def _item(arrival: Arrival, body: bytes, source: SourceSettings) -> Item:
    admission = hl7v2.admit(body, source.rules, source=source.name, received_at=arrival.received_at)
    envelope = admission.envelope
    partitions = () if envelope.disposition.is_refusal else partitions_of(envelope)
    incoming = Incoming(envelope, body, partitions, arrival.once)
    return Item(incoming, envelope.disposition, admission.worst, admission.message)


def _framed(item: Item, arrival: Arrival, source: SourceSettings) -> Item:
    """What the wire tolerated around a whole message, judged by the source's rules as everything else is."""
    for code in arrival.codes:
        policy = source.framing.get(code, Disposition.WARNING)
        if policy is not Disposition.ACCEPT:
            severity = Severity.WARNING if policy is Disposition.WARNING else Severity.ERROR
            finding = Finding(code, "the bytes around the message are not what MLLP asks for", severity=severity)
            item = _at_least(item, policy, (finding,))
    return item


def _at_least(item: Item, disposition: Disposition, findings: Sequence[Finding]) -> Item:
    """The item with these findings too; its disposition becomes no better than the one given."""
    envelope = item.incoming.envelope
    worst = max(envelope.disposition, disposition, key=_RANK.__getitem__)
    codes = tuple(dict.fromkeys((*envelope.codes, *(one.code for one in findings))))
    partitions = () if worst.is_refusal else item.incoming.partitions
    incoming = structs.replace(
        item.incoming, envelope=structs.replace(envelope, disposition=worst, codes=codes), partitions=partitions
    )
    finding = item.finding if worst is item.disposition and item.finding else findings[0]
    return structs.replace(item, incoming=incoming, disposition=worst, finding=finding)


_RANK = {disposition: rank for rank, disposition in enumerate(Disposition)}


def _held_whole(arrival: Arrival, finding: Finding) -> Item:
    item = _refusal(arrival, arrival.body, finding, Disposition.HOLD)
    incoming = structs.replace(item.incoming, partitions=partitions_of(item.incoming.envelope))
    return structs.replace(item, incoming=incoming)


def _refusal(arrival: Arrival, body: bytes, finding: Finding, disposition: Disposition) -> Item:
    envelope = Envelope(
        source=arrival.source,
        received_at=arrival.received_at,
        disposition=disposition,
        codes=(finding.code,),
    )
    return Item(Incoming(envelope, body, (), arrival.once), disposition, finding, None)

"""From bytes at the door to journal rows: split, gate, address. Pure."""

from __future__ import annotations

from msgspec import Struct

from hilum.engine.partition import partitions_of
from hilum.engine.settings import SourceSettings
from hilum.formats import hl7v2
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
    """An arrival after the gate. `batch` says that it came as one and wants one answer."""

    arrival: Arrival
    items: tuple[Item, ...]
    batch: bool = False


def admit(arrival: Arrival, source: SourceSettings) -> Admitted:
    """Gate one arrival. Whatever comes in gives at least one item: garbage is refused, and kept."""
    if arrival.fault is not None:
        return Admitted(arrival, (_refusal(arrival, arrival.body, arrival.fault, Disposition.AR),))
    if not hl7v2.is_batch(arrival.body):
        return Admitted(arrival, (_item(arrival, arrival.body, source),))
    batch = hl7v2.split_batch(arrival.body)
    if batch.disposition.is_refusal:
        finding = next(one for one in batch.findings if one.severity is Severity.ERROR)
        return Admitted(arrival, (_refusal(arrival, arrival.body, finding, batch.disposition),), batch=True)
    return Admitted(arrival, tuple(_item(arrival, body, source) for body in batch.messages), batch=True)


def _item(arrival: Arrival, body: bytes, source: SourceSettings) -> Item:
    admission = hl7v2.admit(body, source.rules, source=source.name, received_at=arrival.received_at)
    envelope = admission.envelope
    partitions = () if envelope.disposition.is_refusal else partitions_of(envelope)
    incoming = Incoming(envelope, body, partitions)
    return Item(incoming, envelope.disposition, admission.worst, admission.message)


def _refusal(arrival: Arrival, body: bytes, finding: Finding, disposition: Disposition) -> Item:
    envelope = Envelope(
        source=arrival.source,
        received_at=arrival.received_at,
        disposition=disposition,
        codes=(finding.code,),
    )
    return Item(Incoming(envelope, body, ()), disposition, finding, None)

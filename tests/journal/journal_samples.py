"""Small synthetic messages for the journal's tests."""

from __future__ import annotations

from hilum.journal import Incoming
from hilum.model import Disposition, Envelope

START = 1_760_000_000_000_000


def incoming(
    n: int,
    *,
    control_id: str | None = None,
    sender: str = "EPIC|HOSP",
    key: str = "",
    text: str = "",
    partitions: tuple[int, ...] | None = None,
    disposition: Disposition = Disposition.ACCEPT,
    kind: str = "ADT^A01",
    other_key: str = "",
    at: int = 0,
) -> Incoming:
    """Message number `n` with a body of its own."""
    control_id = f"C{n}" if control_id is None else control_id
    key = key or f"{n % 7}|HOSP"
    body = f"MSH|^~\\&|EPIC|HOSP|||20260101||{kind}|{control_id}|P|2.5\rPID|1||{key}||N{n}{text}\xe9\r"
    envelope = Envelope(
        source="adt",
        received_at=at or START + n * 1_000_000,
        sender=sender,
        control_id=control_id,
        kind=kind,
        key=key,
        other_key=other_key,
        sent_at=START,
        charset="latin-1",
        disposition=disposition,
        codes=("segment-unknown",) if disposition is Disposition.WARNING else (),
    )
    return Incoming(envelope, body.encode("latin-1"), (n % 4,) if partitions is None else partitions)


def refused(n: int) -> Incoming:
    """A message that was refused at the door."""
    return incoming(n, partitions=(), disposition=Disposition.AR)

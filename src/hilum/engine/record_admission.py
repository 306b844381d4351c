"""From a file of records to journal rows: every record is a message of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO

from hilum.engine.partition import partitions_of
from hilum.errors import FormatError
from hilum.formats import records
from hilum.journal import Incoming
from hilum.model import Arrival, Disposition, Envelope, Finding

__all__ = ["complaint_of", "record_messages"]


def record_messages(arrival: Arrival, format_: records.Format) -> Iterator[tuple[Incoming, Finding | None]]:
    """What the journal gets of each record, and what is wrong with it: such a record is held, the others go on.

    The control id is made of the file's content and the line: the same file again gives the same ids.
    Raises FormatError for a file that is none of this format.
    """
    part = arrival.part
    tag = part.tag if part is not None else sha256(arrival.body).hexdigest()[:16]
    sender = format_.sender_of(arrival.source)
    for found in _records_of(arrival, format_):
        finding = found.finding
        envelope = Envelope(
            source=arrival.source,
            received_at=arrival.received_at,
            sender=sender,
            control_id=f"{tag}-{found.line}",
            kind=found.kind,
            key=found.key,
            sent_at=found.at,
            disposition=Disposition.HOLD if finding else Disposition.ACCEPT,
            codes=(finding.code,) if finding else (),
        )
        yield Incoming(envelope, found.body, partitions_of(envelope), arrival.once), finding


def _records_of(arrival: Arrival, format_: records.Format) -> Iterator[records.Found]:
    if arrival.part is not None:
        return records.read_part(arrival.part, arrival.body, format_)
    return records.read_records(BytesIO(arrival.body), format_)


def complaint_of(body: bytes) -> tuple[str, str]:
    """The code for which a journaled record cannot be read, and the words for people; ("", "") when it can."""
    try:
        records.read(body)
    except FormatError as error:
        return error.code, error.message
    return "", ""

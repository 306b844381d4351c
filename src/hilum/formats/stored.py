"""A journaled message read again, whatever it is: HL7 v2, or a record."""

from __future__ import annotations

from hilum.formats import hl7v2, records

__all__ = ["Stored", "read_stored"]

Stored = hl7v2.Hl7Message | records.RowRecord | records.ResourceRecord


def read_stored(body: bytes, charset: str) -> Stored:
    """A body of the journal; `charset` is that of its envelope. Raises FormatError."""
    return records.read(body) if records.is_framed(body) else hl7v2.parse(body, default_charset=charset)

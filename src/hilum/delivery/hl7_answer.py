"""What a sender must know of HL7 v2 messages: the control id it sent, and what the answer says of it."""

from __future__ import annotations

from msgspec import Struct

from hilum.errors import DeliveryError, Outcome

__all__ = ["Answer", "control_id", "read_answer"]

_HEADER_BYTES = 4096  # MSH-10 stands before this in every real message
_CODES = frozenset({"AA", "AE", "AR", "CA", "CE", "CR"})


class Answer(Struct, frozen=True):
    """MSA-1 and MSA-2 of an acknowledgement (HL7 v2.5.1 section 2.15.8)."""

    code: str  # AA AE AR CA CE CR
    control_id: bytes

    @property
    def is_positive(self) -> bool:
        """Whether the partner took the message."""
        return self.code in ("AA", "CA")


def control_id(message: bytes) -> bytes:
    """MSH-10. Raises DeliveryError `mllp-no-control-id`, outcome hold: an answer could not be told apart."""
    head = message[:_HEADER_BYTES].split(b"\r", 1)[0].split(b"\n", 1)[0]
    fields = head.split(head[3:4], 10) if head[:3] == b"MSH" and len(head) > 3 else []
    value = fields[9].strip() if len(fields) > 9 else b""
    if not value:
        text = "The record has no MSH-10, so its answer could not be recognised; give it a control id"
        raise DeliveryError(text, code="mllp-no-control-id", outcome=Outcome.HOLD)
    return value


def read_answer(body: bytes) -> Answer | None:
    """The first MSA segment; None when there is none or its code is unknown."""
    for segment in body.replace(b"\n", b"\r").split(b"\r"):
        if segment[:3] == b"MSA" and len(segment) > 3:
            fields = segment.split(segment[3:4])
            code = fields[1].strip().decode("ascii", "replace") if len(fields) > 1 else ""
            return Answer(code, fields[2].strip() if len(fields) > 2 else b"") if code in _CODES else None
    return None

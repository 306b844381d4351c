"""Ways in which messages are broken on the wire. Each takes a good message and spoils it."""

from __future__ import annotations

__all__ = ["GARBAGE", "line_break", "undecodable", "unknown_event", "without_patient_id"]

GARBAGE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the start of a TLS handshake
    b'{"resourceType": "Patient"}',
    b"PID|1||1^^^GENERAL||NO^HEADER\r",
)


def undecodable(body: bytes) -> bytes:
    """MSH-18 says UTF-8, and a Latin-1 letter stands in the name of a ward."""
    return body.replace(b"\rPV1|", b"\rNTE|1||K\xfcche\rPV1|", 1)


def without_patient_id(body: bytes) -> bytes:
    """PID-3 is empty."""
    head, mark, rest = body.partition(b"\rPID|1||")
    return head + mark + rest[rest.index(b"|") :]


def unknown_event(body: bytes) -> bytes:
    """ADT^A99."""
    return body.replace(b"|ADT^A01^ADT_A01|", b"|ADT^A99^ADT_A99|", 1)


def line_break(body: bytes) -> bytes:
    """Somebody pressed Enter in a note, and the sender did not escape it."""
    return body.replace(b"\rPV1|", b"\rNTE|1||walks with\ra stick\rPV1|", 1)

"""What the engine must know about each source: read from the folder once, then frozen."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from hilum.formats import hl7v2, records
from hilum.model import Disposition

__all__ = ["AckMode", "Contract", "Order", "SourceSettings"]


class AckMode(StrEnum):
    """HL7 v2.5.1 chapter 2, section 2.9: who is answered, and with which code."""

    ORIGINAL = "original"  # one answer: AA, AE, AR
    ENHANCED = "enhanced"  # CA, CE or CR at once; AA, AE or AR later where the contract goes further
    AUTO = "auto"  # as MSH-15 and MSH-16 of each message ask


class Contract(StrEnum):
    """What a positive answer means. It never says more than is true."""

    ACCEPTED = "accepted"  # the journal has it
    APPLIED = "applied"  # its resources are committed
    DELIVERED = "delivered"  # every destination has taken what it made


class Order(StrEnum):
    """What later messages of a key do while an earlier one is held."""

    WAIT = "wait"  # they wait behind it
    PASS = "pass"  # they go on  # noqa: S105


class SourceSettings(Struct, frozen=True):
    """One way in, as the engine sees it."""

    name: str
    rules: hl7v2.Rules
    ack: AckMode = AckMode.ORIGINAL
    contract: Contract = Contract.ACCEPTED
    order: Order = Order.WAIT
    owner: str = ""
    framing: Mapping[str, Disposition] = {}  # what the wire tolerated -> what becomes of the message; else a warning
    records: records.Format | None = None  # what its files hold; None: HL7 v2
    is_waited_for: bool = True  # whether somebody waits for each answer, and starts to guess after two seconds

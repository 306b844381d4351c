"""The values that travel through hilum: small, frozen, without behaviour.

Times are integers: microseconds since 1970-01-01T00:00:00Z. JSON fragments are `msgspec.Raw`: bytes that are already
JSON, spliced into a resource without parsing, so that decimal text survives and serving costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Raw, Struct

__all__ = [
    "DECISIONS",
    "Accounting",
    "Ack",
    "Appended",
    "Arrival",
    "AuditEvent",
    "Disposition",
    "Draft",
    "Effects",
    "Entry",
    "Envelope",
    "ExceptionItem",
    "Finding",
    "Held",
    "Merge",
    "Message",
    "Outgoing",
    "Part",
    "Receipt",
    "Severity",
    "Sighted",
]


DECISIONS = "hilum:decisions"  # the source of messages that say what a person decided; no folder can have this name


class Severity(StrEnum):
    """How bad a finding is."""

    WARNING = "warning"  # tolerated, and said
    ERROR = "error"  # not usable until it is mended


class Disposition(StrEnum):
    """What becomes of a message at the door, worst last."""

    ACCEPT = "accept"
    WARNING = "warning"  # accepted, with coded warnings
    HOLD = "hold"  # kept and acknowledged, not applied until a person has looked
    AE = "AE"  # refused: the content must be mended before it is sent again
    AR = "AR"  # refused: this receiver does not take such messages

    @property
    def is_refusal(self) -> bool:
        """Whether the sender is told no."""
        return self in (Disposition.AE, Disposition.AR)


class Finding(Struct, frozen=True):
    """One thing found wrong or tolerated, without PHI. `location`: `file:line:col`, `PID-3[1].1` or `sheet!cell`."""

    code: str
    message: str
    location: str = ""
    severity: Severity = Severity.ERROR
    hint: str = ""  # what to do, or a near miss: "did you mean `owners`?"

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.location} {self.code} {self.message}{hint}".lstrip()


class Envelope(Struct, frozen=True):
    """What hilum knows of a message without mapping it; written into the journal beside the exact bytes."""

    source: str  # name of the configured way in
    received_at: int
    sender: str = ""  # who sent it, e.g. "EPIC|HOSP" (MSH-3.1|MSH-4.1)
    control_id: str = ""  # MSH-10; may be blank
    kind: str = ""  # "ADT^A01", "ORU^R01"; "" when it cannot be told
    key: str = ""  # what orders it: "100200|GENHOSP"; "" goes to the serial lane of its source
    other_key: str = ""  # the second key of a merge
    sent_at: int = 0  # MSH-7 (0 when absent or unreadable)
    charset: str = "utf-8"  # the Python codec that the body was proven to decode with
    disposition: Disposition = Disposition.ACCEPT
    codes: tuple[str, ...] = ()  # codes of the findings behind the disposition, without PHI


class Message(Struct, frozen=True):
    """A journaled message. `seq` is its id: dense enough to read aloud, unique in the store, rising with arrival."""

    seq: int
    partition: int
    envelope: Envelope
    body: bytes
    reused_from: int = 0  # seq of an earlier message with this sender and control id and other content


class Entry(Struct, frozen=True):
    """One step of a partition: a message of its own, or (`barrier`) the mark of a merge whose home is elsewhere."""

    seq: int
    barrier: bool
    home: int  # partition that applies the message
    message: Message


class Appended(Struct, frozen=True):
    """What the journal made of one envelope, known only after the commit."""

    seq: int
    duplicate_of: int = 0  # seq of the first copy (same sender, control id, content); nothing new was stored
    reused_from: int = 0  # seq of an earlier message with this sender and control id and other content


class Ack(Struct, frozen=True):
    """An answer to a sender: `code` for programs, `body` as it goes over the wire.

    The answer to a batch has the code of its worst message; `taken` counts those that were not refused, and `findings`
    says what was found, message by message.
    """

    code: str  # AA AE AR CA CE CR
    body: bytes = b""
    finding: Finding | None = None
    taken: int = 0
    findings: tuple[Finding, ...] = ()


class Part(Struct, frozen=True):
    """Which part of a large file of records an arrival is: they come in order, each taken by itself."""

    tag: str  # names the file's content; control ids are made of it and the line
    line: int  # of the file, of the first record
    columns: tuple[str, ...] = ()
    cr: bool = False  # lines end in CR alone


class Arrival(Struct, frozen=True):
    """One message as it came in, and the way to answer. `answer` never blocks; it may be called for CA and then AA."""

    source: str
    peer: str  # for people: address and port, or the hash of a file name
    received_at: int
    body: bytes
    answer: Callable[[Ack], None]
    fault: Finding | None = None  # the way in could not take it whole (too large, cut off); body is what was kept
    codes: tuple[str, ...] = ()  # oddities of the way in that were tolerated: the body is whole
    once: bytes = b""  # names it among all arrivals: the journal takes it once, however often it is handed over
    part: Part | None = None  # of a large file of records; else the body is all of it


class AuditEvent(Struct, frozen=True):
    """Who did what to what. Goes into the hash-chained journal before the bytes leave. Ids, never content."""

    at: int
    actor: str  # token name, CLI user, "engine"
    action: str  # "read", "search", "history", "show", "settle", "replay", "token-create"
    target: str  # "Patient/abc", "message/17", "Observation?patient,code" (parameter names, never values)
    outcome: str = "ok"  # or a code
    detail: str = ""  # counts, a stated reason


class Draft(Struct):
    """One resource as one message states it: a partial snapshot, patched over what is stored.

    `elements` maps a top-level element to its JSON. An element that is not there changes nothing; one in `cleared` is
    deleted (v2 `""`). `defaults` are used only where the stored resource has no such element (a status that this event
    may not reset, yet R4 requires). An array element that more than one source field feeds lists how many items each of
    them gave in `slots`, in order: `{"telecom": (("PID-13", 1), ("PID-14", 2))}`; a message that holds only PID-14
    replaces only that slot; `cleared` then names `telecom#PID-13`.
    """

    type: str
    id: str
    elements: dict[str, Raw]
    defaults: dict[str, Raw] = {}
    cleared: tuple[str, ...] = ()
    slots: dict[str, tuple[tuple[str, int], ...]] = {}


class Merge(Struct, frozen=True):
    """`retired` turned out to be `survivor` (same type, FHIR ids). `undo` takes an earlier merge back."""

    type: str
    survivor: str
    retired: str
    undo: bool = False


class Accounting(Struct, frozen=True):
    """valued = mapped + ignored + exceptions, in fields (a repeating field counts once per segment)."""

    valued: int = 0
    mapped: int = 0
    ignored: int = 0
    exceptions: int = 0

    @property
    def adds_up(self) -> bool:
        """Whether every valued field has exactly one fate."""
        return self.valued == self.mapped + self.ignored + self.exceptions


class ExceptionItem(Struct, frozen=True):
    """A coded problem for a person. Items with the same `group` are one item with a count. No PHI in `message`."""

    code: str
    message: str
    location: str = ""  # "PV1-2", with the message's seq told apart
    owner: str = ""
    row: str = ""  # workbook row id
    group: str = ""  # e.g. "code-unmapped|EPIC|HL70004|ZZ"; "" is never grouped


class Sighted(Struct, frozen=True):
    """What one message holds that this process has not met before: the repository knows what is new altogether.

    `by` is a sender, or `source NAME`. `things` are a kind and a name of a fixed vocabulary, never content: `field
    PID-19`, `segment ZPI`, `code AdministrativeSex F`, `event ADT^A08`, `version 2.5.1`, `sender EPIC|HOSP`.
    """

    by: str
    things: tuple[str, ...]
    owner: str = ""
    learn_days: int = 7  # for so long after its first message nothing of it is news


class Outgoing(Struct, frozen=True):
    """One delivery to make: `payload` is the exact body, `idempotency_key` the same for every attempt.

    With `moved`, `payload` is a JSON list of [type, id], and the resources of these types (empty: of any) that a merge
    moves from one record to another are added to it when the message is applied.
    """

    destination: str
    key: str
    idempotency_key: str
    payload: bytes
    content_type: str = "application/fhir+json"
    other_key: str = ""  # the second key of a merge: it leaves in the order of both
    moved: tuple[str, ...] | None = None


class Effects(Struct):
    """All that one message does, committed together with the reader's position."""

    seq: int
    partition: int
    at: int  # event time: what "older never overwrites newer" compares
    key: str = ""
    drafts: list[Draft] = []
    merges: tuple[Merge, ...] = ()
    exceptions: tuple[ExceptionItem, ...] = ()
    outgoing: tuple[Outgoing, ...] = ()
    accounting: Accounting = Accounting()
    sighted: tuple[Sighted, ...] = ()


class Held(Struct, frozen=True):
    """A message that could not be applied, or (`behind`) that waits behind a held one of its key."""

    seq: int
    partition: int
    key: str
    code: str
    message: str = ""
    location: str = ""
    owner: str = ""
    behind: bool = False
    other_key: str = ""  # the second key of a merge: its messages wait as well
    items: tuple[ExceptionItem, ...] = ()  # what it is held for, grouped with other messages held for the same
    sighted: tuple[Sighted, ...] = ()


class Receipt(Struct, frozen=True):
    """What a destination said of one record it took."""

    reference: str = ""  # MSA-2, a Location header, a file name without PHI
    detail: str = ""

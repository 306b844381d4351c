"""What mapping is given beside the record, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from hilum.model import Accounting, Draft, Envelope, ExceptionItem, Merge

__all__ = ["Context", "Mapped", "Problem", "Record", "Trace", "render"]


class _Delimiters(Protocol):
    @property
    def field(self) -> str: ...
    @property
    def component(self) -> str: ...
    @property
    def repetition(self) -> str: ...
    @property
    def escape(self) -> str: ...
    @property
    def subcomponent(self) -> str: ...


class _Segment(Protocol):
    @property
    def raw(self) -> str: ...
    @property
    def fields(self) -> list[str]: ...


class Record(Protocol):
    """A parsed message. `fields[0]` is the segment's name, `fields[n]` is SEG-n, still escaped."""

    @property
    def segments(self) -> Sequence[_Segment]: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def parents(self) -> tuple[int, ...]: ...
    @property
    def delimiters(self) -> _Delimiters: ...
    @property
    def kind(self) -> str: ...
    def unescape(self, text: str, /) -> str:
        """A leaf value with its escape sequences undone."""
        ...


class Context(Struct, frozen=True):
    """What the journal knows of a message. `received_at` in microseconds since 1970."""

    source: str = ""
    sender: str = ""  # "EPIC|HOSP"
    received_at: int = 0
    sent_at: int = 0

    @classmethod
    def of(cls, envelope: Envelope) -> Context:
        """The context of a journaled message."""
        return cls(envelope.source, envelope.sender, envelope.received_at, envelope.sent_at)


class Problem(Struct, frozen=True):
    """Why a message is held."""

    code: str
    location: str = ""
    message: str = ""
    owner: str = ""


class Mapped(Struct):
    """All that one message says. Drafts share their JSON with other messages: read, never change in place.

    `at` is the time of the event (0: not known, use the time of receipt). `accounting` always adds up, held or not.
    When `held` is set, drafts and merges are not to be applied.
    """

    drafts: list[Draft]
    merges: tuple[Merge, ...] = ()
    at: int = 0
    accounting: Accounting = Accounting()
    exceptions: tuple[ExceptionItem, ...] = ()
    held: Problem | None = None


class Trace(Struct, frozen=True):
    """Where one value of a resource comes from."""

    type: str
    id: str
    path: str  # "name[0].family"
    source: str  # "PID-5[1].1"; "" for a constant
    value: str  # JSON of the value
    row: str
    segment: int = -1  # index of the segment in the message
    entry: str = ""  # map entries used: "AdministrativeSex F"
    owner: str = ""
    approver: str = ""
    phi: str = ""
    origin: str = ""


_encode = msgspec.json.Encoder().encode


def render(mapped: Mapped) -> list[bytes]:
    """Each draft as a whole resource in JSON: its elements, and its defaults where it has no such element."""
    found = []
    for draft in mapped.drafts:
        body = {"resourceType": draft.type, "id": draft.id, **draft.elements}
        for name, value in draft.defaults.items():
            body.setdefault(name, value)
        found.append(_encode(body))
    return found

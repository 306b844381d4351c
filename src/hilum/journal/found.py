"""What a search of the journal gives, and how its pages follow each other."""

from __future__ import annotations

from msgspec import Struct

from hilum.errors import FormatError
from hilum.model import Disposition, Envelope

__all__ = ["Found", "MessagePage", "MessageQuery", "Rate", "RouteCount", "after_of", "next_of"]


class MessageQuery(Struct, frozen=True):
    """Which messages: every given field must agree. `key` also finds merges by their other key.

    Times are microseconds, `since` included, `until` not. `after` is the `next` of the page before.
    """

    control_id: str = ""
    key: str = ""
    kind: str = ""
    sender: str = ""
    source: str = ""
    disposition: Disposition | None = None
    since: int = 0
    until: int = 0
    limit: int = 50
    after: str = ""


class Found(Struct, frozen=True):
    """A message without its bytes. `partition` is -1 for a refused one."""

    seq: int
    partition: int
    envelope: Envelope


class MessagePage(Struct, frozen=True):
    """Newest arrival first. `next` is "" on the last page."""

    messages: tuple[Found, ...]
    next: str = ""


class RouteCount(Struct, frozen=True):
    """How many messages of one kind from one sender through one source, counted from rows."""

    source: str
    sender: str
    kind: str
    disposition: Disposition
    messages: int


class Rate(Struct, frozen=True):
    """How many messages of one kind one sender gave through one source in one hour (hours since 1970)."""

    source: str
    sender: str
    kind: str
    hour: int
    messages: int
    last_at: int  # microseconds: the last of that hour


def next_of(found: Found) -> str:
    """The cursor after a message: messages that arrive later cannot move it."""
    return f"{found.envelope.received_at}-{found.seq}"


def after_of(query: MessageQuery) -> tuple[int, int] | None:
    """(received_at, seq) to go on after, or None. Raises FormatError `journal-cursor-invalid`."""
    if not query.after:
        return None
    at, _, seq = query.after.rpartition("-")
    try:
        return int(at), int(seq)
    except ValueError:
        raise FormatError(
            "this is not a cursor of a page: use `next` as it was given", code="journal-cursor-invalid"
        ) from None

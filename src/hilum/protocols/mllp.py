"""MLLP framing without I/O (HL7 v2 transport specification, Minimal Lower Layer Protocol, release 1).

A block is `VT body FS CR`. Real senders split it, glue it, double a byte or forget one. The decoder takes what is
certain, names what is not, and never guesses a message: a lone FS or VT inside a body stays part of the body, because
cutting there would acknowledge half a message. A new block is seen inside an open one only where VT stands directly
before a header (`MSH`, `FHS`, `BHS`) or directly after FS.

Frames do not depend on how the bytes were cut into chunks, and every byte is scanned a constant number of times.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from hilum.errors import FormatError

__all__ = ["TOLERATED", "Fault", "Frame", "MllpDecoder", "frame"]

TOLERATED: Final = ("mllp-start-doubled", "mllp-start-missing", "mllp-end-short")  # the body is whole all the same

_VT: Final = b"\x0b"
_FS: Final = b"\x1c"
_END: Final = b"\x1c\r"
_END_GLUED: Final = b"\x1c\x0b"
_HEADERS: Final = (b"MSH", b"FHS", b"BHS")
_STARTS: Final = tuple(_VT + header for header in _HEADERS)
_LOOKAHEAD: Final = 3  # bytes that may still belong to an end or a start which the next chunk completes
_BETWEEN: Final = re.compile(rb"[\r\n\t \x00\x1c]*")  # carries no content: extra line ends, a doubled end block


class Frame(Struct, frozen=True, gc=False):
    """One whole body. `codes` name what was tolerated: `mllp-start-doubled`, `mllp-start-missing`, `mllp-end-short`."""

    body: bytes
    codes: tuple[str, ...] = ()


class Fault(Struct, frozen=True, gc=False):
    """Bytes that are not a whole body: `mllp-too-large`, `mllp-cut-off`, or `mllp-garbage` (nothing kept)."""

    code: str
    body: bytes = b""  # what was kept
    size: int = 0  # bytes seen, kept or not


def frame(body: bytes) -> bytes:
    """`VT body FS CR`. Raises FormatError `mllp-body-unframeable` when the body would be read as something else."""
    if (0x1C in body or 0x0B in body) and _is_misread(body):
        raise FormatError(
            "The message holds MLLP framing bytes and would be cut by its receiver; take them out",
            code="mllp-body-unframeable",
        )
    return b"%b%b%b" % (_VT, body, _END)


def _is_misread(body: bytes) -> bool:
    return body.startswith(_VT) or any(mark in body for mark in (_END, _END_GLUED, *_STARTS))


class MllpDecoder:
    """Bytes in, frames and faults out. One per connection; `max_bytes` is the largest body taken whole."""

    __slots__ = ("_buffer", "_codes", "_dropped", "_kept", "_max", "_open", "_scanned", "_skipping")

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._buffer = bytearray()
        self._open = False  # inside a block; the buffer then begins with its body
        self._skipping = False  # inside garbage, until the next VT
        self._codes: tuple[str, ...] = ()
        self._scanned = 0  # no end or start begins before this place of the buffer
        self._kept: bytes | None = None  # the first `max_bytes` of an oversized body
        self._dropped = 0  # bytes of the open body that have left the buffer

    @property
    def pending(self) -> int:
        """Bytes held for a block that is not complete; 0 between blocks."""
        return len(self._buffer) + len(self._kept or b"") + (1 if self._open else 0)

    @property
    def ends_short(self) -> bool:
        """Whether the open block lacks nothing but its CR: a silent peer then waits for its answer."""
        return self._open and self._buffer.endswith(_FS)

    def feed(self, data: bytes) -> list[Frame | Fault]:
        """Everything that these bytes complete, in order."""
        if not self._open and not self._buffer and not self._skipping:
            end = len(data) - 2
            # By far the most common chunk is exactly one clean block.
            if data.find(_FS) == end > 0 and data.endswith(_END) and data.rfind(_VT) == 0 and end - 1 <= self._max:
                return [Frame(data[1:end])]
        self._buffer += data
        events: list[Frame | Fault] = []
        while self._step(events):
            pass
        return events

    def flush(self) -> list[Frame | Fault]:
        """Take a block that lacks only its CR as whole; call it when the peer has been silent for a moment."""
        if not self.ends_short:
            return []
        events: list[Frame | Fault] = []
        self._codes += ("mllp-end-short",)
        self._close(events, len(self._buffer) - 1, len(self._buffer))
        return events

    def finish(self) -> list[Frame | Fault]:
        """The connection is gone: what can be said of the block that was open. The decoder is empty afterwards."""
        events = self.flush()
        if self._open and self.pending > 1:
            events.append(self._fault("mllp-cut-off", len(self._buffer)))
        self._buffer.clear()
        self._reset()
        self._skipping = False
        return events

    def _step(self, events: list[Frame | Fault]) -> bool:
        """Get one thing out of the buffer; False when more bytes are needed."""
        if self._open:
            return self._step_inside(events)
        if self._skipping:
            return self._skip_garbage()
        return self._step_between(events)

    def _step_between(self, events: list[Frame | Fault]) -> bool:
        buffer = self._buffer
        blank = _BETWEEN.match(buffer)
        if blank is not None and blank.end():
            del buffer[: blank.end()]
        if not buffer:
            return False
        if buffer.startswith(_VT):
            del buffer[:1]
            self._open = True
            return True
        head = bytes(buffer[:3])
        if head in _HEADERS:
            self._open, self._codes = True, ("mllp-start-missing",)
            return True
        if any(header.startswith(head) for header in _HEADERS):
            return False
        events.append(Fault("mllp-garbage"))
        self._skipping = True
        return True

    def _skip_garbage(self) -> bool:
        start = self._buffer.find(_VT)
        if start < 0:
            self._buffer.clear()
            return False
        del self._buffer[:start]
        self._skipping = False
        return True

    def _step_inside(self, events: list[Frame | Fault]) -> bool:
        buffer = self._buffer
        if buffer.startswith(_VT) and not self._scanned and not self._dropped:
            self._skip_doubled_starts()
        begin = self._scanned
        end = buffer.find(_END, begin)
        if buffer.find(_VT, begin, end if end >= 0 else len(buffer)) >= 0:
            return self._step_over_start(events, end)
        if end < 0:
            return self._wait()
        self._close(events, end, end + 2)
        return True

    def _skip_doubled_starts(self) -> None:
        """A body never begins with VT: what stands there is the start, said again."""
        self._buffer[:] = self._buffer.lstrip(_VT)
        if "mllp-start-doubled" not in self._codes:
            self._codes += ("mllp-start-doubled",)

    def _step_over_start(self, events: list[Frame | Fault], end: int) -> bool:
        """A VT stands inside an open block, before its end if it has one: a new block, or text?"""
        buffer, begin = self._buffer, self._scanned
        limit = end if end >= 0 else len(buffer)
        glued = buffer.find(_END_GLUED, begin, limit)
        starts = [at for start in _STARTS if (at := buffer.find(start, begin, limit)) >= 0]
        start = min(starts, default=-1)
        if glued >= 0 and (start < 0 or glued < start):
            self._codes += ("mllp-end-short",)
            self._close(events, glued, glued + 1)
        elif start >= 0:
            self._cut(events, start)
        elif end >= 0:
            self._close(events, end, end + 2)
        else:
            return self._wait()
        return True

    def _cut(self, events: list[Frame | Fault], start: int) -> None:
        """A new block begins at `start` although the open one never ended."""
        events.append(self._fault("mllp-cut-off", start))
        del self._buffer[:start]
        self._reset()

    def _close(self, events: list[Frame | Fault], end: int, after: int) -> None:
        """The body ends before `end`; the next block begins at or behind `after`."""
        size = self._dropped + end
        if size > self._max:
            events.append(self._fault("mllp-too-large", end))
        else:
            body = bytes(memoryview(self._buffer)[:end]) if self._kept is None else self._kept[:size]
            events.append(Frame(body, tuple(dict.fromkeys(self._codes))))
        del self._buffer[:after]
        self._reset()

    def _fault(self, code: str, end: int) -> Fault:
        size = self._dropped + end
        body = self._kept if self._kept is not None else bytes(memoryview(self._buffer)[: min(end, self._max)])
        return Fault("mllp-too-large" if size > self._max else code, body[:size], size)

    def _wait(self) -> bool:
        """No end in sight: remember what was scanned, and let go of what exceeds the limit."""
        length = len(self._buffer)
        if self._dropped + length > self._max + _LOOKAHEAD:
            if self._kept is None:
                self._kept = bytes(memoryview(self._buffer)[: self._max])
            self._dropped += length - _LOOKAHEAD
            del self._buffer[: length - _LOOKAHEAD]
        self._scanned = max(0, len(self._buffer) - _LOOKAHEAD)
        return False

    def _reset(self) -> None:
        self._open = False
        self._codes = ()
        self._scanned = 0
        self._kept = None
        self._dropped = 0

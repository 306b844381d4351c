"""Batches and files of messages (FHS BHS ... BTS FTS; section 2.10.3), and messages that merely follow each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from hilum.formats.hl7v2.codes import CODES, finding
from hilum.model import Disposition, Finding, Severity

__all__ = ["Batch", "is_batch", "split_batch"]

_FRAMING = re.compile(rb"\x1c[\r\n]*(?:\x0b|\Z)|\x0b(?=MSH|FHS|BHS)")
_LINE = re.compile(rb"[^\r\n]+[\r\n]*")
_WRAPPERS = (b"FHS", b"BHS", b"BTS", b"FTS")
_SECOND = re.compile(rb"[\r\n\x0b\x1c][ \t]*(?:MSH[^A-Za-z0-9\r\n]|[FB][HT]S(?:[^A-Za-z0-9]|$))")
_BOM = b"\xef\xbb\xbf"
_NONE: Mapping[str, Disposition] = MappingProxyType({})
_ORDER = list(Disposition)
_BLANK = _BOM + b" \t\r\n\x0b"


class Batch(Struct, frozen=True):
    """What a file or frame holds: the exact bytes of each message, in order, and what is wrong with the whole.

    `disposition` speaks of the whole: AE means that its own counts contradict it, so that no message may be taken.
    """

    messages: tuple[bytes, ...]
    findings: tuple[Finding, ...]
    disposition: Disposition
    batches: int  # BHS seen; 0 for plain messages
    header: bytes = b""  # the first FHS or BHS line, for the answer

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings for which no message of it is taken; none when the messages are judged one by one."""
        if not self.disposition.is_refusal:
            return ()
        return tuple(one for one in self.findings if one.severity is Severity.ERROR)


def is_batch(raw: bytes) -> bool:
    """Whether the bytes are anything but one message alone: batch headers or trailers, or several MSH."""
    if raw[:3] == b"MSH":
        start = 0
    elif raw[:64].lstrip(_BLANK)[:3] in _WRAPPERS:
        return True
    else:
        start = raw.find(b"MSH", 0, 64)
    # Two plain searches first: this is asked of every message.
    if raw.find(b"MSH", start + 1) < 0:
        tail = raw[-80:]
        return b"TS" in tail and _SECOND.search(tail) is not None
    return _SECOND.search(raw, start + 1) is not None


def split_batch(raw: bytes, tolerances: Mapping[str, Disposition] = _NONE) -> Batch:
    """Cut a file or frame into messages and check its counts. Never raises: garbage is one message for the gate.

    `tolerances` are those of the source's rules.
    """
    reader = _Reader(tolerances)
    for frame in _frames(raw, reader):
        for line in _LINE.findall(frame):
            reader.read(line)
        reader.close_message()
    return reader.finish()


def _frames(raw: bytes, reader: _Reader) -> list[bytes]:
    """The bytes between MLLP framing characters, which have no business in a file; that is said."""
    if raw.startswith(_BOM) and raw[3:6] in _WRAPPERS:
        raw = raw[3:]
        reader.note("byte-order-mark", "1")
    frames = _FRAMING.split(raw)
    if len(frames) > 1:
        reader.note("batch-framed", "1")
    return frames


class _Reader:
    """Walks over the lines; knows where it is (file, batch, message) and what was counted."""

    def __init__(self, tolerances: Mapping[str, Disposition]) -> None:
        self.tolerances = tolerances
        self.messages: list[bytes] = []
        self.findings: list[Finding] = []
        self.policy = Disposition.ACCEPT
        self.header = b""
        self.current: list[bytes] = []
        self.in_file = False
        self.in_batch = False
        self.batches = 0  # of the file so far, with or without BHS
        self.headers = 0
        self.count = 0  # messages of the batch so far
        self.line = 0

    def note(self, code: str, location: str, detail: str = "") -> None:
        policy = self.tolerances.get(code) or CODES[code].policy
        if policy is not Disposition.ACCEPT:
            self.findings.append(finding(code, location, policy is not Disposition.WARNING, detail))
            self.policy = max(self.policy, policy, key=_ORDER.index)

    def read(self, line: bytes) -> None:
        self.line += 1
        name = line.lstrip(b" \t")[:3]
        step = _STEPS.get(name)
        if step is not None and line.lstrip(b" \t")[3:4].isalnum():
            step = None
        if step is not None:
            self.close_message()
            step(self, line)
        elif self.current:
            self.current.append(line)
        elif self.in_batch or self.in_file:
            self.note("batch-stray-segment", f"segment {self.line}")
        else:
            self.current.append(line)

    def close_message(self) -> None:
        if self.current:
            self.messages.append(b"".join(self.current))
            self.count += 1
            self.current = []

    def open_message(self, line: bytes) -> None:
        self.current = [line]

    def open_file(self, line: bytes) -> None:
        self.close_batch()
        if self.in_file:
            self.note("batch-trailer-missing", "FTS")
        self.in_file, self.batches = True, 0
        self.header = self.header or line.rstrip(b"\r\n")

    def open_batch(self, line: bytes) -> None:
        self.close_batch()
        self.in_batch, self.count = True, 0
        self.headers += 1
        self.header = self.header or line.rstrip(b"\r\n")

    def close_batch(self) -> None:
        """End a batch that has no BTS."""
        if self.in_batch:
            self.note("batch-trailer-missing", f"BTS[{self.headers}]")
            self.batches += 1
        elif self.in_file and self.count:
            self.batches += 1
        self.in_batch, self.count = False, 0

    def end_batch(self, line: bytes) -> None:
        if not self.in_batch:
            self.note("batch-header-missing", f"segment {self.line}")
        self.check(line, self.count, "batch-count", f"BTS[{self.headers or 1}]-1")
        self.batches += 1
        self.in_batch, self.count = False, 0

    def end_file(self, line: bytes) -> None:
        self.close_batch()
        if not self.in_file:
            self.note("batch-header-missing", f"segment {self.line}")
        self.check(line, self.batches, "batch-file-count", "FTS-1")
        self.in_file = False

    def check(self, line: bytes, counted: int, code: str, location: str) -> None:
        fields = line.strip(b" \t\r\n").split(line.lstrip(b" \t")[3:4] or b"|", 2)
        said = fields[1].strip() if len(fields) > 1 else b""
        if not said.isdigit() or len(said) > 9:
            self.note("batch-count-missing", location)
        elif int(said) != counted:
            self.note(code, location, f"{CODES[code].text}: {int(said)} said, {counted} there")

    def finish(self) -> Batch:
        self.close_message()
        self.close_batch()
        if self.in_file:
            self.note("batch-trailer-missing", "FTS")
        if self.header and not self.messages:
            self.note("batch-empty", "")
        if not self.header and len(self.messages) > 1:
            self.note("batch-glued", "MSH[2]")
        return Batch(tuple(self.messages), tuple(self.findings), self.policy, self.headers, self.header)


_STEPS = {
    b"MSH": _Reader.open_message,
    b"FHS": _Reader.open_file,
    b"BHS": _Reader.open_batch,
    b"BTS": _Reader.end_batch,
    b"FTS": _Reader.end_file,
}

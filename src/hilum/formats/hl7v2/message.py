"""A message: raw bytes kept, text decoded once, segments cut once, fields cut when first touched."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hilum.errors import FormatError
from hilum.formats.hl7v2.charset import WIDE, canonical, codec_of
from hilum.formats.hl7v2.delimiters import Delimiters, read_delimiters
from hilum.formats.hl7v2.escape import escape, unescape
from hilum.formats.hl7v2.grouping import Node, grow, parents_of
from hilum.formats.hl7v2.lines import split_lines
from hilum.formats.hl7v2.path import Path, compile_path
from hilum.formats.hl7v2.start import find_start

__all__ = ["Hl7Message", "Segment", "parse"]

_HEADERS = ("MSH", "FHS", "BHS")
_READ_ONLY = frozenset({("MSH", 1), ("MSH", 2), ("MSH", 18), ("FHS", 1), ("FHS", 2), ("BHS", 1), ("BHS", 2)})


class Segment:
    """One segment. `fields[n]` is SEG-n, still escaped; `fields[0]` the name. In MSH, FHS and BHS `fields[1]` is the separator."""

    __slots__ = ("_separator", "fields", "name", "raw")

    name: str
    raw: str
    fields: list[str]

    def __init__(self, name: str, raw: str, separator: str) -> None:
        self.name = name
        self.raw = raw
        self._separator = separator

    if not TYPE_CHECKING:

        def __getattr__(self, attribute: str) -> Any:
            """Reached once per segment: the first touch of `fields` cuts it, later ones read the slot."""
            if attribute != "fields":
                raise AttributeError(attribute)
            fields = self.raw.split(self._separator)
            if self.name in _HEADERS:
                fields.insert(1, self._separator)
            self.fields = fields
            return fields

    def field(self, number: int) -> str:
        """SEG-n as sent, "" when the segment ends before it."""
        fields = self.fields
        return fields[number] if number < len(fields) else ""

    def replace(self, number: int, text: str) -> None:
        """Write SEG-n as it is to stand in the message; fields between are made empty."""
        fields = self.fields
        fields.extend([""] * (number + 1 - len(fields)))
        fields[number] = text
        rest = fields[2:] if self.name in _HEADERS else fields[1:]
        self.raw = self._separator.join([fields[0], *rest])

    def __repr__(self) -> str:
        return f"<Segment {self.name}>"


class Hl7Message:
    """A parsed message. What a reader does not touch is never cut; what is not set is written back byte for byte."""

    __slots__ = (
        "_end",
        "_ends",
        "_lines",
        "_prefix",
        "_touched",
        "charset",
        "delimiters",
        "header",
        "kind",
        "names",
        "notes",
        "parents",
        "raw",
        "segments",
        "text",
    )

    raw: bytes
    text: str  # as received, without what stood before MSH
    delimiters: Delimiters
    charset: str  # Python codec
    notes: tuple[str, ...]  # codes of what reading tolerated
    header: list[str]  # fields of MSH as in Segment.fields
    names: tuple[str, ...]  # of the segments
    segments: list[Segment]
    parents: tuple[int, ...]  # see hilum.formats.hl7v2.grouping
    kind: str  # "ADT^A01"

    def __init__(
        self,
        raw: bytes,
        prefix: bytes,
        text: str,
        delimiters: Delimiters,
        charset: str,
        notes: tuple[str, ...],
    ) -> None:
        self.raw = raw
        self.text = text
        self.delimiters = delimiters
        self.charset = charset
        self.notes = notes
        self._prefix = prefix
        self._touched = False
        self._lines, self._end, self._ends = split_lines(text)

    if not TYPE_CHECKING:

        def __getattr__(self, attribute: str) -> Any:
            """Reached once per attribute: computes it and keeps it in its slot."""
            compute = _LAZY.get(attribute)
            if compute is None:
                raise AttributeError(attribute)
            value = compute(self)
            setattr(self, attribute, value)
            return value

    @property
    def ends(self) -> tuple[str, ...]:
        """What ended each segment, blank lines included."""
        return tuple(self._ends) if self._ends is not None else (self._end,) * len(self._lines)

    @property
    def lines(self) -> list[str]:
        """The segments' text as received."""
        return self._lines

    @property
    def ends_differ(self) -> str | None:
        """The one way in which all segments end (the last may not end at all), None when there are several."""
        if self._ends is None:
            return self._end
        kinds = set(self._ends[:-1]) | {self._ends[-1] or self._end}
        return kinds.pop() if len(kinds) == 1 else None

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.unescape(_at(self.header, 10))

    @property
    def sender(self) -> str:
        """MSH-3.1 and MSH-4.1 as `EPIC|HOSP`."""
        header, component = self.header, self.delimiters.component
        application = _at(header, 3).partition(component)[0]
        return f"{self.unescape(application)}|{self.unescape(_at(header, 4).partition(component)[0])}"

    @property
    def version(self) -> str:
        """MSH-12.1, "" when absent."""
        return _at(self.header, 12).partition(self.delimiters.component)[0]

    def unescape(self, text: str) -> str:
        """A leaf value as meant; see `hilum.formats.hl7v2.unescape`."""
        if self.delimiters.escape not in text:
            return text
        return unescape(text, self.delimiters, self.charset)

    def find(self, name: str, index: int = 1) -> Segment | None:
        """The index-th segment of that name, counted from 1."""
        for segment in self.each(name):
            index -= 1
            if not index:
                return segment
        return None

    def each(self, name: str) -> Iterator[Segment]:
        """All segments of that name, in order."""
        segments = self.segments
        return (segments[i] for i, other in enumerate(self.names) if other == name)

    def get(self, path: str | Path) -> str:
        """The first value at the path, "" when there is none.

        A leaf is unescaped. A path that stops above its parts (`PID-5` of a name with components) gives the text as sent,
        for the parts can only be told apart before unescaping.
        """
        return next(self._values(compile_path(path) if isinstance(path, str) else path), "")

    def all(self, path: str | Path) -> list[str]:
        """Every value at the path, in order, "" for a repetition that lacks the part; [] when no field is there."""
        return list(self._values(compile_path(path) if isinstance(path, str) else path))

    def set(self, path: str | Path, value: str, *, escaped: bool = False) -> None:
        """Write one value, escaping it unless `escaped` says that it holds delimiters on purpose.

        Missing fields, repetitions and parts are made. Raises FormatError: `path-invalid` for a path with `*`,
        `path-read-only` for MSH-1, MSH-2 and MSH-18, `segment-missing`, `charset-cannot-encode`.
        """
        path = compile_path(path) if isinstance(path, str) else path
        segment = self._writable(path)
        text = value if escaped else escape(value, self.delimiters)
        try:
            text.encode(self.charset)
        except UnicodeEncodeError:
            raise FormatError(
                f"the value cannot be written in {self.charset}",
                code="charset-cannot-encode",
                location=str(path),
            ) from None
        segment.replace(path.field, self._with(segment.field(path.field), path, text))
        self._touched = True

    def to_bytes(self) -> bytes:
        """The message as it goes out: `raw` when nothing was set, else every untouched segment byte for byte as it came."""
        if not self._touched:
            return self.raw
        ends = self.ends
        whole = "".join(s.raw + end for s, end in zip(self.segments, ends, strict=True))
        body = self.raw[len(self._prefix) :]
        if self.text.encode(self.charset) == body:
            return self._prefix + whole.encode(self.charset)
        return self._prefix + b"".join(self._pieces(body, ends))

    def tree(self) -> list[Node]:
        """The segments nested by `parents`."""
        return grow(self.parents)

    def _pieces(self, body: bytes, ends: tuple[str, ...]) -> Iterator[bytes]:
        """Segment by segment, for codecs that can write one text in two ways (ISO 2022, Big5)."""
        codec, at = self.charset, 0
        for segment, line, end in zip(self.segments, self._lines, ends, strict=True):
            mark = end.encode(codec)
            stop = body.find(mark, at) if mark else len(body)
            came = body[at:stop]
            at = stop + len(mark)
            yield (came if segment.raw == line else segment.raw.encode(codec)) + mark

    def _writable(self, path: Path) -> Segment:
        if not path.index or not path.repetition:
            raise FormatError("a value is written to one place: no `*`", code="path-invalid", location=str(path))
        if (path.segment, path.field) in _READ_ONLY:
            raise FormatError("how the message is written cannot be set", code="path-read-only", location=str(path))
        segment = self.find(path.segment, path.index)
        if segment is None:
            raise FormatError("there is no such segment to write to", code="segment-missing", location=str(path))
        return segment

    def _with(self, field: str, path: Path, text: str) -> str:
        """The field with one part replaced."""
        delimiters = self.delimiters
        levels = (
            (delimiters.repetition, path.repetition),
            (delimiters.component, path.component),
            (delimiters.subcomponent, path.subcomponent),
        )
        return _replaced(field, [level for level in levels if level[1]], text)

    def _values(self, path: Path) -> Iterator[str]:
        separators = self.delimiters
        for segment in self._addressed(path):
            text = segment.field(path.field)
            if path.field <= 2 and segment.name in _HEADERS:
                yield text
                continue
            repetitions = text.split(separators.repetition) if text else []
            if path.repetition:
                repetitions = repetitions[path.repetition - 1 : path.repetition]
            for repetition in repetitions:
                yield self._part(repetition, path)

    def _addressed(self, path: Path) -> Iterator[Segment]:
        if not path.index:
            return self.each(path.segment)
        segment = self.find(path.segment, path.index)
        return iter(() if segment is None else (segment,))

    def _part(self, text: str, path: Path) -> str:
        separators = self.delimiters
        if path.component:
            text = _nth(text, separators.component, path.component)
        if path.subcomponent:
            text = _nth(text, separators.subcomponent, path.subcomponent)
        if separators.component in text or separators.subcomponent in text:
            return text
        return self.unescape(text)


def parse(raw: bytes, *, default_charset: str = "utf-8") -> Hl7Message:
    """Read one message; nothing is cut that is not needed to find its delimiters, charset and segments.

    Raises FormatError with the codes `frame-empty`, `frame-not-hl7`, `header-missing`, `batch-unexpected`, `delimiters-missing`,
    `delimiters-duplicate`, `delimiters-invalid`, `charset-undecodable`; LookupError when Python has no `default_charset`.
    """
    prefix, wide, notes = find_start(raw)
    body = raw[len(prefix) :] if prefix else raw
    if wide:
        text = _decode(body, wide, len(prefix))
        header = text[:1024].encode("utf-8")
    else:
        header = body
    separator = header[3:4]
    line = _first_line(header)
    parts = line.split(separator, 18) if separator else [line]
    delimiters = read_delimiters(separator, parts[1] if len(parts) > 1 else b"")
    if wide:
        return Hl7Message(raw, prefix, text, delimiters, wide, notes)
    declared = parts[17] if len(parts) > 17 else b""
    codec, more = _charset(declared, delimiters.repetition, default_charset)
    text = _decode(body, codec, len(prefix))
    if not declared and not text.isascii():
        more = _undeclared(body, codec)
    return Hl7Message(raw, prefix, text, delimiters, codec, notes + more if more else notes)


def _first_line(header: bytes) -> bytes:
    end = header.find(b"\r")
    line = header[:end] if end >= 0 else header
    end = line.find(b"\n")
    return line[:end] if end >= 0 else line


@lru_cache(maxsize=256)
def _charset(declared: bytes, repetition: str, default: str) -> tuple[str, tuple[str, ...]]:
    """Codec and codes of what was tolerated in choosing it."""
    name = declared.decode("latin-1").partition(repetition)[0].strip()
    if not name or name == '""':
        return canonical(default), ()
    codec, official = codec_of(name)
    if not codec or codec in WIDE:
        # A message in UTF-16 could not have been read as far as MSH-18: the declaration is wrong.
        return canonical(default), ("charset-unknown",)
    return canonical(codec), () if official else ("charset-alias",)


def _undeclared(body: bytes, codec: str) -> tuple[str, ...]:
    if codec == "utf-8":
        return ("charset-undeclared",)
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return ("charset-undeclared",)
    return ("charset-undeclared", "charset-suspect")


def _decode(body: bytes, codec: str, offset: int) -> str:
    try:
        return body.decode(codec)
    except UnicodeDecodeError as error:
        raise FormatError(
            f"the bytes are not {codec}: first at byte {offset + error.start}",
            code="charset-undecodable",
            location=f"byte {offset + error.start}",
        ) from None


def _nth(text: str, separator: str, number: int) -> str:
    parts = text.split(separator, number)
    return parts[number - 1] if number <= len(parts) else ""


def _replaced(text: str, levels: list[tuple[str, int]], value: str) -> str:
    if not levels:
        return value
    (separator, number), *rest = levels
    parts = text.split(separator)
    parts.extend([""] * (number - len(parts)))
    parts[number - 1] = _replaced(parts[number - 1], rest, value)
    return separator.join(parts)


def _names(message: Hl7Message) -> tuple[str, ...]:
    separator = message.delimiters.field
    return tuple([line[:3] if line[3:4] == separator else line.partition(separator)[0] for line in message._lines])


def _segments(message: Hl7Message) -> list[Segment]:
    separator = message.delimiters.field
    return [Segment(name, line, separator) for name, line in zip(message.names, message._lines, strict=True)]


def _kind(message: Hl7Message) -> str:
    component = message.delimiters.component
    parts = _at(message.header, 9).split(component, 2)
    return f"{parts[0]}^{parts[1]}" if len(parts) > 1 and parts[1] else parts[0]


def _header(message: Hl7Message) -> list[str]:
    separator = message.delimiters.field
    fields = message._lines[0].split(separator)
    fields.insert(1, separator)
    return fields


def _at(fields: list[str], number: int) -> str:
    return fields[number] if number < len(fields) else ""


def _parents(message: Hl7Message) -> tuple[int, ...]:
    return parents_of(message.kind, message.names)


_LAZY = {"header": _header, "names": _names, "segments": _segments, "kind": _kind, "parents": _parents}

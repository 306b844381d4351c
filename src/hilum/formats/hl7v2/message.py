"""A message: raw bytes kept, segments cut once, fields cut when first touched, and written back unharmed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import repeat

from msgspec import Struct

from hilum.errors import FormatError
from hilum.formats.hl7v2.delimiters import Delimiters
from hilum.formats.hl7v2.escape import escape, unescape
from hilum.formats.hl7v2.grouping import Node, grow, parents_of
from hilum.formats.hl7v2.lines import split_lines
from hilum.formats.hl7v2.names import SEGMENT_NAMES
from hilum.formats.hl7v2.path import Path, compile_path

__all__ = ["Hl7Message", "Segment"]

_HEADERS = frozenset({"MSH", "FHS", "BHS"})
_READ_ONLY = frozenset({("MSH", 1), ("MSH", 2), ("MSH", 18), ("FHS", 1), ("FHS", 2), ("BHS", 1), ("BHS", 2)})


class Segment(Struct, gc=False):
    """One segment. `raw` is its text, `fields[n]` SEG-n, still escaped; `fields[0]` the name.

    In MSH, FHS and BHS `fields[1]` is the field separator, as the standard counts.
    """

    name: str
    raw: str
    separator: str
    _fields: list[str] | None = None

    @property
    def fields(self) -> list[str]:
        """Cut on first touch."""
        fields = self._fields
        if fields is None:
            fields = self._fields = self.raw.split(self.separator)
            if self.name in _HEADERS:
                fields.insert(1, self.separator)
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
        self.join()

    def join(self) -> None:
        """Make `raw` what the fields say."""
        rest = self.fields[2:] if self.name in _HEADERS else self.fields[1:]
        self.raw = self.separator.join([self.fields[0], *rest])

    def __repr__(self) -> str:
        return f"<Segment {self.name}>"  # never its text: it may be logged


class Hl7Message:
    """A parsed message. What a reader does not touch is never cut; what is not set is written back byte for byte.

    raw         the bytes as received
    text        decoded, without what stood before MSH
    lines       the text of each segment as received
    delimiters  from MSH-1 and MSH-2
    charset     Python codec
    notes       codes of what reading tolerated
    """

    __slots__ = (
        "_end",
        "_ends",
        "_header",
        "_kind",
        "_names",
        "_parents",
        "_prefix",
        "_segments",
        "_touched",
        "charset",
        "delimiters",
        "lines",
        "notes",
        "raw",
        "text",
    )

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
        self.lines, self._end, self._ends = split_lines(text)
        self._prefix = prefix
        self._touched = False
        self._header: list[str] | None = None
        self._kind: str | None = None
        self._names: tuple[str, ...] | None = None
        self._parents: tuple[int, ...] | None = None
        self._segments: list[Segment] | None = None

    @property
    def header(self) -> list[str]:
        """The fields of MSH as in `Segment.fields`."""
        header = self._header
        if header is None:
            separator = self.delimiters.field
            header = self.lines[0].split(separator)
            header.insert(1, separator)
            self._header = header
        return header

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each segment: what stands before its first separator, at most eight characters of it."""
        names = self._names
        if names is None:
            separator = self.delimiters.field
            known = _starts(separator).get
            names = tuple([known(line[:4]) or _name_of(line, separator) for line in self.lines])
            self._names = names
        return names

    @property
    def segments(self) -> list[Segment]:
        """All segments, in order."""
        segments = self._segments
        if segments is None:
            segments = list(map(Segment, self.names, self.lines, repeat(self.delimiters.field)))
            self._segments = segments
        return segments

    @property
    def kind(self) -> str:
        """Message type and trigger event as `ADT^A01`, whatever the delimiters; the type alone without an event."""
        kind = self._kind
        if kind is None:
            parts = _at(self.header, 9).split(self.delimiters.component, 2)
            kind = f"{parts[0]}^{parts[1]}" if len(parts) > 1 and parts[1] else parts[0]
            self._kind = kind
        return kind

    @property
    def parents(self) -> tuple[int, ...]:
        """For each segment the index of the one it belongs to, -1 at the top; see `parents_of`."""
        parents = self._parents
        if parents is None:
            parents = self._parents = parents_of(self.kind, self.names)
        return parents

    @property
    def ends(self) -> tuple[str, ...]:
        """What ended each segment, blank lines included."""
        return tuple(self._ends) if self._ends is not None else (self._end,) * len(self.lines)

    @property
    def terminator(self) -> str | None:
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

        A leaf is unescaped. A path that stops above its parts (`PID-5` of a name with components) gives the text as
        sent, for the parts can only be told apart before unescaping.
        """
        if isinstance(path, str):
            path = compile_path(path)
        repetition = path.repetition
        if path.index != 1 or not repetition:
            return next(self._values(path), "")
        # Slots first: this is where readers spend their time.
        segments = self._segments or self.segments
        names = self._names or self.names
        try:
            segment = segments[names.index(path.segment)]
            text = (segment._fields or segment.fields)[path.field]
        except (ValueError, IndexError):
            return ""
        separators = self.delimiters
        if repetition != 1 or separators.repetition in text:
            if path.field <= 2 and path.segment in _HEADERS:
                return text
            text = _nth(text, separators.repetition, repetition)
        return self._part(text, path) if text else text

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
        """The message as it goes out: `raw` when nothing was set, else every untouched segment as it came."""
        return self._written() if self._touched else self.raw

    def rebuilt(self) -> bytes:
        """The message written anew from the fields of every segment: the proof that cutting it lost nothing."""
        for segment in self.segments:
            segment.join()
        return self._written()

    def tree(self) -> list[Node]:
        """The segments nested by `parents`."""
        return grow(self.parents)

    def _written(self) -> bytes:
        ends = self.ends
        whole = "".join([segment.raw + end for segment, end in zip(self.segments, ends, strict=True)])
        body = self.raw[len(self._prefix) :]
        if self.text.encode(self.charset) == body:
            return self._prefix + whole.encode(self.charset)
        return self._prefix + b"".join(self._pieces(body, ends))

    def _pieces(self, body: bytes, ends: tuple[str, ...]) -> Iterator[bytes]:
        """Segment by segment, for codecs that can write one text in two ways (ISO 2022, Big5)."""
        codec, at = self.charset, 0
        for segment, line, end in zip(self.segments, self.lines, ends, strict=True):
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
        """A component or subcomponent of one repetition, or all of it; unescaped when it is a leaf."""
        separators = self.delimiters
        number = path.component
        if separators.component in text:
            if not number:
                return text
            text = _nth(text, separators.component, number)
        elif number > 1:
            return ""
        number = path.subcomponent
        if separators.subcomponent in text:
            if not number:
                return text
            text = _nth(text, separators.subcomponent, number)
        elif number > 1:
            return ""
        return unescape(text, separators, self.charset) if separators.escape in text else text


def _nth(text: str, separator: str, number: int) -> str:
    if number == 1:
        return text.partition(separator)[0]
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


def _at(fields: list[str], number: int) -> str:
    return fields[number] if number < len(fields) else ""


def _name_of(line: str, separator: str) -> str:
    """Cut short, for it may be the rest of a broken value, and names are remembered."""
    return line[:9].partition(separator)[0][:8]


@lru_cache(maxsize=64)
def _starts(separator: str) -> dict[str, str]:
    """`PID|` -> `PID`: one look-up instead of a search, and one string object for all PID."""
    return {f"{name}{separator}": name for name in SEGMENT_NAMES}

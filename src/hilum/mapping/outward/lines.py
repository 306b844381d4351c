"""The lines of the `outward` table, parsed: segments and their order, control codes, what is left out on purpose."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from msgspec import Struct

from hilum.mapping.places import Step, parse_applies, parse_target
from hilum.mapping.syntax import Expression, Path, SyntaxProblem, parse_source
from hilum.mapping.tables import OutwardLine
from hilum.model import Finding

__all__ = ["Each", "Lines", "SegmentLine", "SetLine", "Test", "read_lines"]

ROLES = ("segment", "bind", "choose", "set", "default", "skip", "ignore")


class Each(Struct, frozen=True):
    """What a segment comes once for. `how`: once, root, referring, referred, item, items, row."""

    how: str = "once"
    label: str = ""  # the resource that is bound: `RelatedPerson:kin`
    path: tuple[str, ...] = ()  # of the reference
    other: str = ""  # the bound resource at its other end, the name of an item, or the row

    @property
    def type(self) -> str:
        """FHIR type of the bound resource."""
        return self.label.partition(":")[0]


class Test(Struct, frozen=True):
    """One condition on resources: `status not in (cancelled, entered-in-error)`."""

    __test__ = False

    resource: str  # "" is the resource of the segment
    path: tuple[str, ...]
    operator: str  # valued, in, besides, same, referenced, twin
    values: tuple[str, ...] = ()
    negated: bool = False


class SegmentLine(Struct, frozen=True):
    """A segment of a message. `under` is the line that it belongs to: lines before that one in the table go first."""

    line: OutwardLine
    name: str
    under: str
    each: Each
    tests: tuple[Test, ...]
    always: bool  # sent even when nothing is in it


class SetLine(Struct, frozen=True):
    """A field that no element says: a control code, a counter, a copy. `late`: only where the rows left it empty."""

    line: OutwardLine
    field: Path
    source: Expression | str | tuple[str, tuple[Step, ...]]
    tests: tuple[Test, ...]
    late: bool


class Lines(Struct, frozen=True):
    """All lines of one event."""

    segments: tuple[SegmentLine, ...] = ()
    sets: tuple[SetLine, ...] = ()
    skipped: frozenset[str] = frozenset()
    ignored: tuple[tuple[str, str], ...] = ()  # (type or *, path)
    bound: tuple[tuple[str, SegmentLine], ...] = ()  # more resources that a segment is about
    chosen: Mapping[str, Path] = {}  # row to the one of its fields that goes out


CONTEXT = frozenset(
    [
        "now",
        "control_id",
        "application",
        "facility",
        "sending_application",
        "sending_facility",
        "processing_id",
        "version",
        "charset",
        "event",
        "kind",
        "structure",
        "counter",
    ]
)
_REFERRING = re.compile(r"([A-Z]\w+(?::[\w-]+)?)\.([\w.]+)\s*=\s*([A-Z]\w+(?::[\w-]+)?)")
_REFERRED = re.compile(r"([A-Z]\w+(?::[\w-]+)?)\s+of\s+([A-Z]\w+(?::[\w-]+)?)\.([\w.]+)")
_ITEM = re.compile(r"([A-Z]\w+(?::[\w-]+)?)\.([\w.]+)\[([\w-]+)\]")
_LABEL = re.compile(r"[A-Z]\w+(?::[\w-]+)?")
_TEST = re.compile(
    r"(?P<not>not\s+)?(?:(?P<of>referenced|twin)\((?P<by>[A-Z][\w:-]*\.[\w.]+)\)|(?P<path>[A-Za-z][\w.:-]*)"
    r"(?:\s*(?P<op>=|!=|not\s+in|in|is|besides)\s*(?P<values>\([^)]*\)|[\w.:-]+))?)"
)


def _each(text: str) -> Each:
    if not text:
        return Each()
    if text == "items":
        return Each("items")
    if text.startswith("row "):
        return Each("row", other=text[4:].strip())
    found = _REFERRING.fullmatch(text)
    if found:
        return Each("referring", found[1], tuple(found[2].split(".")), found[3])
    found = _REFERRED.fullmatch(text)
    if found:
        return Each("referred", found[1], tuple(found[3].split(".")), found[2])
    found = _ITEM.fullmatch(text)
    if found:
        return Each("item", found[1], tuple(found[2].split(".")), found[3])
    if _LABEL.fullmatch(text):
        return Each("root", text)
    raise SyntaxProblem(f"cannot read `{text}`")


def _tests(text: str) -> tuple[Test, ...]:
    return tuple(_test(part.strip()) for part in re.split(r"\s+and\s+", text)) if text.strip() else ()


def _test(text: str) -> Test:
    found = _TEST.fullmatch(text)
    if found is None:
        raise SyntaxProblem(f"cannot read `{text}`")
    negated = bool(found["not"])
    if found["by"]:
        resource, _, path = found["by"].partition(".")
        return Test(resource, tuple(path.split(".")), found["of"], negated=negated)
    steps = found["path"].split(".")
    resource = steps.pop(0) if steps[0][0].isupper() else ""
    operator = " ".join((found["op"] or "valued").split())
    values = tuple(word.strip().strip('"') for word in (found["values"] or "").strip("()").split(","))
    if operator in ("!=", "not in"):
        negated = not negated
    name = {"=": "in", "!=": "in", "in": "in", "not in": "in", "is": "same"}.get(operator, operator)
    return Test(resource, tuple(steps), name, values, negated)


def _source(text: str) -> Expression | str | tuple[str, tuple[Step, ...]]:
    """A literal, `param.x` or a field; a word of CONTEXT; or an element `Patient.active`."""
    if text in CONTEXT:
        return text
    if re.match(r"[A-Z]\w*[a-z]", text):
        target = parse_target(text)
        return target.resource, target.steps
    found = parse_source(text)
    if len(found) != 1:
        raise SyntaxProblem("write one literal, param, field, element or word")
    return found[0]


Value = TypeVar("Value")


class _Reader:
    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def parse(self, line: OutwardLine, column: str, parse: Callable[[str], Value]) -> Value | None:
        try:
            return parse(getattr(line, column))
        except SyntaxProblem as problem:
            self.note(line, column, str(problem))
            return None

    def note(self, line: OutwardLine, column: str, message: str) -> None:
        where = f"{line.where.file}:{line.where.line}:{line.cells.get(column, 1)}"
        self.findings.append(Finding("outward-invalid", f"{column}: {message}", where))


def _field(text: str) -> Path:
    found = parse_source(text)
    if len(found) != 1 or not isinstance(found[0], Path) or not found[0].field:
        raise SyntaxProblem(f"`{text}` is no field such as ORC-1")
    return found[0]


def _covers(applies: tuple[str, ...], kind: str) -> bool:
    return not applies or any(one in (kind, kind[:3], f"{kind[:3]}^*") for one in applies)


class _Sorter:
    """Puts the lines of one kind of message where they belong."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader
        self.segments: list[SegmentLine] = []
        self.bound: list[tuple[str, SegmentLine]] = []
        self.sets: list[SetLine] = []
        self.chosen: dict[str, Path] = {}
        self.skipped: set[str] = set()
        self.ignored: list[tuple[str, str]] = []

    def add(self, line: OutwardLine, tests: tuple[Test, ...]) -> None:
        """One line that applies."""
        if line.role in ("segment", "bind"):
            self._segment(line, tests)
        elif line.role in ("set", "default", "choose"):
            self._field(line, tests)
        elif line.role == "skip":
            self.skipped.add(line.source)
        elif line.role == "ignore":
            type_, _, path = line.source.partition(".")
            self.ignored.append((type_, path))
        else:
            self._reader.note(line, "role", f"`{line.role}` is none of {', '.join(ROLES)}")

    def _segment(self, line: OutwardLine, tests: tuple[Test, ...]) -> None:
        each = self._reader.parse(line, "each", _each)
        if each is None:
            return
        made = SegmentLine(line, line.segment, line.under, each, tests, line.source == "always")
        if line.role == "segment":
            self.segments.append(made)
        else:
            self.bound.append((line.under, made))

    def _field(self, line: OutwardLine, tests: tuple[Test, ...]) -> None:
        field = self._reader.parse(line, "field", _field)
        if field is None:
            return
        if line.role == "choose":
            self.chosen[line.source] = field
            return
        source = self._reader.parse(line, "source", _source)
        if source is not None:
            self.sets.append(SetLine(line, field, source, tests, line.role == "default"))


def read_lines(lines: Iterable[OutwardLine], kind: str) -> tuple[Lines, list[Finding]]:
    """The lines that apply to one kind of message, and what is wrong with any of them."""
    reader = _Reader()
    sorter = _Sorter(reader)
    for line in lines:
        applies, tests = reader.parse(line, "applies", parse_applies), reader.parse(line, "only", _tests)
        if applies is not None and tests is not None and _covers(applies, kind):
            sorter.add(line, tests)
    found = Lines(
        tuple(sorter.segments),
        tuple(sorter.sets),
        frozenset(sorter.skipped),
        tuple(sorter.ignored),
        tuple(sorter.bound),
        sorter.chosen,
    )
    return found, reader.findings

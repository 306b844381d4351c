"""YAML text -> nodes.

libyaml gives the events; what they mean is decided here. Duplicate keys, tags, complex keys and merge keys are refused.
Anchors and aliases are allowed within limits, so that a small file cannot unfold into a huge one.
"""

from __future__ import annotations

import yaml
from msgspec import Struct

from hilum.config.document import Mark, Node, Scalar
from hilum.config.scalars import NumberOutOfRange, resolve_plain
from hilum.model import Finding

try:
    from yaml import CLoader as EventLoader
except ImportError:  # a PyYAML built without libyaml: the same events, slower
    from yaml import Loader as EventLoader  # type: ignore[assignment]

__all__ = ["MAX_DEPTH", "MAX_NODES", "Document", "read_document"]

MAX_DEPTH = 32
MAX_NODES = 50_000


class Document(Struct):
    """What came of one file. `root` is None when nothing usable was read."""

    root: Node | None
    findings: list[Finding]


def read_document(text: str, file: str) -> Document:
    """Read one YAML document. Never raises: what is wrong is in `findings`."""
    composer = _Composer(file)
    try:
        for event in yaml.parse(text, Loader=EventLoader):
            composer.take(event)
    except _GiveUp:
        return Document(None, composer.findings)
    except yaml.YAMLError as error:
        return Document(None, [*composer.findings, _syntax_finding(error, text, file)])
    if composer.root is None:
        composer.say(Mark(file), "yaml-empty", "nothing is written in this file")
    return Document(composer.root, composer.findings)


class _GiveUp(Exception):
    """The rest of the file cannot be read sensibly; the finding is said already."""


class _Frame:
    """A collection that is being read."""

    __slots__ = ("anchor", "is_mapping", "key", "key_mark", "node")

    def __init__(self, node: Node, anchor: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self.is_mapping = isinstance(node.content, dict)
        self.key: str | None = None  # None while `key_mark` is set: the key was refused, its value is dropped
        self.key_mark: Mark | None = None  # set while the value of a key is awaited

    @property
    def awaits_key(self) -> bool:
        return self.is_mapping and self.key_mark is None

    def add(self, child: Node) -> None:
        content = self.node.content
        if isinstance(content, list):
            content.append(child)
        elif isinstance(content, dict) and self.key is not None and self.key_mark is not None:
            content[self.key] = child
            self.node.keys[self.key] = self.key_mark
        self.key = self.key_mark = None
        self.node.size += child.size
        self.node.height = max(self.node.height, child.height + 1)


class _Composer:
    """Takes events in order; says what it refuses and goes on where it can."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.findings: list[Finding] = []
        self._frames: list[_Frame] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._nodes = 0

    def say(self, mark: Mark, code: str, message: str, hint: str = "") -> None:
        self.findings.append(Finding(code, message, str(mark), hint=hint))

    def take(self, event: yaml.Event) -> None:
        """Raises _GiveUp when the rest of the file cannot be read sensibly."""
        start = event.start_mark
        mark = Mark(self.file, start.line + 1, start.column + 1) if start else Mark(self.file)
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, mark)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._start(event, mark)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            frame = self._frames.pop()
            self._place(frame.node, frame.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event.anchor or "", mark)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self.say(mark, "yaml-many-documents", "a second document starts here", "one file, one document")
                raise _GiveUp

    def _scalar(self, event: yaml.ScalarEvent, mark: Mark) -> None:
        self._refuse_tag(event, mark)
        self._count(1, mark)
        if self._frames and self._frames[-1].awaits_key:
            self._key(event.value, mark)
            return
        value: Scalar = event.value
        if event.implicit[0] and not event.style:
            try:
                value = resolve_plain(event.value)
            except NumberOutOfRange:
                message = "this number is not finite or does not fit 64 bits"
                self.say(mark, "yaml-number-range", message, "put it in quotes if it is text")
                value = 0
        self._place(Node(mark, value, event.value), event.anchor)

    def _key(self, key: str, mark: Mark) -> None:
        frame = self._frames[-1]
        frame.key_mark = mark
        if key == "<<":
            self.say(mark, "yaml-merge-key", "`<<` is not part of YAML 1.2", "write the keys out")
        elif key in frame.node.keys:
            first = frame.node.keys[key]
            message = f"`{key}` is written twice; the first is on line {first.line}"
            self.say(mark, "yaml-duplicate-key", message, "keep one of them")
        else:
            frame.key = key

    def _start(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, mark: Mark) -> None:
        self._refuse_tag(event, mark)
        self._refuse_complex_key(mark)
        self._count(1, mark)
        if len(self._frames) >= MAX_DEPTH:
            self._too_deep(mark)
        content: list[Node] | dict[str, Node] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._frames.append(_Frame(Node(mark, content), event.anchor))

    def _alias(self, name: str, mark: Mark) -> None:
        self._refuse_complex_key(mark)
        if any(frame.anchor == name for frame in self._frames):
            self.say(mark, "yaml-alias-recursive", f"`*{name}` stands inside its own anchor")
            raise _GiveUp
        node = self._anchors.get(name)
        if node is None:
            self.say(mark, "yaml-alias-unknown", f"`*{name}` has no anchor `&{name}` before it")
            raise _GiveUp
        self._count(node.size, mark)
        if len(self._frames) + node.height > MAX_DEPTH:
            self._too_deep(mark)
        self._place(node, None)

    def _place(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if self._frames:
            self._frames[-1].add(node)
        else:
            self.root = node

    def _refuse_tag(self, event: yaml.NodeEvent, mark: Mark) -> None:
        if getattr(event, "tag", None) is not None:
            self.say(mark, "yaml-tag", "tags (`!...`) are not used here", "take the tag out; quote what is text")

    def _refuse_complex_key(self, mark: Mark) -> None:
        if self._frames and self._frames[-1].awaits_key:
            message = "a key must be a word, not a list, a mapping or an alias"
            self.say(mark, "yaml-key-not-text", message, "put text that starts with `{`, `[` or `*` in quotes")
            raise _GiveUp

    def _count(self, nodes: int, mark: Mark) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            self.say(mark, "yaml-too-large", f"more than {MAX_NODES} values, aliases unfolded")
            raise _GiveUp

    def _too_deep(self, mark: Mark) -> None:
        self.say(mark, "yaml-too-deep", f"values are nested more than {MAX_DEPTH} deep")
        raise _GiveUp


def _syntax_finding(error: yaml.YAMLError, text: str, file: str) -> Finding:
    """libyaml's words and place; a reader error has only an offset."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        mark = Mark(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        return Finding("yaml-syntax", "a control character is not allowed here", str(mark))
    problem_mark = getattr(error, "problem_mark", None)
    line = problem_mark.line if problem_mark else 0
    column = problem_mark.column if problem_mark else 0
    location = str(Mark(file, line + 1, column + 1))
    lines = text.splitlines()
    if line < len(lines) and lines[line][column : column + 1] == "\t":
        return Finding("yaml-tab", "a tab cannot indent YAML", location, hint="use spaces")
    problem = getattr(error, "problem", None) or "this is not YAML"
    context = getattr(error, "context", None)
    message = f"{problem} ({context})" if context else str(problem)
    return Finding("yaml-syntax", message, location, hint=_SYNTAX_HINTS.get(str(problem), ""))


_SYNTAX_HINTS = {
    "mapping values are not allowed in this context": "put text that holds `: ` in quotes, or check the indentation",
    "found character that cannot start any token": "put text that starts with `@`, `%` or a backtick in quotes",
    "found unexpected end of stream": "a quote is not closed",
    "could not find expected ':'": "write `key: value` with a space after the colon",
}

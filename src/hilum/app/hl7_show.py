"""An HL7 v2 message as a tree for people: segments under what they belong to, fields and parts with their names."""

from __future__ import annotations

from rich.text import Text
from rich.tree import Tree

from hilum.formats import hl7v2

__all__ = ["render_bytes"]

LONGEST = 160  # characters of one value


def render_bytes(raw: bytes) -> list[Tree]:
    """A tree for each message; for what cannot be read, a tree with the code and the reason."""
    bodies = hl7v2.split_batch(raw).messages if hl7v2.is_batch(raw) else (raw,)
    return [_render(body, index) for index, body in enumerate(bodies, 1)]


def _render(raw: bytes, index: int) -> Tree:
    admission = hl7v2.admit(raw, hl7v2.Rules(), source="show", received_at=0)
    title = Text(f"message {index}", style="bold")
    if admission.envelope.kind:
        title.append(f"  {_printable(admission.envelope.kind)}")
    tree = Tree(title)
    message = admission.message
    if message is None:
        for finding in admission.findings:
            tree.add(Text(f"{finding.code}: {finding.message}", style="red"))
        return tree
    for node in message.tree():
        _add(tree, message, node)
    return tree


def _add(tree: Tree, message: hl7v2.Hl7Message, node: hl7v2.Node) -> None:
    segment = message.segments[node.index]
    label = Text(_printable(segment.fields[0]), style="bold cyan")
    label.append(f"  {hl7v2.describe(segment.name).title}", style="not bold default")
    branch = tree.add(label)
    for number, value in enumerate(segment.fields[1:], 1):
        if value:
            _add_field(branch, message, segment, number, value)
    for child in node.children:
        _add(branch, message, child)


def _add_field(tree: Tree, message: hl7v2.Hl7Message, owner: hl7v2.Segment, number: int, value: str) -> None:
    segment = owner.name
    info = hl7v2.field_info(segment, number)
    if number <= 2 and segment in ("MSH", "FHS", "BHS"):
        tree.add(_line(f"{segment}-{number}", info.name, value))
        return
    type_ = owner.field(2) if (segment, number) == ("OBX", 5) else info.type
    repetitions = value.split(message.delimiters.repetition)
    for index, repetition in enumerate(repetitions, 1):
        where = f"{_printable(segment)}-{number}" + (f"[{index}]" if len(repetitions) > 1 else "")
        if message.delimiters.component not in repetition:
            tree.add(_line(where, info.name, _leaf(message, repetition)))
            continue
        branch = tree.add(_line(where, info.name, ""))
        for part, text in enumerate(repetition.split(message.delimiters.component), 1):
            if text:
                branch.add(_line(f".{part}", hl7v2.component_name(type_, part), _leaf(message, text)))


def _leaf(message: hl7v2.Hl7Message, text: str) -> str:
    """Subcomponents side by side, each unescaped."""
    return " & ".join(message.unescape(part) for part in text.split(message.delimiters.subcomponent))


def _line(where: str, name: str, value: str) -> Text:
    line = Text(where, style="green")
    if name:
        line.append(f" {name}", style="dim")
    if value:
        line.append(f"  {_printable(value)}", style="default")
    return line


def _printable(text: str) -> str:
    """Nothing in a message may move the cursor of a terminal or fill its screen."""
    shown = text[:LONGEST]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else "⏎ " if c == "\n" else f"\\x{ord(c):02x}" for c in shown)
    return shown if len(text) <= LONGEST else f"{shown}… ({len(text):,} characters)"

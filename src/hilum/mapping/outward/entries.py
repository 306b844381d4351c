"""The rows of one event, made ready to be read backwards: where each writes on the way in, and what it presumes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from hilum.mapping.outward.lines import Lines
from hilum.mapping.places import Step
from hilum.mapping.rows import Rule
from hilum.mapping.syntax import (
    Binary,
    Call,
    Expression,
    Literal,
    Logic,
    Membership,
    Negation,
    Param,
    Path,
    Word,
)
from hilum.mapping.transforms.frame import Spec
from hilum.mapping.tree import top_name

__all__ = ["REPEATING", "Entry", "Implied", "Index", "entries_of", "json_name"]

# Fields that may repeat (HL7 v2.5.1, chapters 3, 4, 6, 7, 9 and 10), of the segments that rows write.
_REPEATING = {
    "PID": (3, 5, 6, 9, 10, 11, 13, 14, 21, 22, 26, 40),
    "PD1": (3, 4),
    "NK1": (2, 4, 5, 6, 13, 30, 31, 32, 33, 40, 41),
    "PV1": (7, 8, 9, 15, 17, 52),
    "PV2": (13,),
    "AL1": (5,),
    "DG1": (16,),
    "GT1": (2, 3, 5, 6, 7),
    "IN1": (3, 4, 5, 6, 7, 16, 19, 49),
    "IN2": (1, 63),
    "ORC": (10, 11, 12, 19),
    "OBR": (10, 16, 31, 33, 34, 35, 46, 47, 53),
    "OBX": (5, 8, 16, 17),
    "NTE": (3,),
    "SPM": (6, 14, 21, 24, 31),
    "SCH": (12, 16, 20, 26, 27),
    "AIL": (3,),
    "AIP": (3,),
    "EVN": (5,),
    "ROL": (4,),
    "TXA": (5, 9, 10, 11, 22),
    "FT1": (19, 20, 21, 25, 26),
}
REPEATING = frozenset((segment, number) for segment, numbers in _REPEATING.items() for number in numbers)


class Implied(Struct, frozen=True):
    """What a row's condition says of a field when the row has written: one of these texts stands there."""

    path: Path
    texts: tuple[str, ...]


class Entry(Struct, frozen=True):
    """One row. `source` is the field it is read from, None for what no field says; `constant` the JSON it writes."""

    rule: Rule
    spec: Spec
    source: Path | None
    kind: str  # value, const, ref, event, none
    constant: Any
    implied: tuple[Implied, ...]
    denied: tuple[Implied, ...]  # what must not stand there
    order: int
    names: tuple[str, ...]  # JSON member of each step

    @property
    def steps(self) -> tuple[Step, ...]:
        """The path that it writes on the way in."""
        return self.rule.target.steps

    @property
    def reference(self) -> str:
        """`Practitioner` of `ref(Practitioner)`."""
        argument = self.rule.transform.args[0] if self.rule.transform.args else None
        return argument.name if isinstance(argument, Word) else ""

    def branch(self, depth: int) -> tuple[str, str]:
        """Which items of a list belong together: those of a row, of a label at an anchor, or of an extension."""
        step = self.steps[depth]
        if step.item == "+" or (step.item or "").startswith("+"):
            return "+", self.rule.row.row_id
        return (self.rule.row.anchor, step.item) if step.item else ("extension", step.url)


def json_name(steps: tuple[Step, ...], at: int) -> str:
    """The JSON member of a step: extensions of a primitive live beside it in `_name`."""
    return top_name(steps[at : at + 2])


def entries_of(
    rules: Iterable[Rule], kind: str, params: Mapping[str, str], lines: Lines
) -> tuple[list[Entry], list[tuple[Rule, Spec]]]:
    """(rows that write elements, key rows) of one kind whose segments stand in its messages."""
    names = {line.name for line in lines.segments}
    found: list[Entry] = []
    keys = []
    for order, rule in enumerate(rules):
        if not rule.covers(kind) or not any(anchor.segment in names for anchor in rule.anchors):
            continue
        if rule.target.role == "key":
            keys.append((rule, _spec(rule, None)))
        if rule.target.role != "element" or rule.transform.name in ("clear", "targets", "received"):
            continue
        if (rule.target.type, "") in lines.ignored:
            continue
        if {rule.row.row_id, rule.target.resource} & lines.skipped or _never(rule.when, kind, params):
            continue
        if rule.transform.name == "ref" and _reference(rule) in lines.skipped:
            continue
        found.append(_entry(rule, params, names, order, lines.chosen.get(rule.row.row_id)))
    return found, keys


def _reference(rule: Rule) -> str:
    argument = rule.transform.args[0] if rule.transform.args else None
    return argument.name if isinstance(argument, Word) else ""


def _entry(rule: Rule, params: Mapping[str, str], names: set[str], order: int, chosen: Path | None) -> Entry:
    source = chosen or next(
        (
            path
            for expression in rule.alternatives
            for path in _paths(expression)
            if not path.segment or path.segment in names
        ),
        None,
    )
    kind, constant = "value", None
    name = rule.transform.name
    if name == "const":
        kind, constant = "const", _constant(rule, params)
    elif name == "ref":
        kind = "ref"
    elif any(isinstance(one, Word) and one.name == "event" for one in rule.alternatives):
        kind = "event"
    elif source is None:
        kind = "none"
    steps = rule.target.steps
    members = tuple(json_name(steps, at) for at in range(len(steps)))
    return Entry(
        rule,
        _spec(rule, source),
        source,
        kind,
        constant,
        tuple(_implied(rule.when)),
        tuple(_denied(rule.when)),
        order,
        members,
    )


class Index:
    """The entries by the segment and by the field that their anchors name."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self._segments: dict[str, list[Entry]] = {}
        self._fields: dict[str, dict[int, list[Entry]]] = {}
        for entry in entries:
            for segment, number in dict.fromkeys((one.segment, one.field) for one in entry.rule.anchors):
                if number:
                    self._fields.setdefault(segment, {}).setdefault(number, []).append(entry)
                else:
                    self._segments.setdefault(segment, []).append(entry)
        self.unsaid: dict[tuple[str, tuple[str, ...]], list[Any]] = {}  # what stands for "not said", by element
        for entry in entries:
            words_alone = isinstance(entry.constant, dict) and entry.constant.keys() == {"text"}
            if words_alone and entry.rule.when is not None:
                key = entry.rule.target.resource, entry.names
                self.unsaid.setdefault(key, []).append(entry.constant)
        self.plain_fields = {
            (entry.source.segment, entry.source.field)
            for entry in entries
            if entry.source is not None and entry.source.segment and not entry.rule.anchors[0].field
        }
        self.valued_fields = {
            (entry.source.segment, entry.source.field)
            for entry in entries
            if entry.source is not None and entry.source.segment
        }

    def at_segment(self, name: str) -> Sequence[Entry]:
        """Those that run once for a segment."""
        return self._segments.get(name, ())

    def fields(self, name: str) -> Mapping[int, Sequence[Entry]]:
        """Those that run once for each repetition of a field, by its number."""
        return self._fields.get(name, {})


def _paths(expression: Expression) -> list[Path]:
    """The one field of an alternative; none for joined texts, which cannot be taken apart."""
    if isinstance(expression, Path):
        return [expression]
    if isinstance(expression, Call):
        found = [part for part in expression.args if isinstance(part, Path)]
        return found if len(found) == 1 and len(expression.args) == 1 else []
    return []


def _spec(rule: Rule, source: Path | None) -> Spec:
    row = rule.row
    anchor = rule.anchors[0]
    location = f"{anchor.segment}-{anchor.field}" if anchor.field else anchor.segment
    if source is not None and source.segment:
        location = f"{source.segment}-{source.field}"
    return Spec(
        row.row_id,
        row.owner,
        location,
        row.type or "ST",
        rule.transform.name,
        rule.transform.args,
        rule.transform.named,
        row.map,
        rule.unmapped,
        rule.element,
        resource=rule.target.resource,
    )


def _constant(rule: Rule, params: Mapping[str, str]) -> Any:
    argument = rule.transform.args[0]
    if isinstance(argument, Param):
        return params.get(argument.name, "")
    if isinstance(argument, Literal):
        return json.loads(argument.text) if argument.number else argument.text
    assert isinstance(argument, Word)
    return json.loads(argument.name)


def _parts(condition: Expression | None) -> list[Expression]:
    if condition is None:
        return []
    if isinstance(condition, Logic) and condition.operator == "and":
        return [part for inner in condition.parts for part in _parts(inner)]
    return [condition]


def _implied(condition: Expression | None) -> list[Implied]:
    found = []
    for part in _parts(condition):
        if isinstance(part, Binary) and part.operator == "=" and isinstance(part.left, Path):
            if isinstance(part.right, Literal):
                found.append(Implied(part.left, (part.right.text,)))
        elif isinstance(part, Membership) and not part.negated and isinstance(part.left, Path):
            texts = tuple(choice.text for choice in part.choices if isinstance(choice, Literal))
            found.append(Implied(part.left, texts))
    return found


def _denied(condition: Expression | None) -> list[Implied]:
    found = []
    for part in _parts(condition):
        inner = part.part if isinstance(part, Negation) else None
        if isinstance(inner, Membership) and not inner.negated and isinstance(inner.left, Path):
            texts = tuple(choice.text for choice in inner.choices if isinstance(choice, Literal))
            found.append(Implied(inner.left, texts))
        if isinstance(part, Binary) and part.operator == "!=" and isinstance(part.right, Literal):
            found += [Implied(part.left, (part.right.text,))] if isinstance(part.left, Path) else []
    return found


def _never(condition: Expression | None, kind: str, params: Mapping[str, str]) -> bool:
    """Whether the event or a parameter already says that the row does not run."""
    return any(_static(part, kind, params) is False for part in _parts(condition))


def _static(part: Expression, kind: str, params: Mapping[str, str]) -> bool | None:
    """True or false where only the event and parameters decide; None where the message does."""
    if isinstance(part, Negation):
        inner = _static(part.part, kind, params)
        return None if inner is None else not inner
    if isinstance(part, Logic):
        answers = [_static(inner, kind, params) for inner in part.parts]
        decisive = part.operator == "or"
        if decisive in answers:
            return decisive
        return None if None in answers else not decisive
    if isinstance(part, Binary) and part.operator in ("=", "!="):
        left, right = _known(part.left, kind, params), _known(part.right, kind, params)
        return None if left is None or right is None else (left == right) == (part.operator == "=")
    if isinstance(part, Membership):
        left = _known(part.left, kind, params)
        return None if left is None else (left in [_known(one, kind, params) for one in part.choices]) != part.negated
    return None


def _known(part: Expression, kind: str, params: Mapping[str, str]) -> str | None:
    if isinstance(part, Literal):
        return part.text
    if isinstance(part, Param):
        return params.get(part.name, "")
    if isinstance(part, Word) and part.name in ("kind", "event"):
        return kind if part.name == "kind" else kind.partition("^")[2]
    return None

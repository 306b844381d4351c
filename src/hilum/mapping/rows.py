"""Rows of the workbook, parsed and checked: every cell that cannot be used is a finding with file, row and column."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from hilum.mapping.columns import is_record_kind, is_resource_kind
from hilum.mapping.elements import choice_of, near_types, shape
from hilum.mapping.places import MERGING, Anchor, Step, Target, parse_anchor, parse_applies, parse_target
from hilum.mapping.record_rows import WORDS, read_cell, read_columns, read_elements
from hilum.mapping.syntax import (
    Call,
    Expression,
    Literal,
    Param,
    Path,
    SyntaxProblem,
    Word,
    parse_condition,
    parse_source,
    parse_transform,
    walk,
)
from hilum.mapping.tables import Row, Workbook
from hilum.mapping.transforms import COMBINATORS, PluginProblem, json_object, names, plugin_names, transform_of
from hilum.mapping.transforms.times import zone_of
from hilum.mapping.written import format_problem
from hilum.model import Finding, Severity

__all__ = ["Rule", "read_rules"]

_CONDITIONS = {"valued": 1, "deleted": 1, "count": 1, "length": 1, "matches": 2, "made": 1}
_TYPES_WORDS = (
    "AD CE CF CNE CNN CP CQ CWE CX DLN DR DT DTM ED EI EIP FC FN FT HD ID IS JCC MO MOC NDL NM PL PLN"
    " PT RI RP SAD SI SN SPS ST TM TN TQ TS TX VID XAD XCN XON XPN XTN varies"
)
_TYPES = frozenset(_TYPES_WORDS.split())


class Rule(Struct, frozen=True):
    """One row, parsed. `alternatives` of its source are tried first to last."""

    row: Row
    applies: tuple[str, ...]
    anchors: tuple[Anchor, ...]
    alternatives: tuple[Expression, ...]
    when: Expression | None
    target: Target
    transform: Call
    missing: str
    unmapped: str
    repeats: str

    @property
    def element(self) -> str:
        """The top-level element that it writes; "" for key and merge rows."""
        return self.target.steps[0].name if self.target.steps else ""

    @property
    def field(self) -> str:
        """`PID-13` for its first path, "" without one: the name of its slot."""
        for path in self.paths(source_only=True):
            return path.place if path.segment else self.anchor_field
        return ""

    @property
    def anchor_field(self) -> str:
        """`PV1-7` of a field anchor."""
        first = self.anchors[0]
        return f"{first.segment}-{first.field}" if first.field else first.segment

    def paths(self, *, source_only: bool = False) -> Iterator[Path]:
        """Every path of source and arguments."""
        for expression in self.alternatives:
            yield from (part for part in walk(expression) if isinstance(part, Path))
        if not source_only:
            yield from (part for part in walk(self.transform) if isinstance(part, Path))

    def covers(self, kind: str) -> bool:
        """Whether it applies to a kind such as `ADT^A01`."""
        if not self.applies:
            return not is_record_kind(kind)
        type_ = kind.partition("^")[0]
        return any(one in (kind, type_, f"{type_}^*") for one in self.applies)


def _takes_each(parsed: dict[str, Any]) -> bool:
    """Whether a row takes every repetition when it does not say: for items of a list, or texts of FHIR to join."""
    is_joined = any(name == "join" for name, _ in parsed["transform"].named)
    if is_joined and is_resource_kind(next(iter(parsed["applies"]), "")):
        return True
    return any(map(_makes_items, parsed["target"].steps))


def _makes_items(step: Step) -> bool:
    return (step.item or "").startswith("+")


class _Reader:
    """Reads one row after the other, collecting findings."""

    def __init__(self, book: Workbook) -> None:
        self.book = book
        self.findings: list[Finding] = []
        self.maps = {entry.map for entry in book.maps}
        self.params = {line.param for line in book.params}
        self._unset: set[str] = set()
        self._cuts: dict[tuple[str, str], str] = {}  # (column, `split` or `parts`) -> what stands between
        self._numbers: dict[str, dict[str, int]] = {}  # record -> column -> number

    def note(self, row: Row, column: str, code: str, message: str, hint: str = "", *, warning: bool = False) -> None:
        location = f"{row.where.file}:{row.where.line}:{row.cells.get(column, 1)}"
        severity = Severity.WARNING if warning else Severity.ERROR
        self.findings.append(Finding(code, message, location, severity, hint))

    def read(self, row: Row) -> Rule | None:
        before = len(self.findings)
        parsed: dict[str, Any] = {
            column: self._parse(row, column, parse)
            for column, parse in (
                ("applies", parse_applies),
                ("anchor", parse_anchor),
                ("source", parse_source),
                ("when", parse_condition),
                ("target", parse_target),
                ("transform", parse_transform),
            )
        }
        if len(self.findings) == before:
            read_columns(row, parsed, self._numbers, self.note)
        if len(self.findings) == before and is_resource_kind(next(iter(parsed["applies"]), "")):
            row = read_elements(row, parsed, self.note)
        if len(self.findings) == before and parsed["target"].is_cell:
            read_cell(row, parsed, self.note)
        if len(self.findings) > before:
            return None
        rule = Rule(
            row,
            parsed["applies"],
            parsed["anchor"],
            parsed["source"],
            parsed["when"],
            parsed["target"],
            parsed["transform"],
            row.missing or "skip",
            row.unmapped or ("exception" if parsed["transform"].name == "code" else "keep-local"),
            row.repeats or ("each" if _takes_each(parsed) else "first"),
        )
        self._check(rule)
        return (
            rule
            if len(self.findings) == before or all(f.severity is Severity.WARNING for f in self.findings[before:])
            else None
        )

    def _parse(self, row: Row, column: str, parse: Callable[[str], object]) -> object:
        try:
            return parse(getattr(row, column))
        except SyntaxProblem as problem:
            self.note(row, column, f"{column}-invalid", str(problem))
        except RecursionError:
            self.note(row, column, f"{column}-invalid", "is nested too deeply")
        return None

    def _check(self, rule: Rule) -> None:
        self._check_policies(rule)
        self._check_transform(rule)
        self._check_type(rule)
        self._check_target(rule)
        self._check_paths(rule)
        self._check_condition(rule)
        for expression in (*rule.alternatives, rule.when, rule.transform):
            for part in walk(expression):
                if isinstance(part, Param):
                    self._check_param(rule, part.name, expression)

    def _check_policies(self, rule: Rule) -> None:
        row = rule.row
        if rule.missing not in ("skip", "exception", "reject") and not rule.missing.startswith("default:"):
            self.note(row, "missing", "policy-unknown", f"`{rule.missing}` is not skip, default:x, exception or reject")
        if rule.unmapped not in ("keep-local", "exception", "reject") and not rule.unmapped.startswith("fixed:"):
            self.note(
                row, "unmapped", "policy-unknown", f"`{rule.unmapped}` is not keep-local, fixed:x, exception or reject"
            )
        if rule.repeats not in ("each", "first", "error"):
            self.note(row, "repeats", "policy-unknown", f"`{rule.repeats}` is not each, first or error")
        if row.map and row.map not in self.maps:
            near = difflib.get_close_matches(row.map, self.maps, 1)
            self.note(
                row, "map", "map-unknown", f"there is no map `{row.map}`", f"did you mean `{near[0]}`?" if near else ""
            )

    def _check_transform(self, rule: Rule) -> None:
        name = rule.transform.name
        if name not in COMBINATORS and self._is_unknown(rule, name):
            known = [*names(), *plugin_names(), *COMBINATORS]
            near = difflib.get_close_matches(name, known, 1)
            self.note(
                rule.row,
                "transform",
                "transform-unknown",
                f"there is no transform `{name}`",
                f"did you mean `{near[0]}`?" if near else "",
            )
        elif name == "const":
            self._check_constant(rule)
        elif name == "ref":
            argument = rule.transform.args[0] if len(rule.transform.args) == 1 else None
            if not isinstance(argument, Word) or not re.fullmatch(r"[A-Z]\w+(:[\w-]+)?", argument.name):
                self.note(rule.row, "transform", "transform-invalid", "ref(..) names one resource: ref(Patient)")
        elif not rule.alternatives and name not in ("targets", "received", "clear"):
            self.note(rule.row, "source", "source-invalid", f"`{name}` needs a source")
        if name == "copy" and not is_resource_kind(next(iter(rule.applies), "")):
            self.note(rule.row, "transform", "transform-invalid", "`copy` is for elements of FHIR")
        self._check_format(rule)
        if name == "code" and not rule.row.map and rule.transform.args != (Word("raw"),):
            self.note(rule.row, "map", "map-unknown", "`code` needs a map, or code(raw)")

    def _is_unknown(self, rule: Rule, name: str) -> bool:
        try:
            return transform_of(name) is None
        except PluginProblem as problem:
            text = f"the transform `{name}` of another package cannot be used: {problem}"
            self.note(rule.row, "transform", "transform-unloadable", text, "`pip check` and its own tests tell more")
            return False

    def _check_format(self, rule: Rule) -> None:
        """How cells of records are written: dates, decimals, repetitions, components."""
        named = dict(rule.transform.named)
        given = [name for name in ("split", "parts", "format", "point") if name in named]
        for name in given:
            value = named[name]
            text = value.text if isinstance(value, Literal) else ""
            problem = format_problem(text) if name == "format" else "" if text else "is a text, and not empty"
            if name == "point" and text not in (",", "."):
                problem = 'is "," or "."'
            kind = next(iter(rule.applies), "")
            if not is_record_kind(kind):
                problem = "is for columns of records; fields of HL7 v2 are written as HL7 v2 says"
            elif is_resource_kind(kind) and name in ("split", "parts"):
                problem = "is for columns of records; paths of FHIR say which part is meant"
            if problem:
                self.note(rule.row, "transform", "transform-invalid", f"`{name}`: {problem}")
        for name in ("split", "parts"):
            cut = named.get(name)
            first = next(iter(rule.paths(source_only=True)), None)
            if isinstance(cut, Literal) and first is not None:
                known = self._cuts.setdefault((first.place, name), cut.text)
                if known != cut.text:
                    text = f"`{name}` of this column is `{known}` in another row: a column is cut in one way"
                    self.note(rule.row, "transform", "transform-invalid", text)

    def _check_constant(self, rule: Rule) -> None:
        argument = rule.transform.args[0] if len(rule.transform.args) == 1 else None
        if isinstance(argument, Word) and argument.name.startswith("{"):
            try:
                json_object(argument.name)
            except ValueError:
                self.note(rule.row, "transform", "transform-invalid", "const({..}) is not JSON")
        elif not isinstance(argument, Literal | Param) and argument not in (Word("true"), Word("false")):
            self.note(
                rule.row,
                "transform",
                "transform-invalid",
                "const(..) takes one text, number, param, true, false or {json}",
            )

    def _check_type(self, rule: Rule) -> None:
        if rule.row.type and rule.row.type not in _TYPES and not is_resource_kind(next(iter(rule.applies), "")):
            self.note(rule.row, "type", "type-unknown", f"`{rule.row.type}` is no HL7 v2 datatype", warning=True)

    def _check_target(self, rule: Rule) -> None:
        target = rule.target
        if target.is_cell:
            return
        if (target.role == "key") != (rule.transform.name == "key") and target.role not in MERGING:
            self.note(
                rule.row,
                "transform",
                "transform-invalid",
                "`key` is the transform of key rows (Type.id), and of no others",
            )
        if target.role in MERGING and rule.transform.name != "key":
            self.note(rule.row, "transform", "transform-invalid", f"{target.role}(..) takes the transform `key`")
        if not target.steps:
            return
        known = shape(target.type)
        if known is None:
            near = near_types(target.type)
            hint = f"did you mean `{near[0]}`?" if near else ""
            self.note(rule.row, "target", "target-unknown", f"R4 has no resource type `{target.type}`", hint)
            return
        step = target.steps[0]
        if step.name not in known.lists and step.name not in known.singles and not choice_of(target.type, step.name):
            near = difflib.get_close_matches(step.name, [*known.lists, *known.singles], 1)
            hint = f"did you mean `{near[0]}`?" if near else ""
            self.note(rule.row, "target", "target-unknown", f"R4 has no {target.type}.{step.name}", hint)
        elif step.name != "extension" and (step.item is not None) != (step.name in known.lists):
            says = "a list: write [+] or [name]" if step.name in known.lists else "no list"
            self.note(rule.row, "target", "target-invalid", f"R4 has {target.type}.{step.name} as {says}")

    def _check_paths(self, rule: Rule) -> None:
        field_anchor = bool(rule.anchors[0].field)
        for expression in (*rule.alternatives, rule.when, rule.transform):
            for part in walk(expression):
                if isinstance(part, Path) and not part.segment and not field_anchor:
                    column = self._column_of(rule, expression)
                    self.note(rule.row, column, "source-invalid", "`@` needs a field anchor such as PV1-7[*]")
        for expression in rule.alternatives:
            if isinstance(expression, Path) and expression.segment and not expression.field:
                self.note(rule.row, "source", "source-invalid", "a source names a field: PID-3")
            if isinstance(expression, Call) and expression.name != "concat":
                self.note(rule.row, "source", "source-invalid", f"a source has no `{expression.name}(..)`")
            if isinstance(expression, Word) and expression.name not in WORDS:
                self.note(rule.row, "source", "source-invalid", f"`{expression.name}` is no source")

    def _column_of(self, rule: Rule, expression: Expression | None) -> str:
        if expression is rule.when:
            return "when"
        return "transform" if expression is rule.transform else "source"

    def _check_condition(self, rule: Rule) -> None:
        for part in walk(rule.when):
            if isinstance(part, Word) and part.name not in WORDS and not re.match(r"[A-Z]\w+(:|$)", part.name):
                self.note(rule.row, "when", "when-invalid", f"`{part.name}` means nothing in a condition")
            if isinstance(part, Call):
                self._check_condition_call(rule, part)

    def _check_condition_call(self, rule: Rule, call: Call) -> None:
        wanted = _CONDITIONS.get(call.name)
        if wanted is None or len(call.args) != wanted or call.named:
            known = ", ".join(_CONDITIONS)
            self.note(
                rule.row,
                "when",
                "when-invalid",
                f"`{call.name}(..)` with {len(call.args)} arguments",
                f"functions are {known}",
            )
        elif call.name == "matches":
            pattern = call.args[1]
            try:
                re.compile(pattern.text if isinstance(pattern, Literal) else "(")
            except re.error:
                self.note(
                    rule.row, "when", "when-invalid", "the second argument of matches(..) is no regular expression"
                )
        elif (call.name == "made") != isinstance(call.args[0], Word) and not isinstance(call.args[0], Path):
            self.note(rule.row, "when", "when-invalid", f"`{call.name}(..)` takes a path")

    def _check_param(self, rule: Rule, name: str, expression: Expression | None) -> None:
        column = self._column_of(rule, expression)
        if name not in self.params:
            near = difflib.get_close_matches(name, self.params, 1)
            hint = f"did you mean `{near[0]}`?" if near else ""
            self.note(rule.row, column, "param-unknown", f"there is no parameter `{name}`", hint)
        elif not self.book.param(name) and name not in self._unset:
            self._unset.add(name)
            self.note(
                rule.row,
                column,
                "param-unset",
                f"the parameter `{name}` has no value",
                f"set it in integration.yaml, `params: {{{name}: ...}}`",
            )


def read_rules(book: Workbook) -> tuple[list[Rule], list[Finding]]:
    """Every row that can run, and what is wrong with the others."""
    reader = _Reader(book)
    rules = [rule for rule in map(reader.read, book.rows) if rule is not None]
    zone = book.param("zone")
    if zone and zone_of(zone) is None:
        where = next(line for line in book.params if line.param == "zone")
        location = f"{where.where.file}:{where.where.line}:{where.cells.get('value', 1)}"
        reader.findings.append(Finding("zone-unknown", f"`{zone}` is no IANA time zone", location))
    return rules, reader.findings

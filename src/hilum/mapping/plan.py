"""The compiled workbook: `run` maps one record, `trace` maps it again and says where each value comes from."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import cast

from msgspec import structs

from hilum.mapping.accounting import FieldFates
from hilum.mapping.binding import Call
from hilum.mapping.columns import MARKS, Columns, Table, Tabular, is_record_kind, is_resource_kind, record_of_kind
from hilum.mapping.kind import Kind, Library
from hilum.mapping.lookup import CodeMaps
from hilum.mapping.mapped import Context, Mapped, Problem, Record, Trace
from hilum.mapping.program import Made, Opened
from hilum.mapping.resource_elements import Elements, Left, Resource
from hilum.mapping.rows import Rule, read_rules
from hilum.mapping.state import State
from hilum.mapping.surveys import choices_written, columns_read, kinds_named, lists_fed
from hilum.mapping.tables import Workbook
from hilum.mapping.tracing import traces
from hilum.mapping.tree import Node, ShapeProblem, grow
from hilum.model import Finding, Severity

__all__ = ["Plan", "checked_rules", "compile_workbook"]

KNOWN_STATES = 512


class Plan:
    """A workbook ready to run. Pure: the same record in the same context gives the same bytes.

    Code is generated when a kind of message is first seen, lookups are prepared when a sender is; `warm` does it now.
    """

    def __init__(
        self,
        book: Workbook,
        rules: Sequence[Rule],
        findings: Sequence[Finding],
        to: str = "",
        whole: tuple[frozenset[str], frozenset[str]] | None = None,
    ) -> None:
        """`to` is the kind of table that the rows write (`csv:worklist`); else they make resources.

        `whole`, where these are some rows of a plan: the kinds that have rows, and the resources to be made.
        """
        self.book, self.findings, self._to = book, tuple(findings), to
        self._rules = tuple(rules)
        self._named, made = whole if whole is not None else (kinds_named(rules), None)
        self._by_kind: dict[str, Kind] = {}
        self._maps: dict[str, CodeMaps] = {}  # by sender
        self._states: dict[tuple[str, ...], State] = {}
        self._traced: dict[tuple[str, ...], State] = {}
        self.params = {line.param: book.param(line.param) for line in book.params}
        if book.inspection:
            self.params["unknown_namespace"] = "local"
        self.params.setdefault("unknown_namespace", "hold")
        self.params.setdefault("default_authority", "MSH-4")
        self.tables = columns_read(rules, book)
        self._numbers = {name: table.numbers for name, table in self.tables.items()}
        self._library = Library(self.params, lists_fed(self._rules), choices_written(self._rules), made=made)

    def has_rows(self, kind: str) -> bool:
        """Whether some key row names this kind."""
        return self._kind(kind).has_rows

    def kinds(self) -> tuple[str, ...]:
        """Every kind that a key row names, sorted."""
        return tuple(sorted(kind for kind in self._named if "*" not in kind))

    def part(self, rows: Collection[str], made: frozenset[str]) -> Plan:
        """A plan of these rows alone (ids), for `make`; of resources with key rows in it only those `made` are."""
        rules = [rule for rule in self._rules if rule.row.row_id in rows]
        return Plan(self.book, rules, (), self._to, (self._named, made))

    def warm(self) -> None:
        """Generate the code of every kind that has rows, for its most common anchors, before the first message."""
        for kind in self.kinds():
            self._kind(kind).warm()

    def run(self, record: Record | Tabular | Resource, context: Context) -> Mapped:
        """What the record says, as drafts, merges, exceptions and accounting. Raises nothing for any record."""
        return self._ran(record, context)[0]

    def make(self, record: Record, context: Context, opened: Opened | None = None) -> Made:
        """What the rows make of a message, not accounted for. Segments that no row reads are not looked at.

        `opened`: the ids that a plan with the same key rows, or some of them, gave to resources of this message.
        """
        return self._state(record, record.kind, context, self._states, trace=False).make(record, context, opened)

    def problem(self, record: Record, context: Context, opened: Opened | None) -> Problem | None:
        """Why these rows would hold a message, if they would; `opened` as for `make`."""
        return self._state(record, record.kind, context, self._states, trace=False).problem(record, context, opened)

    def account(self, record: Record | Tabular | Resource, context: Context) -> tuple[Mapped, list[FieldFates]]:
        """The same as `run`, and for each segment which of its fields were mapped, ignored and left over."""
        mapped, call = self._ran(record, context)
        return mapped, [table.split(key) for *key, table in zip(*call.fields, strict=False)]

    def reading(self, record: Record | Tabular | Resource, context: Context) -> Record:
        """The record as rows read it: columns and paths of resources have the numbers that paths of rows have."""
        if not is_record_kind(record.kind):
            return cast(Record, record)
        return self._columned(cast(Tabular | Resource, record), context, self._states, trace=False)[1]

    def trace(self, record: Record | Tabular | Resource, context: Context) -> list[Trace]:
        """Where each value of the drafts comes from: the same mapping again, watched."""
        if is_record_kind(record.kind):
            state, read = self._columned(cast(Tabular | Resource, record), context, self._traced, trace=True)
        else:
            read = cast(Record, record)
            state = self._state(read, read.kind, context, self._traced, trace=True)
        mapped, call = state.run(read, context)
        return traces(mapped, call.trace, state.lines)

    def sightings(self, record: Record | Tabular | Resource, context: Context) -> tuple[str, ...]:
        """After `run`: what this sender did in records of this kind that was not told yet: `field PID-19`.

        Segments, fields and codes of maps, each once in the life of this plan; never content.
        """
        if is_record_kind(record.kind):
            state = self._columns(cast(Tabular | Resource, record), context, self._states, trace=False)
        else:
            state = self._state(cast(Record, record), record.kind, context, self._states, trace=False)
        sighted = tuple(state.env.sighted)
        state.env.sighted.clear()
        return sighted

    def _ran(self, record: Record | Tabular | Resource, context: Context) -> tuple[Mapped, Call]:
        kind = record.kind
        if ":" in kind:
            state, read = self._columned(cast(Tabular | Resource, record), context, self._states, trace=False)
            return state.run(read, context)
        message = cast(Record, record)
        return self._state(message, kind, context, self._states, trace=False).run(message, context)

    def _columned(
        self, record: Tabular | Resource, context: Context, known: dict[tuple[str, ...], State], *, trace: bool
    ) -> tuple[State, Record]:
        """The state for a record of columns or a resource, and the record as its rows read it."""
        state = self._columns(record, context, known, trace=trace)
        if isinstance(state.columns, Elements):
            return state, state.columns.arrange(cast(Resource, record))
        assert state.columns is not None
        return state, state.columns.arrange(cast(Tabular, record))

    def _columns(
        self, record: Tabular | Resource, context: Context, known: dict[tuple[str, ...], State], *, trace: bool
    ) -> State:
        key = (record.kind, context.sender, context.source)
        state = known.get(key)
        if state is None or (state.columns is not None and state.columns.is_full):
            if len(known) >= KNOWN_STATES:
                known.clear()
            name = record_of_kind(record.kind) or record.kind.partition(":")[2]
            table = self.tables.get(name, Table({}))
            columns: Columns | Elements = Columns(name, table)
            if is_resource_kind(record.kind):
                kinds = (record.kind, self._to)
                columns = Elements(name, table, Left.of(self.book.ignores, name, kinds, context.sender))
            marks = (MARKS.component, MARKS.repetition, MARKS.escape, MARKS.subcomponent, MARKS.field)
            kind = self._kind(record.kind)
            maps = self._maps_of(context.sender)
            state = known[key] = State(
                self.book, self.params, kind, context, marks, maps, trace=trace, columns=columns, numbers=self._numbers
            )
        return state

    def _kind(self, kind: str) -> Kind:
        found = self._by_kind.get(kind)
        if found is None:
            if len(self._by_kind) > KNOWN_STATES:  # kinds come from messages
                self._by_kind.clear()
            rules = [rule for rule in self._rules if rule.covers(kind)]
            found = self._by_kind[kind] = Kind(self._library, kind, rules, has_rows=kind in self._named)
        return found

    def _state(
        self, record: Record, kind: str, context: Context, known: dict[tuple[str, ...], State], *, trace: bool
    ) -> State:
        marks = record.delimiters
        key = (
            kind,
            context.sender,
            context.source,
            marks.component,
            marks.repetition,
            marks.escape,
            marks.subcomponent,
            marks.field,
        )
        state = known.get(key)
        if state is None:
            if len(known) >= KNOWN_STATES:
                known.clear()
            maps = self._maps_of(context.sender)
            state = known[key] = State(self.book, self.params, self._kind(kind), context, key[3:], maps, trace=trace)
        return state

    def _maps_of(self, sender: str) -> CodeMaps:
        found = self._maps.get(sender)
        if found is None:
            if len(self._maps) >= KNOWN_STATES:  # senders come from messages
                self._maps.clear()
            found = self._maps[sender] = CodeMaps(self.book.maps, sender)
        return found


def compile_workbook(workbook: Workbook, *, params: Mapping[str, str | int | float | bool] | None = None) -> Plan:
    """Check every row and make a plan; `params` are decisions of the folder, laid over those of the tables.

    Raises ConfigError `workbook-invalid` with all findings when one is an error.
    """
    book, rules = checked_rules(workbook, params or {})
    rules = [rule for rule in rules if not rule.target.is_cell]
    return Plan(book, rules, [one for one in book.findings if one.severity is Severity.WARNING])


def checked_rules(workbook: Workbook, params: Mapping[str, str | int | float | bool]) -> tuple[Workbook, list[Rule]]:
    """The workbook with its decisions and findings, and the rows that run. Raises ConfigError `workbook-invalid`."""
    workbook = _decided(workbook, params)
    rules, findings = read_rules(workbook)
    book = structs.replace(workbook, findings=(*workbook.findings, *findings))
    structs.replace(book, findings=(*book.findings, *_check_shapes(rules))).raise_findings()
    return book, rules


def _decided(book: Workbook, params: Mapping[str, str | int | float | bool]) -> Workbook:
    known = [line.param for line in book.params]
    findings = list(book.findings)
    for name in params:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else ""
            findings.append(
                Finding(
                    "param-unknown", f"there is no parameter `{name}`", f"integration.yaml params.{name}", hint=hint
                )
            )
    lines = [
        structs.replace(line, value=_param_text(params[line.param]), inspection="") if line.param in params else line
        for line in book.params
    ]
    return structs.replace(book, params=tuple(lines), findings=tuple(findings))


def _param_text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_shapes(rules: Sequence[Rule]) -> list[Finding]:
    """Rows that disagree on what an element is, found before any message comes."""
    trees: dict[tuple[str, bool], Node] = {}
    findings = []
    for number, rule in enumerate(rules):
        if not rule.target.steps or rule.transform.name == "clear" or rule.target.is_cell:
            continue
        tree = trees.setdefault((rule.target.resource, rule.target.default), Node())
        try:
            grow(tree, rule.target.steps, number, rule.target.type)
        except ShapeProblem as problem:
            where = rule.row.where
            location = f"{where.file}:{where.line}:{rule.row.cells.get('target', 1)}"
            findings.append(Finding("target-invalid", str(problem), location))
    return findings

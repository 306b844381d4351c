"""The compiled workbook: `run` maps one record, `trace` maps it again and says where each value comes from."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from types import CodeType
from typing import Any

from msgspec import Raw, structs

from hilum.mapping.accounting import Fates, Ignored, ignored_fields, read_fields
from hilum.mapping.binding import Call, bind_unit
from hilum.mapping.elements import choice_of, shape
from hilum.mapping.generate import Line, Place, Unit, generate
from hilum.mapping.lookup import CodeMaps, CodeSystems, Namespaces
from hilum.mapping.mapped import Context, Mapped, Problem, Record, Trace
from hilum.mapping.rows import Rule, read_rules
from hilum.mapping.structure import Shape, Tree, matching
from hilum.mapping.syntax import Path
from hilum.mapping.tables import Workbook
from hilum.mapping.tracing import traces
from hilum.mapping.transforms import Env, Spec
from hilum.mapping.tree import ShapeProblem, top_name
from hilum.model import Accounting, Draft, ExceptionItem, Finding, Merge, Severity

__all__ = ["Plan", "compile_workbook"]

KNOWN_SHAPES = 2048
KNOWN_STATES = 512
_PADDING = [[""] * width for width in range(512)]


class Plan:
    """A workbook ready to run. Pure: the same record in the same context gives the same bytes.

    Code is generated when a kind of message is first seen, lookups are prepared when a sender is; `warm` does it now.
    """

    def __init__(self, book: Workbook, rules: Sequence[Rule], findings: Sequence[Finding]) -> None:
        self.book, self.findings = book, tuple(findings)
        self._rules = tuple(rules)
        self._by_kind: dict[str, _Kind] = {}
        self._states: dict[tuple[str, ...], _State] = {}
        self._traced: dict[tuple[str, ...], _State] = {}
        self.params = {line.param: book.param(line.param) for line in book.params}
        if book.inspection:
            self.params["unknown_namespace"] = "local"
        self.params.setdefault("unknown_namespace", "hold")
        self.params.setdefault("default_authority", "MSH-4")
        self.slotted = _slotted(self._rules)
        self.choices = _choices(self._rules)

    def has_rows(self, kind: str) -> bool:
        """Whether some key row names this kind."""
        return self._kind(kind).has_rows

    def kinds(self) -> tuple[str, ...]:
        """Every kind that a key row names, sorted."""
        return tuple(sorted({kind for rule in self._rules if rule.target.role == "key" for kind in rule.applies}))

    def warm(self) -> None:
        """Generate the code of every kind that has rows, for its most common anchors, before the first message."""
        for kind in self.kinds():
            self._kind(kind).warm()

    def run(self, record: Record, context: Context) -> Mapped:
        """What the record says, as drafts, merges, exceptions and accounting. Raises nothing for any record."""
        return self._state(record, context, self._states, trace=False).run(record, context)[0]

    def trace(self, record: Record, context: Context) -> list[Trace]:
        """Where each value of the drafts comes from: the same mapping again, watched."""
        state = self._state(record, context, self._traced, trace=True)
        mapped, call = state.run(record, context)
        return traces(mapped, call.trace, state.lines, record)

    def _kind(self, kind: str) -> _Kind:
        found = self._by_kind.get(kind)
        if found is None:
            if len(self._by_kind) > KNOWN_STATES:  # kinds come from messages
                self._by_kind.clear()
            found = self._by_kind[kind] = _Kind(self, kind, [rule for rule in self._rules if rule.covers(kind)])
        return found

    def _state(
        self, record: Record, context: Context, known: dict[tuple[str, ...], _State], *, trace: bool
    ) -> _State:
        marks = record.delimiters
        key = (
            record.kind,
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
            state = known[key] = _State(self, self._kind(record.kind), context, key[3:], trace=trace)
        return state


def _slotted(rules: Sequence[Rule]) -> set[tuple[str, str]]:
    """Lists that more than one source field feeds: (resource, element)."""
    fields: dict[tuple[str, str], set[str]] = {}
    for rule in rules:
        target = rule.target
        if not target.steps:
            continue
        name = top_name(target.steps)
        known = shape(target.type)
        is_list = target.steps[0].item is not None or target.steps[0].name == "extension"
        if is_list and (known is None or target.steps[0].name in known.lists):
            fields.setdefault((target.resource, name), set()).add(rule.field or rule.row.row_id)
    return {key for key, names in fields.items() if len(names) > 1}


def _choices(rules: Sequence[Rule]) -> dict[tuple[str, str], tuple[str, ...]]:
    """For each choice element of each resource, the members that rows may write."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for rule in rules:
        if not rule.target.steps:
            continue
        name = rule.target.steps[0].name
        choice = choice_of(rule.target.type, name)
        if not choice:
            continue
        names = found.setdefault((rule.target.resource, choice), {})
        if name.endswith("[x]"):
            suffixes = "Quantity CodeableConcept String Range Ratio DateTime Time".split()
            names.update(dict.fromkeys(f"{choice}{suffix}" for suffix in suffixes))
        else:
            names[name] = None
    return {key: tuple(names) for key, names in found.items()}


class _Kind:
    """The rows of one kind, and the code generated for the places where they run."""

    def __init__(self, plan: Plan, kind: str, rules: list[Rule]) -> None:
        self.plan, self.kind, self.rules = plan, kind, rules
        self.has_rows = any(rule.target.role == "key" and rule.applies for rule in rules)
        if not self.has_rows:
            self.rules = []
        self.anchors = list(dict.fromkeys(anchor for rule in self.rules for anchor in rule.anchors))
        self.segments = {anchor.segment for anchor in self.anchors}
        self.opened = {rule.target.resource for rule in self.rules if rule.target.role == "key"}
        self.read = read_fields(self.rules)
        self._units: dict[tuple[Place, bool], tuple[Unit, CodeType]] = {}
        self._places: dict[tuple[str, tuple[Any, ...]], tuple[Place, ...]] = {}
        self._next = 0

    def places(self, tree: Tree, index: int) -> tuple[Place, ...]:
        """Where code runs at one segment: the segment itself, then each anchored field."""
        name = tree.names[index]
        if name not in self.segments:
            return ()
        anchors = matching(tree, (anchor for anchor in self.anchors if anchor.segment == name), index)
        key = (name, anchors)
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = tuple(_places(name, anchors))
        return found

    def warm(self) -> None:
        """Generate the code of every place, as if all anchors of a segment matched."""
        for name in sorted(self.segments):
            anchors = tuple(anchor for anchor in self.anchors if anchor.segment == name)
            for place in self._places.setdefault((name, anchors), tuple(_places(name, anchors))):
                self.unit(place, trace=False)

    def unit(self, place: Place, *, trace: bool) -> tuple[Unit, CodeType]:
        """The code of one place, generated when first asked for."""
        found = self._units.get((place, trace))
        if found is None:
            rules = [rule for rule in self.rules if any(anchor in place.anchors for anchor in rule.anchors)]
            unit = generate(
                place,
                rules,
                kind=self.kind,
                params=self.plan.params,
                slotted=self.plan.slotted,
                choices=self.plan.choices,
                first_number=self._next,
                trace=trace,
            )
            self._next += len(rules)
            code = compile(unit.source, f"<workbook {self.kind} {place.segment}-{place.field}>", "exec")
            found = self._units[place, trace] = (unit, code)
        return found


def _places(name: str, anchors: tuple[Any, ...]) -> list[Place]:
    whole = tuple(anchor for anchor in anchors if not anchor.field)
    found = [Place(name, whole)] if whole else []
    for field, every in dict.fromkeys((anchor.field, anchor.every) for anchor in anchors if anchor.field):
        same = tuple(anchor for anchor in anchors if (anchor.field, anchor.every) == (field, every))
        found.append(Place(name, same, field, every))
    return found


class _State:
    """One kind from one sender: bound functions and what is remembered for it."""

    def __init__(self, plan: Plan, kind: _Kind, context: Context, marks: tuple[str, ...], *, trace: bool) -> None:
        self.kind, self.trace = kind, trace
        book, sender = plan.book, context.sender
        app, _, facility = sender.partition("|")
        component, repetition, escape, subcomponent, field = marks
        self.env = Env(
            delimiters=(component, repetition, escape, subcomponent),
            sender=sender,
            maps=CodeMaps(book.maps, sender),
            codesystems=CodeSystems(book.codesystems, facility or app),
            namespaces=Namespaces(book.namespaces, sender),
            params=plan.params,
        )
        if trace:
            self.env.entries = []
        self.delimiters = component + repetition + subcomponent
        inside = f"[{re.escape(self.delimiters)}]+"
        bar = re.escape(field)
        self.hollow = re.compile(f"{bar}{inside}(?:{bar}|$)").search
        self.words = {"kind": kind.kind, "event": kind.kind.partition("^")[2], "sender": sender, "source": context.source}
        self.ignored = ignored_fields(book.ignores, kind.kind, sender)
        self.keys = _key_specs(kind.rules)
        self.shapes: dict[tuple[str, ...], Shape] = {}
        self.bound: dict[Place, tuple[Unit, dict[str, Any]]] = {}
        self.tables: dict[str, Fates] = {}
        self.lines: dict[int, Line] = {}
        self._call = Call(context)

    # -- preparing ---------------------------------------------------------------------------------------------

    def _unit(self, place: Place) -> tuple[Unit, dict[str, Any]]:
        found = self.bound.get(place)
        if found is None:
            unit, code = self.kind.unit(place, trace=self.trace)
            self.lines.update((line.number, line) for line in unit.lines)
            namespace = bind_unit(unit, code, self.env, self.keys, self.words, self._note if self.trace else None)
            found = self.bound[place] = (unit, namespace)
        return found

    def _note(self, number: int, value: Any, segment: int, id_: str) -> None:
        """The TRACE of generated code: what a row wrote, and the map entries that it used."""
        entries = self.env.entries or []
        used = ", ".join(f"{entry.map} {entry.code}" for entry in entries)
        entries.clear()
        self._call.trace.append((number, (value, used), segment, id_))

    def _table(self, name: str) -> Fates:
        found = self.tables.get(name)
        if found is None:
            shown = name if len(name) == 3 and name.isalnum() and name.isupper() else "???"  # a name may be anything
            none = Ignored(0, whole=False)
            found = Fates(shown, self.ignored.get(name, none), self.kind.read.get(name, 0), self.env.sender, "")
            if len(self.tables) < KNOWN_STATES:
                self.tables[name] = found
        return found

    def _shape(self, record: Record) -> Shape:
        names = record.names
        tree = Tree(names, record.parents)
        placed = [(index, place) for index in range(len(names)) for place in self.kind.places(tree, index)]
        slots: dict[str, list[tuple[int, int]]] = {}
        count = 0
        for index, place in placed:
            for resource in self._unit(place)[0].opens:
                slots.setdefault(resource, []).append((index, count))
                count += 1
        reads: dict[str, int] = {}
        opens: list[tuple[Any, ...]] = []
        fills: list[tuple[Any, ...]] = []
        late: list[tuple[Any, ...]] = []
        for index, place in placed:
            unit, namespace = self._unit(place)
            for name, highest in unit.reads.items():
                reads[name] = max(reads.get(name, 0), highest)
            scope = tuple(tree.nearest_slot(index, slots.get(resource, [])) for resource in unit.scope)
            segments = tuple(tree.nearest(index, name, occurrence) for name, occurrence in unit.foreign)
            common = (index, scope, segments)
            for at, resource in enumerate(unit.opens):
                opens.append((namespace[f"open_{at}"], index, _slot_at(slots, resource, index), scope, segments))
            for at, (resource, is_late) in enumerate(unit.fills):
                slot = _slot_at(slots, resource, index)
                if slot < 0:
                    slot = tree.nearest_slot(index, slots.get(resource, []))
                if slot >= 0:
                    (late if is_late else fills).append((namespace[f"fill_{at}"], index, slot, scope, segments))
            if unit.place.field:
                fills.append((namespace["run"], common[0], -1, scope, segments))
            if unit.merges:
                fills.append((namespace["merge"], index, -1, scope, segments))
        made = Shape(
            tuple(opens),
            (*fills, *late),
            count,
            tuple(reads.get(name, 0) + 1 for name in names),
            tuple(self._table(name) for name in names),
        )
        if len(names) <= 200:
            if len(self.shapes) >= KNOWN_SHAPES:
                self.shapes.clear()
            self.shapes[names] = made
        return made

    # -- running -----------------------------------------------------------------------------------------------

    def run(self, record: Record, context: Context) -> tuple[Mapped, Call]:
        env = self.env
        env.unescape = record.unescape
        shape_ = self.shapes.get(record.names) or self._shape(record)
        cut = record.segments
        fields = [segment.fields for segment in cut]
        padded = []
        for found, width in zip(fields, shape_.widths, strict=True):
            short = width - len(found)
            padded.append(found if short <= 0 else found + (_PADDING[short] if short < 512 else [""] * short))
        padded.append(_PADDING[511])
        call = self._call = Call(context)
        ids: list[str | None] = [None] * (shape_.slots + 1)
        references = [b""] * (shape_.slots + 1)
        drafts: list[Draft | None] = [None] * shape_.slots
        written = [0] * (len(fields) + 1)
        parts: list[tuple[int, list[Any], tuple[str, ...]]] = []
        for function, index, slot, scope, segments in shape_.opens:
            function(index, slot, scope, segments, padded, ids, references, written, call, drafts, parts)
        for function, index, slot, scope, segments in shape_.fills:
            function(index, slot, scope, segments, padded, ids, references, written, call, drafts, parts)
        if parts:
            _join_parts(drafts, parts)
        made = _drafts(drafts, call)
        merges = tuple(Merge(type_, kept, gone) for type_, kept, gone in call.merged if kept != gone)
        patterns = [self._pattern(segment.raw, found) for segment, found in zip(cut, fields, strict=True)]
        return self._result(context, patterns, written, shape_, made, merges), call

    def _pattern(self, raw: str, fields: list[str]) -> bytes:
        """One byte per field: whether it holds more than delimiters."""
        if self.hollow(raw):
            return bytes([bool(text.strip(self.delimiters)) for text in fields])
        return bytes(map(bool, fields))

    def _result(
        self,
        context: Context,
        patterns: list[bytes],
        written: list[int],
        shape_: Shape,
        drafts: list[Draft],
        merges: tuple[Merge, ...],
    ) -> Mapped:
        valued = mapped = ignored = exceptions = 0
        items: tuple[ExceptionItem, ...] = ()
        for pattern, bits, table in zip(patterns, written, shape_.tables, strict=False):
            key = (pattern, bits)
            fate = table.known.get(key) or table.find(key)
            valued += fate.valued
            mapped += fate.mapped
            ignored += fate.ignored
            if fate.exceptions:
                exceptions += fate.exceptions
                items += fate.items
        held = None
        if self.env.pending or items:
            items, held = self._items(items)
        if not self.kind.has_rows:
            held = Problem("no-rows", "MSH-9", f"the workbook has no rows for {_shown(self.kind.kind)}")
        accounting = Accounting(valued, mapped, ignored, exceptions)
        return Mapped(drafts, merges, context.sent_at, accounting, items, held)

    def _items(self, fates: tuple[ExceptionItem, ...]) -> tuple[tuple[ExceptionItem, ...], Problem | None]:
        """All items, each group once; and why the message is held, if it is."""
        pending = self.env.pending
        held = None
        said: dict[str, ExceptionItem] = {}
        for report in pending:
            said.setdefault(report.item.group, report.item)
            if report.hold and held is None:
                item = report.item
                held = Problem(item.code, item.location, item.message, item.owner)
        places = {item.location for item in said.values()}
        for item in fates:
            if item.location not in places:
                said.setdefault(item.group, item)
        pending.clear()
        return tuple(said.values()), held


def _shown(kind: str) -> str:
    return kind if kind.replace("^", "").replace("_", "").isalnum() and len(kind) < 16 else "this kind of message"


def _slot_at(slots: dict[str, list[tuple[int, int]]], resource: str, index: int) -> int:
    return next((slot for segment, slot in slots.get(resource, []) if segment == index), -1)


def _key_specs(rules: Sequence[Rule]) -> dict[tuple[str, str], Spec]:
    """How key rows read a datatype, for references that name the same thing: (resource, datatype) to the row's Spec."""
    found: dict[tuple[str, str], Spec] = {}
    for rule in rules:
        if rule.target.role == "key" and any(isinstance(one, Path) for one in rule.alternatives):
            row = rule.row
            type_ = row.type or "ST"
            spec = Spec(row.row_id, row.owner, rule.field, type_, "key", rule.transform.args, rule.transform.named, resource=rule.target.resource)
            found.setdefault((rule.target.resource, type_), spec)
    return found


def _join_parts(drafts: list[Draft | None], parts: list[tuple[int, list[Any], tuple[str, ...]]]) -> None:
    """Add what other places wrote to a resource: items to lists, members to objects; a single value stays."""
    for slot, elements, cleared in parts:
        draft = drafts[slot]
        if draft is None:
            continue
        for name, value, slots, default in elements:
            if default:
                draft.defaults = {**draft.defaults}
            into = draft.defaults if default else draft.elements
            before = into.get(name)
            if isinstance(value, list):
                inner = b",".join(value)
                into[name] = Raw(b"[%b]" % inner if before is None else b"%b,%b]" % (bytes(before)[:-1], inner))
                if slots:
                    draft.slots = {**draft.slots, name: _join_slots(draft.slots.get(name, ()), slots)}
            elif before is None:
                into[name] = Raw(value)
            elif value[:1] == b"{" and bytes(before)[:1] == b"{":
                into[name] = Raw(b"%b,%b" % (bytes(before)[:-1], value[1:]))
        if cleared:
            draft.cleared = (*draft.cleared, *cleared)


def _join_slots(
    before: tuple[tuple[str, int], ...], more: tuple[tuple[str, int], ...]
) -> tuple[tuple[str, int], ...]:
    if before and more and before[-1][0] == more[0][0]:
        return (*before[:-1], (before[-1][0], before[-1][1] + more[0][1]), *more[1:])
    return (*before, *more)


def _drafts(slots: list[Draft | None], call: Call) -> list[Draft]:
    """All drafts in order of the message; what was opened twice is one."""
    made = [draft for draft in slots if draft is not None]
    if not call.loose and len({(draft.type, draft.id) for draft in made}) == len(made):
        return made
    found: dict[tuple[str, str], Draft] = {}
    for draft in made:
        _once(found, draft)
    for loose in call.loose:
        key = loose[:2]
        before = found.get(key)
        if before is None:
            found[key] = Draft(loose[0], loose[1], loose[2].copy(), *loose[3:])
        elif before.elements != loose[2]:
            _once(found, Draft(loose[0], loose[1], loose[2].copy(), *loose[3:]))
    return list(found.values())


def _once(found: dict[tuple[str, str], Draft], draft: Draft) -> None:
    key = (draft.type, draft.id)
    before = found.get(key)
    if before is None:
        found[key] = draft
        return
    elements = dict(before.elements)
    for name, value in draft.elements.items():
        earlier = bytes(elements.get(name, b""))
        later = bytes(value)
        if earlier[:1] == b"[" and later[:1] == b"[" and earlier != later:
            elements[name] = _union(earlier, later)
        else:
            elements[name] = value
    found[key] = structs.replace(
        before,
        elements=elements,
        defaults={**before.defaults, **draft.defaults},
        cleared=tuple(dict.fromkeys(name for name in (*before.cleared, *draft.cleared) if name not in elements)),
        slots={name: slots for name, slots in before.slots.items() if elements.get(name) == before.elements.get(name)},
    )


def _union(first: bytes, second: bytes) -> Raw:
    """Two lists joined, without doubles."""
    from msgspec import json as msgspec_json  # noqa: PLC0415

    items = dict.fromkeys(
        bytes(item) for text in (first, second) for item in msgspec_json.decode(text, type=list[Raw])
    )
    return Raw(b"[%b]" % b",".join(items))


def compile_workbook(workbook: Workbook, *, params: Mapping[str, str | int | float | bool] | None = None) -> Plan:
    """Check every row and make a plan; `params` are decisions of the folder, laid over those of the tables.

    Raises ConfigError `workbook-invalid` with all findings when one is an error.
    """
    workbook = _decided(workbook, params or {})
    rules, findings = read_rules(workbook)
    everything = (*workbook.findings, *findings)
    book = structs.replace(workbook, findings=everything)
    plan = Plan(book, rules, [one for one in everything if one.severity is Severity.WARNING])
    shapes = _check_shapes(rules)
    structs.replace(book, findings=(*everything, *shapes)).raise_findings()
    return plan


def _decided(book: Workbook, params: Mapping[str, str | int | float | bool]) -> Workbook:
    known = [line.param for line in book.params]
    findings = list(book.findings)
    for name in params:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else ""
            findings.append(
                Finding("param-unknown", f"there is no parameter `{name}`", f"integration.yaml params.{name}", hint=hint)
            )
    lines = [
        structs.replace(line, value=_param_text(params[line.param])) if line.param in params else line
        for line in book.params
    ]
    return structs.replace(book, params=tuple(lines), findings=tuple(findings))


def _param_text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_shapes(rules: Sequence[Rule]) -> list[Finding]:
    """Rows that disagree on what an element is, found before any message comes."""
    from hilum.mapping.tree import Node, grow  # noqa: PLC0415

    trees: dict[tuple[str, bool], Node] = {}
    findings = []
    for number, rule in enumerate(rules):
        if not rule.target.steps or rule.transform.name == "clear":
            continue
        tree = trees.setdefault((rule.target.resource, rule.target.default), Node())
        try:
            grow(tree, rule.target.steps, number, rule.target.type)
        except ShapeProblem as problem:
            where = rule.row.where
            location = f"{where.file}:{where.line}:{rule.row.cells.get('target', 1)}"
            findings.append(Finding("target-invalid", str(problem), location))
    return findings

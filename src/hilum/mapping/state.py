"""One kind of message from one sender: functions bound to its lookups, and the run of one record through them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hilum.mapping import join
from hilum.mapping.accounting import Fates, Ignored, ignored_fields
from hilum.mapping.binding import Binder, Call, bind_unit
from hilum.mapping.columns import Columns, is_record_kind
from hilum.mapping.cutting import Cutter
from hilum.mapping.kind import Kind
from hilum.mapping.lookup import CodeMaps, CodeSystems, Namespaces
from hilum.mapping.mapped import Context, Mapped, Problem, Record
from hilum.mapping.outcome import accounted, said
from hilum.mapping.program import Made, Opened, Part, Program, Shape, Step, Variant, variant_of
from hilum.mapping.resource_elements import ElementFates, Elements
from hilum.mapping.structure import Tree
from hilum.mapping.surveys import key_specs
from hilum.mapping.tables import Workbook
from hilum.mapping.tracing import entry_name
from hilum.mapping.transforms import Env
from hilum.mapping.unit import Line, Place, Special, Unit
from hilum.model import Draft, Merge

__all__ = ["State"]

KNOWN_SHAPES = 2048
LONGEST_SHAPE = 200  # segments; what is longer is not remembered
KNOWN_NAMES = 512
OFTEN = 24  # so many sightings make a pattern of fields worth code of its own
MOST_SPECIAL = 600  # units made for patterns, per sender and kind
_NONE: dict[int, int] = {}


class State:
    """One kind from one sender: bound functions and what is remembered for it."""

    def __init__(
        self,
        book: Workbook,
        params: dict[str, str],
        kind: Kind,
        context: Context,
        marks: tuple[str, ...],
        maps: CodeMaps,
        *,
        trace: bool,
        columns: Columns | Elements | None = None,
        numbers: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        """`columns` where records are rows of columns, or resources; `numbers` are those of the columns of each."""
        self.kind, self.trace, self.columns = kind, trace, columns
        sender = context.sender
        app, _, facility = sender.partition("|")
        component, repetition, escape, subcomponent, field = marks
        self.env = Env(
            delimiters=(component, repetition, escape, subcomponent),
            sender=sender,
            maps=maps,
            codesystems=CodeSystems(book.codesystems, facility or app),
            namespaces=Namespaces(book.namespaces, sender),
            params=params,
        )
        if trace:
            self.env.entries = []
        self.cutter = Cutter(field, component + repetition + subcomponent)
        words = {
            "kind": kind.kind,
            "event": kind.kind.partition("^")[2],
            "sender": sender,
            "source": context.source,
        }
        self.binder = Binder(self.env, key_specs(kind.rules), words)
        self.ignored = ignored_fields(book.ignores, kind.kind, sender, numbers)
        self.shapes: dict[tuple[str, ...], Shape] = {}
        self.taken: dict[tuple[tuple[str, ...], tuple[tuple[int, str], ...]], dict[int, int] | None] = {}
        self.special: dict[tuple[Place, Special], tuple[Unit, dict[str, Any]]] = {}
        self.bound: dict[Place, tuple[Unit, dict[str, Any]]] = {}
        self.tables: dict[str, Fates | ElementFates] = {}
        self.lines: dict[int, Line] = {}
        self._call = Call(context)

    # -- preparing ---------------------------------------------------------------------------------------------

    def _unit(self, place: Place) -> tuple[Unit, dict[str, Any]]:
        found = self.bound.get(place)
        if found is None:
            unit, code = self.kind.unit(place, trace=self.trace)
            self.lines.update((line.number, line) for line in unit.lines)
            namespace = bind_unit(unit, code, self.binder, self._note if self.trace else None)
            found = self.bound[place] = (unit, namespace)
        return found

    def _note(self, number: int, value: Any, segment: int, id_: str) -> None:
        """The TRACE of generated code: what a row wrote, and the map entries that it used."""
        entries = self.env.entries or []
        used = ", ".join(map(entry_name, entries))
        entries.clear()
        self._call.trace.append((number, (value, used), segment, id_))

    def _table(self, name: str) -> Fates | ElementFates:
        found = self.tables.get(name)
        if found is None and isinstance(self.columns, Elements):
            found = self.tables[name] = ElementFates(self.columns, self.env.sender, self.env.sighted)
        if found is None:
            shown = name if len(name) == 3 and name.isalnum() and name.isupper() else "???"  # a name may be anything
            labels = self.columns.labels if self.columns is not None else ()
            shown = name if labels else shown
            none = Ignored(0, whole=False)
            sighted = self.env.sighted
            if not labels:
                sighted.append(f"segment {shown}")
            read = self.kind.read.get(name, 0)
            found = Fates(shown, self.ignored.get(name, none), read, self.env.sender, "", sighted, labels)
            if len(self.tables) < KNOWN_NAMES:
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
        programs: dict[int, Program] = {}
        reads: dict[str, int] = {}
        for index, place in placed:
            part = self._part(tree, index, place, slots)
            for name, highest in part.unit.reads.items():
                reads[name] = max(reads.get(name, 0), highest)
            programs.setdefault(index, Program(index)).parts.append(part)
        for program in programs.values():
            program.finish()
        made = Shape(
            names,
            tuple(programs.values()),
            count,
            tuple(reads.get(name, 0) + 1 for name in names),
            tuple(self._table(name) for name in names),
            tuple(sorted({at for program in programs.values() for at in program.reads()})),
            {(index, resource): slot for resource, found in slots.items() for index, slot in found},
        )
        if len(names) <= LONGEST_SHAPE:
            if len(self.shapes) >= KNOWN_SHAPES:
                self.shapes.clear()
            self.shapes[names] = made
        return made

    def _part(self, tree: Tree, index: int, place: Place, slots: dict[str, list[tuple[int, int]]]) -> Part:
        """One unit at one segment: where its lookups lead in messages of this shape."""
        unit, namespace = self._unit(place)
        scope = tuple(tree.nearest_slot(index, slots.get(resource, [])) for resource in unit.scope)
        segments = tuple(tree.nearest(index, name, occurrence) for name, occurrence in unit.foreign)
        meant = {
            resource: own
            if (own := _slot_at(slots, resource, index)) >= 0
            else tree.nearest_slot(index, slots.get(resource, []))
            for resource in (*unit.opens, *(resource for resource, _, _ in unit.fills))
        }
        return Part(place, unit, namespace, index, scope, segments, meant)

    def _variant(self, program: Program, key: Any, patterns: list[bytes]) -> Variant:
        """The code for a segment whose fields are there as `key` says: general, or its own when it comes often."""
        times = program.seen.get(key, 0) + 1
        if times < OFTEN or self.trace or len(self.special) >= MOST_SPECIAL:
            if len(program.seen) > KNOWN_SHAPES:
                program.seen.clear()
            program.seen[key] = times
            return program.general
        parts = []
        for part in program.parts:
            if part.place.field and not patterns[program.index][part.place.field : part.place.field + 1].strip(b"\0"):
                continue
            known = part.special(patterns)
            found = self.special.get((part.place, known))
            if found is None:
                unit, code = self.kind.unit(part.place, special=known)
                found = self.special[part.place, known] = (unit, bind_unit(unit, code, self.binder))
            parts.append(Part(part.place, *found, part.index, part.scope, part.segments, part.slots))
        made = program.variants[key] = variant_of(parts)
        return made

    # -- running -----------------------------------------------------------------------------------------------

    def run(self, record: Record, context: Context) -> tuple[Mapped, Call]:
        """Map one record. Raises nothing for any record."""
        shape = self._begin(record)
        patterns, padded = self.cutter.cut(record, shape, range(len(shape.widths)))
        call = self._call = Call(context)
        opened = self._open(shape, patterns, padded, call)
        drafts = self._fill(opened, call)
        merges = _merges(call)
        call.fields = (patterns, opened.written, shape.tables)
        return self._result(context, patterns, opened.written, shape, drafts, merges), call

    def make(self, record: Record, context: Context, before: Opened | None = None) -> Made:
        """The same without accounting; what no row reads is not cut. `before`: of a plan with the same key rows."""
        opened, call, before = self._opened(record, context, before)
        kept = before or opened.keep(call.counts, self.env.pending)
        drafts = self._fill(opened, call)
        items, held = said(self.env.pending, ()) if self.env.pending else ((), None)
        mapped = Mapped(drafts, _merges(call), context.sent_at, exceptions=items, held=held)
        return Made(mapped, opened.written, kept)

    def problem(self, record: Record, context: Context, before: Opened | None) -> Problem | None:
        """Why the record is held, if it is: the same without putting together what rows made."""
        opened, call, _ = self._opened(record, context, before)
        self._run(opened, call)
        return said(self.env.pending, ())[1] if self.env.pending else None

    def _opened(self, record: Record, context: Context, before: Opened | None) -> tuple[Opened, Call, Opened | None]:
        """The key rows of a record run, and what of `before` could be taken for it."""
        shape = self._begin(record)
        known = self._known(shape, before) if before is not None else None
        before = before if known is not None else None
        patterns, padded = self.cutter.cut(record, shape, shape.needed, before)
        call = self._call = Call(context)
        return self._open(shape, patterns, padded, call, before, known or {}), call, before

    def _begin(self, record: Record) -> Shape:
        self.env.unescape = record.unescape
        self.env.pending.clear()
        return self.shapes.get(record.names) or self._shape(record)

    def _open(
        self,
        shape: Shape,
        patterns: list[bytes],
        padded: list[list[str]],
        call: Call,
        before: Opened | None = None,
        known: Mapping[int, int] = _NONE,
    ) -> Opened:
        """Run the key rows. `known`: slots that were opened `before`, with their slots there."""
        opened = Opened(shape, patterns, padded)
        ids, references, written = opened.ids, opened.references, opened.written
        if before is not None:
            for slot, at in known.items():
                ids[slot], references[slot] = before.ids[at], before.references[at]
            written[:] = before.written
            call.counts.update(before.counts)
            self.env.pending.extend(before.reports)
        variants = opened.variants
        for program in shape.programs:
            key = program.key(patterns)
            variant = program.variants.get(key)
            if variant is None:
                variant = self._variant(program, key, patterns)
            variants.append(variant)
            for function, index, slot, scope, segments in variant.opens:
                if slot not in known:
                    function(index, slot, scope, segments, padded, ids, references, written, call, (), ())
        return opened

    def _fill(self, opened: Opened, call: Call) -> list[Draft]:
        """The drafts; `opened.written` gets a bit per field that a row wrote for."""
        drafts, parts = self._run(opened, call)
        if parts:
            join.join_parts(drafts, parts)
        return join.drafts_of(drafts, call)

    def _run(self, opened: Opened, call: Call) -> tuple[list[Draft | None], list[join.Part]]:
        """All rows but those of keys: drafts by slot, and what is for resources of other places."""
        padded, ids, references, written = opened.padded, opened.ids, opened.references, opened.written
        drafts: list[Draft | None] = [None] * opened.shape.slots
        parts: list[join.Part] = []
        late: list[Step] = []
        for variant in opened.variants:
            for function, index, slot, scope, segments in variant.fills:
                function(index, slot, scope, segments, padded, ids, references, written, call, drafts, parts)
            late += variant.late
        for function, index, slot, scope, segments in late:
            function(index, slot, scope, segments, padded, ids, references, written, call, drafts, parts)
        return drafts, parts

    def _known(self, shape: Shape, before: Opened) -> dict[int, int] | None:
        """For slots of this shape those of what was opened before; None when that has others."""
        theirs = before.shape
        key = (shape.names, tuple(theirs.opened))
        if key in self.taken:
            return self.taken[key]
        same = theirs.names == shape.names and theirs.opened.keys() <= shape.opened.keys()
        found = {shape.opened[place]: slot for place, slot in theirs.opened.items()} if same else None
        if len(shape.names) <= LONGEST_SHAPE:
            if len(self.taken) >= KNOWN_SHAPES:
                self.taken.clear()
            self.taken[key] = found
        return found

    def _result(
        self,
        context: Context,
        patterns: list[bytes],
        written: list[int],
        shape: Shape,
        drafts: list[Draft],
        merges: tuple[Merge, ...],
    ) -> Mapped:
        accounting, items = accounted(patterns, written, shape.tables)
        held = None
        if self.env.pending or items:
            items, held = said(self.env.pending, items)
        if not self.kind.has_rows:
            where = "MSH-9" if self.columns is None else ""
            held = Problem("no-rows", where, f"the workbook has no rows for {_shown(self.kind.kind)}")
        return Mapped(drafts, merges, context.sent_at, accounting, items, held)


def _merges(call: Call) -> tuple[Merge, ...]:
    return tuple(Merge(type_, kept, gone, undo) for type_, kept, gone, undo in call.merged if kept != gone)


def _shown(kind: str) -> str:
    if is_record_kind(kind):
        return kind
    return kind if kind.replace("^", "").replace("_", "").isalnum() and len(kind) < 16 else "this kind of message"


def _slot_at(slots: dict[str, list[tuple[int, int]]], resource: str, index: int) -> int:
    return next((slot for segment, slot in slots.get(resource, []) if segment == index), -1)

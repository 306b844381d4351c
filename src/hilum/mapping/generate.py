"""Rows to Python source: one unit of code for all rows that run at one place of a message.

A **unit** serves one segment with one set of matching anchors (`OBX` with the rows of `OBX` and `OBR>OBX`), or one
field anchor. It is generated once per kind, compiled once, and bound to the lookups of each sender.

A segment unit has for each resource: an *open* function (the key rows: its id) and a *fill* function (its elements).
In a fill, the lines that only read codes, names and the like are put into a function of their own whose result is
remembered by the raw texts they read; times, numbers, texts and references are written each time. A field unit is
remembered as a whole.

The source holds names of ours only: every text of the workbook is bound as a constant.

Names in the source: f fields of the segment, F of all segments (F[-1] is an absent one), a the anchored repetition,
i the segment, S segments looked up for the unit, L slots looked up for the unit, I ids and R references by slot,
W field bits by segment, D drafts by slot, X parts written to resources of other places, C the call.
"""

from __future__ import annotations

from itertools import count

from hilum.mapping.elements import choice_of
from hilum.mapping.places import MERGING
from hilum.mapping.rows import Rule
from hilum.mapping.shaping import Shaping
from hilum.mapping.tree import top_name
from hilum.mapping.unit import Binding, Line, Place, Special, Unit

__all__ = ["generate"]


def _resources(lines: list[Line], role: str) -> list[str]:
    return list(dict.fromkeys(line.spec.resource for line in lines if line.rule.target.role == role))


# Segments that say much of one person: the same person may come again soon, but there are many persons.
_PERSONAL = frozenset({"PID", "PD1", "NK1", "PV1", "PV2", "GT1", "IN1", "IN2", "IN3", "ROL", "MRG", "SCH"})


def _remembered(generator: Shaping) -> int:
    """How many different parts are remembered."""
    return 200 if generator.place.segment in _PERSONAL and not generator.place.field else 2000


_ARGUMENTS = "i, slot, L, S, F, I, R, W, C, D, X"


def _segment_unit(
    generator: Shaping, made: frozenset[str] | None
) -> tuple[tuple[str, ...], tuple[tuple[str, int, bool], ...]]:
    code = generator.code
    opened = [resource for resource in _resources(generator.everything, "key") if generator.key_lines(resource)]
    for at, resource in enumerate(opened):
        code.open(f"def open_{at}({_ARGUMENTS}):")
        code.put("f = F[i]")
        code.put("w = 0")
        code.put("id_ = ''")
        for line in generator.key_lines(resource):
            generator.put_key(line, "id_")
        code.open("if id_:")
        code.put("I[slot] = id_")
        start = generator.bind(b'{"reference":"' + resource.partition(":")[0].encode() + b"/")
        code.put(f"R[slot] = {start} + id_.encode() + b'\"}}'")
        code.put("W[i] |= w")
        code.close(2)
    fills = []
    everything = generator.everything
    for at, resource in enumerate(dict.fromkeys((*_resources(everything, "key"), *_resources(everything, "element")))):
        elements = generator.element_lines(resource)
        own = resource in generator.opened
        is_made = resource in opened and (made is None or resource in made)
        if is_made or (elements and not own):
            late = any(line.rule.transform.name == "targets" for line in elements)
            _put_fill(generator, at, resource, elements, own=own)
            fills.append((resource, at, late))
    return tuple(opened), tuple(fills)


def _put_fill(generator: Shaping, at: int, resource: str, lines: list[Line], *, own: bool) -> None:
    code = generator.code
    everything = generator.element_lines(resource, everything=True)
    fleeting_elements = {top_name(line.rule.target.steps) for line in everything if generator.fleeting(line)}
    type_ = resource.partition(":")[0]
    fleeting_choices = {choice_of(type_, name) for name in fleeting_elements} - {""}
    steady: list[Line] = []
    fleeting: list[Line] = []
    for line in lines:
        top = top_name(line.rule.target.steps)
        moves = top in fleeting_elements or choice_of(type_, top) in fleeting_choices
        (fleeting if moves else steady).append(line)
    if not own:
        fleeting, steady = lines, []
    key: list[str] = []
    if steady:
        generator.deps = set()
        code.open(f"def steady_{at}(key, rid, i, L, S, f, F, I, R, C):")
        code.put("e, d, clr, sl, w, M = {}, {}, (), {}, 0, []")
        code.put("before = len(PENDING)")
        for line in steady:
            generator.put_line(line)
        generator.put_elements(steady, resource, own=True)
        code.put("reports = tuple(PENDING[before:])")
        code.put("del PENDING[before:]")
        code.put("t = (e, w, d, clr, sl, reports, M)")
        code.put(f"if len(MEMO_{at}) > {_remembered(generator)}: MEMO_{at}.clear()")
        code.put(f"MEMO_{at}[key] = t")
        code.put("return t")
        code.close()
        key = sorted(generator.deps)
        generator.deps = None
        generator.bindings[f"MEMO_{at}"] = Binding("memo")
    code.open(f"def fill_{at}({_ARGUMENTS}):")
    code.put("rid = I[slot]")
    code.put("if rid is None: return")
    code.put("f = F[i]")
    if steady:
        code.put(f"key = ({', '.join(key)}{',' if key else ''})")
        call = f"steady_{at}(key, rid, i, L, S, f, F, I, R, C)"
        code.put(f"t = {call}" if generator.trace else f"t = MEMO_{at}.get(key) or {call}")
        code.put("e, w, d, clr, sl, reports, marks = t")
        code.put("e = e.copy()")
        if any(line.rule.target.default for line in fleeting):
            code.put("d = d.copy()")
        code.put("if reports: PENDING.extend(reports)")
        single = all(occurrence >= 0 for _, occurrence in generator.foreign)
        code.open("for at, bit in marks:")
        code.put("W[S[at]] |= bit" if single else "MARK(W, S[at], bit)")
        code.close()
    else:
        code.put("e, d, clr, sl, w = {}, {}, (), {}, 0")
    if not own:
        code.put("out = []")
    for line in fleeting:
        generator.put_line(line)
    generator.put_elements(fleeting, resource, own=own)
    if own:
        generator.put_required(resource)
        code.put(f"D[slot] = Draft({generator.bind(type_)}, rid, e, d, clr, sl)")
    else:
        code.put("if out or clr: X.append((slot, out, clr))")
    code.put("W[i] |= w")
    code.close()


def _field_unit(generator: Shaping) -> None:
    """One function for all rows of a field anchor, remembered by all that it reads."""
    code, lines, place = generator.code, generator.lines, generator.place
    opened = [resource for resource in _resources(generator.everything, "key") if generator.key_lines(resource)]
    others = [
        resource
        for resource in _resources(generator.everything, "element")
        if resource not in generator.opened and generator.element_lines(resource)
    ]
    generator.deps = set()
    merges = [line for line in lines if line.rule.target.role in MERGING]
    code.open("def build(key, a, i, L, S, f, F, I, R, C):")
    code.put("w, M, drafts, foreign, merged = 0, [], [], [], []")
    code.put("before = len(PENDING)")
    for at, resource in enumerate(opened):
        generator.local[resource] = f"id_{at}"
    for at, _ in enumerate(opened):
        code.put(f"id_{at} = ''")
    for at, resource in enumerate(opened):
        for line in generator.key_lines(resource):
            generator.put_key(line, f"id_{at}")
    for at, resource in enumerate(opened):
        code.open(f"if id_{at}:")
        code.put(f"rid = id_{at}")
        code.put("e, d, clr, sl = {}, {}, (), {}")
        elements = generator.element_lines(resource)
        for line in elements:
            generator.put_line(line)
        generator.put_elements(elements, resource, own=True)
        generator.put_required(resource)
        type_ = resource.partition(":")[0]
        reference = f"REFERENCE({generator.bind(type_)}, rid)"
        code.put(f"drafts.append(({generator.bind(type_)}, rid, e, d, clr, sl, {reference}))")
        code.close()
    for resource in others:
        slot = generator.slot(resource)
        generator.deps.add(f"(I[{slot}] is not None)")
        code.open(f"if I[{slot}] is not None:")
        code.put(f"out, clr, rid = [], (), I[{slot}]")
        elements = generator.element_lines(resource)
        for line in elements:
            generator.put_line(line)
        generator.put_elements(elements, resource, own=False)
        code.put(f"if out or clr: foreign.append(({generator.scope.index(resource)}, out, clr))")
        code.close()
    for line in merges:
        code.put("m = ''")
        generator.put_key(line, "m")
        slot = generator.slot(line.spec.resource)
        at = generator.scope.index(line.spec.resource)
        code.put(f"if m: merged.append(({generator.bind(line.rule.target.type)}, {at}, m, {_is_undo(line)}))")
        assert slot
    code.put("reports = tuple(PENDING[before:])")
    code.put("del PENDING[before:]")
    code.put("t = (drafts, foreign, merged, w, M, reports)")
    code.put(f"if len(MEMO) > {_remembered(generator)}: MEMO.clear()")
    code.put("MEMO[key] = t")
    code.put("return t")
    code.close()
    key = sorted(generator.deps | {"a"})
    generator.deps = None
    generator.bindings["MEMO"] = Binding("memo")
    code.open(f"def run({_ARGUMENTS}):")
    code.put("f = F[i]")
    code.put(f"whole = f[{place.field}]")
    code.put("if not whole or whole == DELETE: return")
    reps = "whole.split(REPETITION) if REPETITION in whole else (whole,)"
    code.open(f"for a in {reps}:" if place.every else f"for a in ({reps})[:1]:")
    code.put("if not a: continue")
    code.put(f"key = ({', '.join(key)},)")
    call = "build(key, a, i, L, S, f, F, I, R, C)"
    code.put(f"t = {call}" if generator.trace else f"t = MEMO.get(key) or {call}")
    code.put("drafts, foreign, merged, w, marks, reports = t")
    code.put("if drafts: C.loose += drafts")
    code.put("for at, out, clr in foreign: X.append((L[at], out, clr))")
    code.open("for type_, at, id_, undo in merged:")
    code.put("if I[L[at]]: C.merged.append((type_, I[L[at]], id_, undo))")
    code.close()
    code.put("for at, bit in marks: MARK(W, S[at], bit)")
    code.put("if reports: PENDING.extend(reports)")
    code.put("W[i] |= w")
    code.close(2)
    generator.reads[place.segment] = max(generator.reads.get(place.segment, 0), place.field)


def _put_merges(generator: Shaping) -> bool:
    """Merge and unmerge rows of a segment anchor."""
    merges = [line for line in generator.lines if line.rule.target.role in MERGING]
    if not merges:
        return False
    code = generator.code
    code.open(f"def merge({_ARGUMENTS}):")
    code.put("f, w = F[i], 0")
    for line in merges:
        code.put("m = ''")
        generator.put_key(line, "m")
        slot = generator.slot(line.spec.resource)
        said = f"({generator.bind(line.rule.target.type)}, I[{slot}], m, {_is_undo(line)})"
        code.put(f"if m and I[{slot}]: C.merged.append({said})")
    code.put("W[i] |= w")
    code.close()
    return True


def _is_undo(line: Line) -> bool:
    return line.rule.target.role == "unmerge"


def generate(
    place: Place,
    rules: list[Rule],
    *,
    kind: str,
    params: dict[str, str],
    slotted: set[tuple[str, str]],
    choices: dict[tuple[str, str], tuple[str, ...]],
    first_number: int = 0,
    trace: bool = False,
    base: Unit | None = None,
    special: Special | None = None,
    made: frozenset[str] | None = None,
) -> Unit:
    """The unit of one place; with `special`, made for messages of which that much is known (`base`: the general unit).

    `made`: the only resources that drafts are made of; None: all.

    Raises ShapeProblem when two rows want an element to be two things.
    """
    generator = Shaping(
        place,
        rules,
        kind=kind,
        params=params,
        slotted=slotted,
        choices=choices,
        numbers=count(first_number),
        trace=trace,
        base=base,
        special=special,
    )
    opens: tuple[str, ...] = ()
    fills: tuple[tuple[str, int, bool], ...] = ()
    merges = False
    if place.field:
        _field_unit(generator)
    else:
        opens, fills = _segment_unit(generator, made)
        merges = _put_merges(generator)
    return Unit(
        place,
        "\n".join(generator.code.lines) + "\n",
        generator.bindings,
        generator.lines,
        tuple(generator.foreign),
        tuple(generator.scope),
        opens,
        fills,
        merges,
        generator.reads,
    )

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

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hilum.mapping.conditions import CONSTANT_FALSE, CONSTANT_TRUE, condition_source
from hilum.mapping.elements import choice_of, shape
from hilum.mapping.rows import Rule
from hilum.mapping.syntax import Anchor, Call, Expression, Param, Path, Word, walk
from hilum.mapping.transforms import Spec
from hilum.mapping.tree import Each, Item, Leaf, Listing, Node, grow, top_name, wrap_of

__all__ = ["Binding", "Line", "Place", "Unit", "generate"]

# Datatypes whose texts differ from message to message: not worth remembering a whole part for.
_FLEETING = frozenset("NM SN SI DT DTM TS TM TX FT ED RP EI varies".split())
_FREE_FIELDS = frozenset({"OBX-5", "NTE-3"})
# Datatypes with few different texts: answers are remembered by row.
_REPEATED = frozenset("CWE CE CNE CF IS ID XCN CNN XON PL HD XAD DTM TS DT".split())


@dataclass(frozen=True)
class Place:
    """Where a unit runs: its segment, the anchors of its rows, and the field of a field anchor."""

    segment: str
    anchors: tuple[Anchor, ...]
    field: int = 0
    every: bool = False


@dataclass
class Line:
    """One row at one place."""

    number: int
    rule: Rule
    spec: Spec
    mode: str  # single, list, zip
    constant: bool  # reads nothing of the message

    @property
    def name(self) -> str:
        """Its variable in the generated code."""
        return f"r{self.number}"


@dataclass(frozen=True)
class Binding:
    """How a name in the source gets its value for one sender."""

    kind: str  # value, evaluator, memory, key, missing, default, const, first, counter, received, targets, required, incomplete
    line: Line | None = None
    at: int = 0
    value: Any = None


@dataclass
class Unit:
    """Source and what binding and running it need."""

    place: Place
    source: str
    bindings: dict[str, Binding]
    lines: list[Line]
    foreign: tuple[tuple[str, int], ...]  # segments looked up: (name, occurrence)
    scope: tuple[str, ...]  # resources looked up
    opens: tuple[str, ...] = ()  # resources that its key rows open, in order
    fills: tuple[tuple[str, bool], ...] = ()  # (resource, late) in order; function `fill_<n>`
    merges: bool = False
    reads: dict[str, int] = field(default_factory=dict)  # segment -> highest field read


class _Code:
    """Lines of source at a level of indentation."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.level = 0

    def put(self, text: str) -> None:
        self.lines.append("    " * self.level + text)

    def open(self, text: str) -> None:
        self.put(text)
        self.level += 1

    def close(self, levels: int = 1) -> None:
        self.level -= levels


class _Generator:
    def __init__(
        self,
        place: Place,
        rules: list[Rule],
        *,
        kind: str,
        params: dict[str, str],
        slotted: set[tuple[str, str]],
        choices: dict[tuple[str, str], tuple[str, ...]],
        numbers: Iterable[int],
        trace: bool,
    ) -> None:
        self.place, self.trace, self.kind, self.params = place, trace, kind, params
        self.slotted, self.choices = slotted, choices
        self.code = _Code()
        self.bindings: dict[str, Binding] = {}
        self.foreign: list[tuple[str, int]] = []
        self.scope: list[str] = []
        self.reads: dict[str, int] = {}
        self._names = count()
        self._constants: dict[Any, str] = {}
        self.local: dict[str, str] = {}  # resource -> variable with its id, in a field unit
        self.deps: set[str] | None = None  # raw reads of the lines being written, while they are remembered
        numbered = iter(numbers)
        self.lines = [line for line in (self._line(next(numbered), rule) for rule in rules) if line is not None]

    # -- lines -------------------------------------------------------------------------------------------------

    def _line(self, number: int, rule: Rule) -> Line | None:
        if self.condition(rule) == CONSTANT_FALSE:
            return None
        target = rule.target
        step = next((step for step in target.steps if step.item and step.item.startswith("+")), None)
        mode = "single" if step is None else "list" if step.item == "+" else "zip"
        known = shape(target.type)
        element = target.steps[0].name if target.steps else ""
        choice = choice_of(target.type, element)
        wanted = known.required if known else ()
        required = not target.steps or element in wanted or (bool(choice) and f"{choice}[x]" in wanted)
        location = f"{self.place.segment}-{self.place.field}" if self.place.field else ""
        for path in rule.paths(source_only=True):
            if path.segment:
                location = f"{path.segment}-{path.field}"
            break
        row = rule.row
        spec = Spec(
            row.row_id,
            row.owner,
            location or self.place.segment,
            row.type or "ST",
            rule.transform.name,
            rule.transform.args,
            rule.transform.named,
            row.map,
            rule.unmapped,
            element,
            required,
            target.resource,
        )
        constant = not any(True for _ in rule.paths()) and rule.transform.name == "const"
        return Line(number, rule, spec, mode, constant)

    def fleeting(self, line: Line) -> bool:
        """Whether it is written anew each time rather than remembered with its part."""
        rule = line.rule
        if rule.transform.name in ("targets", "received", "value", "SN") or rule.row.type in _FLEETING:
            return True
        if rule.row.type == "CX" and self.place.segment != "PID":
            return True
        if rule.transform.name == "ref" and not rule.alternatives:
            return True
        for expression in (*rule.alternatives, rule.transform, rule.when):
            for part in walk(expression):
                if isinstance(part, Call) and part.name == "made":
                    return True
                if isinstance(part, Path) and (part.occurrence < 0 or f"{part.segment}-{part.field}" in _FREE_FIELDS):
                    return True
        return False

    # -- names -------------------------------------------------------------------------------------------------

    def name(self, prefix: str, binding: Binding) -> str:
        found = f"{prefix}{next(self._names)}"
        self.bindings[found] = binding
        return found

    def bind(self, value: object) -> str:
        try:
            key = (type(value), value)
            found = self._constants.get(key)
        except TypeError:
            return self.name("k", Binding("value", value=value))
        if found is None:
            found = self._constants[key] = self.name("k", Binding("value", value=value))
        return found

    def known(self, expression: Expression) -> str | None:
        if isinstance(expression, Param):
            return self.params.get(expression.name, "")
        if isinstance(expression, Word):
            if expression.name == "kind":
                return self.kind
            if expression.name == "event":
                return self.kind.partition("^")[2]
            return self._sender_word(expression.name)
        return None

    def _sender_word(self, name: str) -> str | None:
        return None if name in ("sender", "source") else name

    # -- reading -----------------------------------------------------------------------------------------------

    def is_own(self, path: Path) -> bool:
        return path.segment == self.place.segment and path.occurrence == 0

    def lookup(self, path: Path) -> int:
        key = (path.segment, path.occurrence)
        if key not in self.foreign:
            self.foreign.append(key)
        return self.foreign.index(key)

    def raw(self, path: Path) -> str:
        """Code for the raw text of a field."""
        if not path.segment:
            code = "a"
        elif self.is_own(path):
            self.reads[path.segment] = max(self.reads.get(path.segment, 0), path.field)
            code = f"f[{path.field}]"
        else:
            self.reads[path.segment] = max(self.reads.get(path.segment, 0), path.field)
            at = self.lookup(path)
            code = f"JOIN(F, S[{at}], {path.field})" if path.occurrence < 0 else f"F[S[{at}]][{path.field}]"
        if self.deps is not None:
            self.deps.add(code)
        return code

    def text(self, path: Path) -> str:
        raw = self.raw(path)
        if path.component <= 1 and path.sub == 0 and path.repetition <= 1:
            return f"({raw} if {raw}.isalnum() else FIRST({raw}))"
        return f"{self.name('g', Binding('first', value=path))}({raw})"

    def present(self, path: Path) -> str:
        if path.segment == self.place.segment:
            return CONSTANT_TRUE
        return f"(S[{self.lookup(path)}] != -1)" if path.occurrence >= 0 else f"bool(S[{self.lookup(path)}])"

    def segments(self, path: Path) -> str:
        return f"len(S[{self.lookup(Path(path.segment, -1))}])"

    def counter(self, path: Path) -> str:
        return f"{self.name('n', Binding('counter', value=path))}({self.raw(path)})"

    def slot(self, resource: str) -> str:
        if resource not in self.scope:
            self.scope.append(resource)
        return f"L[{self.scope.index(resource)}]"

    def made(self, resource: str) -> str:
        if resource in self.local:
            return f"bool({self.local[resource]})"
        code = f"(I[{self.slot(resource)}] is not None)"
        if self.deps is not None:
            self.deps.add(code)
        return code

    def condition(self, rule: Rule) -> str:
        return condition_source(rule.when, self)

    # -- marks -------------------------------------------------------------------------------------------------

    def marks(self, paths: Iterable[Path]) -> tuple[int, list[tuple[int, int]]]:
        """(bits of own fields, (lookup, bit) of others)."""
        own = 0
        others: list[tuple[int, int]] = []
        for path in paths:
            if not path.segment:
                own |= 1 << self.place.field
            elif not path.field:
                continue
            elif self.is_own(path):
                own |= 1 << path.field
            else:
                others.append((self.lookup(path), 1 << path.field))
        return own, others

    def put_marks(self, line: Line, paths: list[Path]) -> None:
        own, others = self.marks(paths)
        if own:
            self.code.put(f"w |= {own}")
        for at, bit in sorted(set(others)):
            if self.deps is not None:  # remembered: which segment it is, is told when it is used
                self.code.put(f"M.append(({at}, {bit}))")
            elif self.foreign[at][1] < 0:
                self.code.put(f"MARK(W, S[{at}], {bit})")
            else:
                self.code.put(f"W[S[{at}]] |= {bit}")

    def _paths_of(self, line: Line, alternative: Expression | None) -> list[Path]:
        rule = line.rule
        found = [part for part in walk(alternative) if isinstance(part, Path)]
        found += [part for part in walk(rule.transform) if isinstance(part, Path)]
        found += [part for part in walk(rule.when) if isinstance(part, Path)]
        return found

    # -- one line ----------------------------------------------------------------------------------------------

    def put_line(self, line: Line) -> None:
        """Code that leaves the line's value in its variable (false when nothing is written)."""
        rule, put, var = line.rule, self.code.put, line.name
        condition = self.condition(rule)
        put(f"{var} = None")
        levels = 0
        if condition != CONSTANT_TRUE:
            self.code.open(f"if {condition}:")
            levels = 1
        name = rule.transform.name
        if name in ("const", "ref", "targets", "received", "clear") and not rule.alternatives:
            self._put_sourceless(line)
        else:
            for at, alternative in enumerate(rule.alternatives):
                if at:
                    self.code.open(f"if {var} is None:")
                self._put_alternative(line, at, alternative)
            self.code.close(len(rule.alternatives) - 1)
            self._put_missing(line)
        self.code.close(levels)
        if self.trace:
            put(f"if {var}: TRACE({line.number}, {var}, i, rid)")

    def _put_sourceless(self, line: Line) -> None:
        rule, put, var = line.rule, self.code.put, line.name
        name = rule.transform.name
        if name == "const":
            put(f"{var} = {self.name('c', Binding('const', line))}")
        elif name == "ref":
            argument = rule.transform.args[0]
            assert isinstance(argument, Word)
            code = self._reference(argument.name)
            if line.mode == "single":
                put(f"{var} = {code}")
            else:
                wrapped = self.name("u", Binding("wrap", line))
                put(f"{var} = {wrapped}({code})")
        elif name == "received":
            put(f"{var} = RECEIVED(C)")
        elif name == "targets":
            put(f"{var} = {self.name('u', Binding('targets', line))}(R, C, rid)")
        else:
            put(f"clr += ({self.bind(self._cleared(line))},)")
        paths = [path for path in self._paths_of(line, None) if not path.segment or path.field]
        if paths:
            self.code.open(f"if {var}:" if name not in ("clear", "const") else "if True:")
            self.put_marks(line, paths)
            self.code.close()

    def _reference(self, resource: str) -> str:
        if resource in self.local:
            return f"REFERENCE({self.bind(resource.partition(':')[0])}, {self.local[resource]})"
        code = f"R[{self.slot(resource)}]"
        if self.deps is not None:
            self.deps.add(code)
        return code

    def _put_alternative(self, line: Line, at: int, alternative: Expression) -> None:
        put, var, rule = self.code.put, line.name, line.rule
        paths = [part for part in walk(alternative) if isinstance(part, Path)]
        arguments = [value for value in (*rule.transform.args, *(v for _, v in rule.transform.named)) if isinstance(value, Path)]
        extra = "".join(f", {self.raw(path)}" for path in arguments)
        function = self.name("e", Binding("evaluator", line, at))
        if isinstance(alternative, Path):
            put(f"x = {self.raw(alternative)}")
            self.code.open("if x:")
            if not self.trace and not arguments and rule.row.type in _REPEATED and rule.row.type:
                memory = self.name("m", Binding("memory", line, at))
                put(f"{var} = {memory}(x)")
                put(f"if {var} is None: {var} = {function}(x)")
            else:
                put(f"{var} = {function}(x{extra})")
        else:
            self.code.open("if True:")
            given = ", ".join(self.raw(path) for path in paths)
            put(f"{var} = {function}({given}{extra if given else extra[2:]})")
        self.code.open(f"if {var}:")
        before = len(self.code.lines)
        self.put_marks(line, self._paths_of(line, alternative))
        if len(self.code.lines) == before:
            put("pass")
        self.code.close()
        if isinstance(alternative, Path):
            self._put_deleted(line, paths)
        self.code.close()

    def _put_missing(self, line: Line) -> None:
        rule, put, var = line.rule, self.code.put, line.name
        if rule.missing == "skip":
            return
        if rule.missing.startswith("default:"):
            put(f"if {var} is None: {var} = {self.name('c', Binding('default', line))}")
        else:
            put(f"if {var} is None: {self.name('q', Binding('missing', line))}()")

    def _put_deleted(self, line: Line, paths: list[Path]) -> None:
        self.code.open(f"elif {line.name} is DELETED:")
        self.code.put(f"clr += ({self.bind(self._cleared(line))},)")
        self.put_marks(line, paths)
        self.code.close()

    def _cleared(self, line: Line) -> str:
        """What `""` takes away: the element, one slot of it, or (inside an object) the dotted part."""
        target, rule = line.rule.target, line.rule
        top = top_name(target.steps)
        known = shape(target.type)
        if (target.resource, top) in self.slotted and rule.field:
            return f"{top}#{rule.field}"
        if len(target.steps) > 1 and known and top in known.singles:
            return ".".join(step.name for step in target.steps)
        return top

    # -- elements ----------------------------------------------------------------------------------------------

    def put_elements(self, lines: list[Line], resource: str, *, own: bool) -> None:
        """Code that puts what the lines wrote into e (elements), d (defaults), clr and sl; or, not own, into X."""
        by_number = {line.number: line for line in lines}
        for default in (False, True):
            tree = Node()
            for line in lines:
                if line.rule.target.default == default and line.rule.transform.name != "clear":
                    grow(tree, line.rule.target.steps, line.number, line.rule.target.type)
            chosen: set[str] = set()
            for name, member in tree.members.items():
                choice = choice_of(resource.partition(":")[0], name)
                if isinstance(member, Leaf) and choice and not default:
                    if choice not in chosen:
                        chosen.add(choice)
                        self._put_choice(tree, choice, resource, by_number, own=own)
                elif isinstance(member, Leaf):
                    self._put_top_leaf(name, member, own=own, into="d" if default else "e")
                elif isinstance(member, Node):
                    var = self._put_object(member, by_number, {})
                    self.code.open(f"if {var}:")
                    self._store(name, var, own=own, into="d" if default else "e")
                    if choice and not default:
                        self._put_others(resource, choice, name)
                    self.code.close()
                else:
                    self._put_top_list(name, member, by_number, resource, own=own, into="d" if default else "e")

    def _store(self, name: str, code: str, *, own: bool, into: str) -> None:
        key = self.bind(name)
        if own:
            self.code.put(f"{into}[{key}] = Raw({code})")
        else:
            self.code.put(f"out.append(({key}, {code}, (), {into == 'd'}))")

    def _put_top_leaf(self, name: str, leaf: Leaf, *, own: bool, into: str) -> None:
        for at, number in enumerate(leaf.lines):
            self.code.open(f"{'elif' if at else 'if'} r{number}:")
            self._store(name, f"r{number}", own=own, into=into)
            self.code.close()

    def _put_choice(self, tree: Node, choice: str, resource: str, lines: dict[int, Line], *, own: bool) -> None:
        """Only one `value[x]`: the first that was written; the others are cleared."""
        first = True
        type_ = resource.partition(":")[0]
        for name, member in tree.members.items():
            if not isinstance(member, Leaf) or choice_of(type_, name) != choice:
                continue
            for number in member.lines:
                self.code.open(f"{'if' if first else 'elif'} r{number}:")
                first = False
                if name.endswith("[x]"):
                    key = f"{self.bind(choice)} + r{number}[0]"
                    if own:
                        self.code.put(f"e[{key}] = Raw(r{number}[1])")
                    else:
                        self.code.put(f"out.append(({key}, r{number}[1], (), False))")
                    others = self.choices.get((resource, choice), ())
                    self.code.put(f"clr += OTHERS({self.bind(others)}, {key})")
                else:
                    self._store(name, f"r{number}", own=own, into="e")
                    self._put_others(resource, choice, name)
                self.code.close()

    def _put_others(self, resource: str, choice: str, name: str) -> None:
        others = tuple(other for other in self.choices.get((resource, choice), ()) if other != name)
        if others:
            self.code.put(f"clr += {self.bind(others)}")

    def _put_top_list(
        self, name: str, listing: Listing, lines: dict[int, Line], resource: str, *, own: bool, into: str
    ) -> None:
        put = self.code.put
        slotted = (resource, name) in self.slotted
        only = listing.parts[0] if len(listing.parts) == 1 else None
        if isinstance(only, Each) and own:
            key, value = self.bind(name), f"r{only.line}"
            self.code.open(f"if {value}:")
            put(f"{into}[{key}] = Raw(b'[' + (b','.join({value}) if len({value}) > 1 else {value}[0]) + b']')")
            if slotted and into == "e":
                source = self.bind(self._slot_of(only, lines))
                put(f"sl = {{**sl, {key}: (({source}, len({value})),)}}")
            self.code.close()
            return
        var = f"l{next(self._names)}"
        put(f"{var} = []")
        if slotted:
            put(f"{var}s = []")
        for part in listing.parts:
            if slotted:
                put(f"n = len({var})")
            self._put_part(part, var, lines)
            if slotted:
                source = self._slot_of(part, lines)
                put(f"if len({var}) > n: {var}s.append(({self.bind(source)}, len({var}) - n))")
        self.code.open(f"if {var}:")
        key = self.bind(name)
        slots = f"SLOTS({var}s)" if slotted else "()"
        if own:
            put(f"{into}[{key}] = Raw(b'[' + b','.join({var}) + b']')")
            if slotted and into == "e":
                put(f"sl = {{**sl, {key}: {slots}}}")
        else:
            put(f"out.append(({key}, {var}, {slots}, {into == 'd'}))")
        self.code.close()

    def _slot_of(self, part: Each | Item, lines: dict[int, Line]) -> str:
        numbers = [part.line] if isinstance(part, Each) else part.node.lines()
        for number in numbers:
            if lines[number].rule.field:
                return lines[number].rule.field
        return lines[numbers[0]].rule.row.row_id

    def _put_part(self, part: Each | Item, into: str, lines: dict[int, Line], values: dict[int, str] | None = None) -> None:
        put = self.code.put
        values = values or {}
        if isinstance(part, Each):
            value = values.get(part.line, f"r{part.line}")
            if lines[part.line].mode == "zip":
                before, after = wrap_of(lines[part.line].rule.target.steps)
                put(f"if {value}: {into}.append({self.bind(before)} + {value} + {self.bind(after)})")
            else:
                put(f"if {value}: {into} += {value}")
            return
        if not part.zipped:
            var = self._put_object(part.node, lines, values)
            put(f"if {var}: {into}.append({var})")
            return
        numbers = part.node.lines()
        listed = [number for number in numbers if not self._is_plain(lines[number])]
        lengths = ", ".join(f"len(r{number} or ())" for number in listed)
        self.code.open(f"for j in range(max(({lengths},))):" if listed else "for j in range(1):")
        inner = {}
        for number in listed:
            inner[number] = f"y{number}"
            put(f"y{number} = r{number}[j] if r{number} and j < len(r{number}) else b''")
        var = self._put_object(part.node, lines, inner)
        put(f"if {var}: {into}.append({var})")
        self.code.close()

    def _is_plain(self, line: Line) -> bool:
        """Whether its value is one value, the same for every zipped item."""
        return not line.rule.alternatives

    def _put_object(self, node: Node, lines: dict[int, Line], values: dict[int, str]) -> str:
        """Code that leaves the JSON of an object in a variable, b"" when it is not to be written."""
        put = self.code.put
        var = f"o{next(self._names)}"
        put(f"{var} = []")
        have: dict[str, str] = {}
        for name, member in node.members.items():
            prefix = f'"{name}":'.encode()
            if isinstance(member, Leaf):
                have[name] = self._put_leaf(name, prefix, member, var, values)
            elif isinstance(member, Node):
                inner = self._put_object(member, lines, values)
                put(f"if {inner}: {var}.append({self.bind(prefix)} + {inner})")
                have[name] = inner
            else:
                items = f"{var}_{next(self._names)}"
                put(f"{items} = []")
                for part in member.parts:
                    self._put_part(part, items, lines, values)
                put(f"if {items}: {var}.append({self.bind(prefix + b'[')} + b','.join({items}) + b']')")
                have[name] = items
        guard = self._guard(node, lines, values, have, var)
        head = b"{" + (b'"url":"%b",' % node.url.encode() if node.url else b"")
        put(f"{var} = {self.bind(head)} + b','.join({var}) + b'}}' if {guard} else b''")
        return var

    def _put_leaf(self, name: str, prefix: bytes, leaf: Leaf, var: str, values: dict[int, str]) -> str:
        for at, number in enumerate(leaf.lines):
            value = values.get(number, f"r{number}")
            self.code.open(f"{'elif' if at else 'if'} {value}:")
            if name.endswith("[x]"):
                start = self.bind(f'"{name[:-3]}')
                self.code.put(f"{var}.append(({start} + {value}[0] + '\":').encode() + {value}[1])")
            else:
                self.code.put(f"{var}.append({self.bind(prefix)} + {value})")
            self.code.close()
        return "(" + " or ".join(values.get(number, f"r{number}") for number in leaf.lines) + ")"

    def _guard(self, node: Node, lines: dict[int, Line], values: dict[int, str], have: dict[str, str], var: str) -> str:
        """When the object is written: a line that reads the message wrote in it (if it has any), and no required part lacks."""
        numbers = node.lines()
        speaking = [number for number in numbers if not lines[number].constant]
        tests = [var]
        if len(speaking) < len(numbers) and speaking:
            tests.append("(" + " or ".join(values.get(number, f"r{number}") for number in speaking) + ")")
        missing = [name for name in node.required if name in have]
        if missing:
            wrote = " and ".join(tests)
            lacks = " and ".join(have[name] for name in missing)
            reporter = self.name("q", Binding("incomplete", lines[numbers[0]], value=tuple(missing)))
            return f"(({wrote}) and (({lacks}) or {reporter}()))"
        return " and ".join(tests)

    # -- functions ---------------------------------------------------------------------------------------------

    def key_lines(self, resource: str) -> list[Line]:
        return [line for line in self.lines if line.rule.target.role == "key" and line.spec.resource == resource]

    def element_lines(self, resource: str) -> list[Line]:
        return [line for line in self.lines if line.rule.target.role == "element" and line.spec.resource == resource]

    def put_key(self, line: Line, var: str) -> None:
        """Code that sets `var` to the id that one key row gives, "" for none."""
        rule, put = line.rule, self.code.put
        condition = self.condition(rule)
        self.code.open(f"if not {var} and {condition}:" if condition != CONSTANT_TRUE else f"if not {var}:")
        owner = self._owner(rule)
        put("v = None")
        for at, alternative in enumerate(rule.alternatives):
            paths = [part for part in walk(alternative) if isinstance(part, Path)]
            texts = ", ".join(self.raw(path) for path in paths)
            function = self.name("e", Binding("key", line, at))
            self.code.open("if v is None:")
            put(f"v = {function}({owner}{', ' if texts else ''}{texts})")
            self.code.open("if v:")
            put(f"{var} = v")
            self.put_marks(line, self._paths_of(line, alternative))
            put("pass")
            self.code.close(2)
        if rule.missing in ("exception", "reject"):
            put(f"if v is None: {self.name('q', Binding('missing', line))}()")
        if self.trace:
            put(f"if v: TRACE({line.number}, v, i, v)")
        self.code.close()

    def _owner(self, rule: Rule) -> str:
        for name, value in rule.transform.named:
            if name == "of" and isinstance(value, Word) and value.name == "sender":
                return "SENDER"
            if name == "of" and isinstance(value, Word):
                if value.name in self.local:
                    return self.local[value.name]
                code = f"I[{self.slot(value.name)}]"
                if self.deps is not None:
                    self.deps.add(code)
                return code
        return "''"

    def put_required(self, resource: str, lines: list[Line], skip: set[str]) -> None:
        """Code that holds the message when the rows of a required element wrote nothing."""
        type_ = resource.partition(":")[0]
        known = shape(type_)
        for wanted in known.required if known else ():
            choice = wanted.removesuffix("[x]") if wanted.endswith("[x]") else ""
            mine = [
                line
                for line in lines
                if (choice_of(type_, line.spec.element) == choice if choice else line.spec.element == wanted)
            ]
            if not mine or wanted in skip:
                continue
            reporter = self.name("q", Binding("required", mine[0], value=wanted))
            if choice:
                self.code.put(f"if not any(name.startswith({self.bind(choice)}) for name in (*e, *d)): {reporter}()")
            else:
                key = self.bind(wanted)
                self.code.put(f"if {key} not in e and {key} not in d: {reporter}()")


def _resources(lines: list[Line], role: str) -> list[str]:
    return list(dict.fromkeys(line.spec.resource for line in lines if line.rule.target.role == role))


_ARGUMENTS = "i, slot, L, S, F, I, R, W, C, D, X"


def _segment_unit(generator: _Generator) -> tuple[tuple[str, ...], tuple[tuple[str, bool], ...]]:
    code, lines = generator.code, generator.lines
    opened = _resources(lines, "key")
    for at, resource in enumerate(opened):
        code.open(f"def open_{at}({_ARGUMENTS}):")
        code.put("f = F[i]")
        code.put("w = 0")
        code.put("id_ = ''")
        for line in generator.key_lines(resource):
            generator.put_key(line, "id_")
        code.open("if id_:")
        if any(Word("each") in line.rule.transform.args for line in generator.key_lines(resource)):
            code.put(f"id_ = EACH(C, {generator.bind(resource.partition(':')[0])}, id_)")
        code.put("I[slot] = id_")
        code.put(f"R[slot] = REFERENCE({generator.bind(resource.partition(':')[0])}, id_)")
        code.put("W[i] |= w")
        code.close(2)
    fills = []
    for at, resource in enumerate(dict.fromkeys((*opened, *_resources(lines, "element")))):
        elements = generator.element_lines(resource)
        own = resource in opened
        late = any(line.rule.transform.name == "targets" for line in elements)
        _put_fill(generator, at, resource, elements, own=own)
        fills.append((resource, late))
    return tuple(opened), tuple(fills)


def _put_fill(generator: _Generator, at: int, resource: str, lines: list[Line], *, own: bool) -> None:
    code = generator.code
    fleeting_elements = {top_name(line.rule.target.steps) for line in lines if generator.fleeting(line)}
    type_ = resource.partition(":")[0]
    fleeting_choices = {choice_of(type_, name) for name in fleeting_elements} - {""}
    steady, fleeting = [], []
    for line in lines:
        top = top_name(line.rule.target.steps)
        moves = top in fleeting_elements or choice_of(type_, top) in fleeting_choices
        (fleeting if moves else steady).append(line)
    if not own:
        fleeting, steady = lines, []
    key: list[str] = []
    if steady:
        generator.deps = set()
        start = len(code.lines)
        code.open(f"def steady_{at}(key, rid, i, L, S, f, F, I, R, C):")
        code.put("e, d, clr, sl, w, M = {}, {}, (), {}, 0, []")
        code.put("before = len(PENDING)")
        for line in steady:
            generator.put_line(line)
        generator.put_elements(steady, resource, own=True)
        code.put("reports = tuple(PENDING[before:])")
        code.put("del PENDING[before:]")
        code.put("t = (e, w, d, clr, sl, reports, M)")
        code.put(f"if len(MEMO_{at}) > 4096: MEMO_{at}.clear()")
        code.put(f"MEMO_{at}[key] = t")
        code.put("return t")
        code.close()
        key = sorted(generator.deps)
        generator.deps = None
        generator.bindings[f"MEMO_{at}"] = Binding("memo")
        assert len(code.lines) > start
    code.open(f"def fill_{at}({_ARGUMENTS}):")
    code.put("rid = I[slot]")
    code.put("if rid is None: return")
    code.put("f = F[i]")
    if steady:
        code.put(f"key = ({', '.join(key)}{',' if key else ''})")
        call = f"steady_{at}(key, rid, i, L, S, f, F, I, R, C)"
        code.put(f"t = {call}" if generator.trace else f"t = MEMO_{at}.get(key) or {call}")
        code.put("e, w, d, clr, sl, reports, marks = t")
        if fleeting:
            code.put("e = e.copy()")
            if any(line.rule.target.default for line in fleeting):
                code.put("d = d.copy()")
        else:
            code.put("e = e.copy()")
        code.put("if reports: PENDING.extend(reports)")
        code.open("for at, bit in marks:")
        code.put("MARK(W, S[at], bit)")
        code.close()
    else:
        code.put("e, d, clr, sl, w = {}, {}, (), {}, 0")
    if not own:
        code.put("out = []")
    for line in fleeting:
        generator.put_line(line)
    generator.put_elements(fleeting, resource, own=own)
    if own:
        generator.put_required(resource, lines, set())
        code.put(f"D[slot] = Draft({generator.bind(type_)}, rid, e, d, clr, sl)")
    else:
        code.put("if out or clr: X.append((slot, out, clr))")
    code.put("W[i] |= w")
    code.close()


def _field_unit(generator: _Generator) -> None:
    """One function for all rows of a field anchor, remembered by all that it reads."""
    code, lines, place = generator.code, generator.lines, generator.place
    opened = _resources(lines, "key")
    others = [resource for resource in _resources(lines, "element") if resource not in opened]
    generator.deps = set()
    merges = [line for line in lines if line.rule.target.role == "merge"]
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
        generator.put_required(resource, elements, set())
        code.put(f"drafts.append(({generator.bind(resource.partition(':')[0])}, rid, e, d, clr, sl))")
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
        code.put(f"if m: merged.append(({generator.bind(line.rule.target.type)}, {at}, m))")
        assert slot
    code.put("reports = tuple(PENDING[before:])")
    code.put("del PENDING[before:]")
    code.put("t = (drafts, foreign, merged, w, M, reports)")
    code.put("if len(MEMO) > 4096: MEMO.clear()")
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
    code.open("for type_, at, id_ in merged:")
    code.put("if I[L[at]]: C.merged.append((type_, I[L[at]], id_))")
    code.close()
    code.put("for at, bit in marks: MARK(W, S[at], bit)")
    code.put("if reports: PENDING.extend(reports)")
    code.put("W[i] |= w")
    code.close(2)
    generator.reads[place.segment] = max(generator.reads.get(place.segment, 0), place.field)


def _put_merges(generator: _Generator) -> bool:
    """Merge rows of a segment anchor."""
    merges = [line for line in generator.lines if line.rule.target.role == "merge"]
    if not merges:
        return False
    code = generator.code
    code.open(f"def merge({_ARGUMENTS}):")
    code.put("f, w = F[i], 0")
    for line in merges:
        code.put("m = ''")
        generator.put_key(line, "m")
        slot = generator.slot(line.spec.resource)
        code.put(f"if m and I[{slot}]: C.merged.append(({generator.bind(line.rule.target.type)}, I[{slot}], m))")
    code.put("W[i] |= w")
    code.close()
    return True


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
) -> Unit:
    """The unit of one place. Raises ShapeProblem when two rows want an element to be two things."""
    generator = _Generator(
        place, rules, kind=kind, params=params, slotted=slotted, choices=choices, numbers=count(first_number), trace=trace
    )
    opens: tuple[str, ...] = ()
    fills: tuple[tuple[str, bool], ...] = ()
    merges = False
    if place.field:
        _field_unit(generator)
    else:
        opens, fills = _segment_unit(generator)
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



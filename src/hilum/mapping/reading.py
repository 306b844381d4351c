"""The first half of code generation: how the rows of one place read the message."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

from hilum.mapping.conditions import CONSTANT_FALSE, CONSTANT_TRUE, condition_source
from hilum.mapping.elements import is_simple_quantity
from hilum.mapping.rows import Rule
from hilum.mapping.syntax import Call, Expression, Param, Path, Word, walk
from hilum.mapping.transforms import Spec
from hilum.mapping.unit import Binding, Line, Place, Special, Unit

__all__ = ["Code", "Reading"]

# Datatypes whose texts differ from message to message: not worth remembering a whole part for.
_FLEETING_WORDS = "NM SN SI DT DTM TS TM TX FT ED RP EI varies"
_FLEETING = frozenset(_FLEETING_WORDS.split())
_FREE_FIELDS = frozenset({"OBX-5", "NTE-3"})


class Code:
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


class Reading:
    """Names, constants and lookups of one unit; it is the `Site` of its conditions."""

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
        base: Unit | None,
        special: Special | None,
    ) -> None:
        self.place, self.trace, self.kind, self.params = place, trace, kind, params
        self.special = special
        self.slotted, self.choices = slotted, choices
        self.code = Code()
        self.bindings: dict[str, Binding] = {}
        self.foreign: list[tuple[str, int]] = list(base.foreign) if base else []
        self.scope: list[str] = list(base.scope) if base else []
        self.reads: dict[str, int] = {}
        self._names = count()
        self._constants: dict[Any, str] = {}
        self.local: dict[str, str] = {}  # resource -> variable with its id, in a field unit
        self.deps: set[str] | None = None  # raw reads of the lines being written, while they are remembered
        self.opened = {rule.target.resource for rule in rules if rule.target.role == "key"}
        self.absent_lines: list[Line] = []  # lines of the general code that cannot write in such messages
        numbered = iter(numbers)
        self.lines = [line for line in (self._line(next(numbered), rule) for rule in rules) if line is not None]
        self.everything = sorted((*self.lines, *self.absent_lines), key=lambda line: line.number)

    # -- lines -------------------------------------------------------------------------------------------------

    def _line(self, number: int, rule: Rule) -> Line | None:
        """The row as a line; None when it can write nothing: never, or (kept in `absent_lines`) in such messages."""
        special, self.special = self.special, None
        never = self.condition(rule) == CONSTANT_FALSE
        self.special = special
        if never:
            return None
        line = self._made_line(number, rule)
        if self.condition(rule) == CONSTANT_FALSE or self._is_mute(line):
            self.absent_lines.append(line)
            return None
        return line

    def _made_line(self, number: int, rule: Rule) -> Line:
        target = rule.target
        step = next((step for step in target.steps if step.item and step.item.startswith("+")), None)
        mode = "single" if step is None else "list" if step.item == "+" else "zip"
        element = target.steps[0].name if target.steps else ""
        location = f"{self.place.segment}-{self.place.field}" if self.place.field else ""
        for path in rule.paths(source_only=True):
            if path.segment:
                location = path.place
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
            target.resource,
            bool(target.steps) and is_simple_quantity(target.type, target.steps[-1].name),
        )
        constant = not any(True for _ in rule.paths()) and rule.transform.name == "const"
        return Line(number, rule, spec, mode, constant, self._alternatives(rule))

    def _alternatives(self, rule: Rule) -> list[tuple[int, Expression]]:
        found = []
        for at, alternative in enumerate(rule.alternatives):
            paths = [part for part in walk(alternative) if isinstance(part, Path)]
            if not paths or not all(map(self.absent, paths)):
                found.append((at, alternative))
        return found

    def _is_mute(self, line: Line) -> bool:
        """Whether it is known already that the line writes nothing and says nothing."""
        rule = line.rule
        if rule.transform.name == "ref" and not rule.alternatives and isinstance(rule.transform.args[0], Word):
            return self.unreachable(rule.transform.args[0].name)
        return bool(rule.alternatives) and not line.alternatives and rule.missing == "skip"

    def absent(self, path: Path) -> bool:
        """Whether a field is known not to be valued."""
        bits = self._bits(path)
        return bits is not None and (bits < 0 or not bits >> path.field & 1)

    def _bits(self, path: Path) -> int | None:
        if self.special is None or not path.segment:
            return None
        if self.is_own(path):
            return self.special.own
        key = (path.segment, path.occurrence)
        at = self.foreign.index(key) if key in self.foreign else -1
        return self.special.foreign[at] if 0 <= at < len(self.special.foreign) else None

    def unreachable(self, resource: str) -> bool:
        """Whether a resource is known to have no place in the message."""
        if self.special is None or resource in self.opened or resource not in self.scope:
            return False
        at = self.scope.index(resource)
        return at < len(self.special.scope) and not self.special.scope[at]

    def fleeting(self, line: Line) -> bool:
        """Whether it is written anew each time rather than remembered with its part."""
        rule = line.rule
        if rule.transform.name in ("targets", "received", "value", "SN", "copy") or rule.row.type in _FLEETING:
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
        if isinstance(expression, Path) and expression.field and self.absent(expression):
            return ""
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
        bits = self._bits(path)
        if bits is not None:
            return CONSTANT_FALSE if bits < 0 else CONSTANT_TRUE
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
        if self.unreachable(resource):
            return CONSTANT_FALSE
        code = f"(I[{self.slot(resource)}] is not None)"
        if self.deps is not None:
            self.deps.add(code)
        return code

    def condition(self, rule: Rule) -> str:
        return condition_source(rule.when, self)

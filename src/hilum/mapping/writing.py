"""The second half of code generation: one line after the other, and the marks that it leaves for the accounting."""

from __future__ import annotations

from collections.abc import Iterable

from hilum.mapping.conditions import CONSTANT_TRUE
from hilum.mapping.elements import shape
from hilum.mapping.reading import Reading
from hilum.mapping.rows import Rule
from hilum.mapping.syntax import Expression, Path, Word, walk
from hilum.mapping.tree import top_name, wrap_of
from hilum.mapping.unit import Binding, Line

__all__ = ["Writing"]

# Datatypes with few different texts: answers are remembered by row.
_REPEATED_WORDS = "CWE CE CNE CF IS ID XCN CNN XON PL HD DTM TS DT"
_REPEATED = frozenset(_REPEATED_WORDS.split())


class Writing(Reading):
    """Code for lines and keys."""

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

    def put_marks(self, paths: list[Path]) -> None:
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
            for number, (at, alternative) in enumerate(line.alternatives):
                if number:
                    self.code.open(f"if {var} is None:")
                self._put_alternative(line, at, alternative)
            self.code.close(max(len(line.alternatives) - 1, 0))
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
            elif wrap_of(rule.target.steps) == (b"", b"") and line.mode == "list":
                put(f"{var} = [{code}] if {code} else None")
            else:
                wrapped = self.name("u", Binding("wrap", line))
                put(f"{var} = {wrapped}({code})")
        elif name == "received":
            put(f"{var} = RECEIVED(C)")
        elif name == "targets":
            put(f"{var} = {self.name('u', Binding('targets', line))}(R, C, rid)")
        else:
            put(f"clr += {self.bind(self._cleared(line))}")
        paths = [path for path in self._paths_of(line, None) if not path.segment or path.field]
        if paths:
            self.code.open(f"if {var}:" if name not in ("clear", "const") else "if True:")
            self.put_marks(paths)
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
        arguments = [
            value for value in (*rule.transform.args, *(v for _, v in rule.transform.named)) if isinstance(value, Path)
        ]
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
        self.put_marks(self._paths_of(line, alternative))
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
        elif rule.missing == "reject":
            put(f"if not {var}: {self.name('q', Binding('rejecting', line))}({var})")
        else:
            put(f"if {var} is None: {self.name('q', Binding('missing', line))}()")

    def _put_deleted(self, line: Line, paths: list[Path]) -> None:
        self.code.open(f"elif {line.name} is DELETED:")
        self.code.put(f"clr += {self.bind(self._cleared(line))}")
        self.put_marks(paths)
        self.code.close()

    def _cleared(self, line: Line) -> tuple[str, ...]:
        """What `""` takes away: the element, one slot of it, (inside an object) the dotted part, or all of a choice."""
        if line.rule.target.steps[0].name.endswith("[x]"):
            return self.choices[line.spec.resource, line.spec.element.removesuffix("[x]")]
        return (self._cleared_name(line),)

    def _cleared_name(self, line: Line) -> str:
        target, rule = line.rule.target, line.rule
        top = top_name(target.steps)
        known = shape(target.type)
        if (target.resource, top) in self.slotted and rule.field:
            return f"{top}#{rule.field}"
        if len(target.steps) > 1 and known and top in known.singles:
            return ".".join(step.name for step in target.steps)
        return top

    # -- functions ---------------------------------------------------------------------------------------------

    def key_lines(self, resource: str) -> list[Line]:
        return [line for line in self.lines if line.rule.target.role == "key" and line.spec.resource == resource]

    def element_lines(self, resource: str, *, everything: bool = False) -> list[Line]:
        lines = self.everything if everything else self.lines
        return [line for line in lines if line.rule.target.role == "element" and line.spec.resource == resource]

    def put_key(self, line: Line, var: str) -> None:
        """Code that sets `var` to the id that one key row gives, "" for none."""
        rule, put = line.rule, self.code.put
        condition = self.condition(rule)
        self.code.open(f"if not {var} and {condition}:" if condition != CONSTANT_TRUE else f"if not {var}:")
        owner = self._owner(rule)
        put("v = None")
        for at, alternative in line.alternatives:
            paths = [part for part in walk(alternative) if isinstance(part, Path)]
            texts = ", ".join(self.raw(path) for path in paths)
            function = self.name("e", Binding("key", line, at))
            self.code.open("if not v:")
            put(f"v = {function}({owner}{', ' if texts else ''}{texts})")
            self.code.open("if v:")
            put(f"{var} = v")
            if Word("each") in rule.transform.args and not self.place.field:
                put(f"{var} = EACH(C, {self.bind(rule.target.type)}, v)")
            self.put_marks(self._paths_of(line, alternative))
            put("pass")
            self.code.close(2)
        if rule.missing in ("exception", "reject"):
            put(f"if not v: {self.name('q', Binding('missing', line))}()")
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

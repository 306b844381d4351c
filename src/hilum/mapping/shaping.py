"""The last part of code generation: what lines wrote is put into objects, lists and top-level elements."""

from __future__ import annotations

from hilum.mapping.elements import TOGETHER, choice_of, shape
from hilum.mapping.ordering import ENDS
from hilum.mapping.tree import Each, Item, Leaf, Listing, Node, grow, prune, wrap_of
from hilum.mapping.unit import Binding, Line
from hilum.mapping.writing import Writing

__all__ = ["Shaping"]


def _shapes(line: Line, *, default: bool) -> bool:
    target = line.rule.target
    return target.role == "element" and target.default == default and line.rule.transform.name != "clear"


def _any_of(have: dict[str, str], name: str) -> str:
    """Code for "that member was written", for a choice any of its members; "" when no line writes it."""
    choice = name.removesuffix("[x]")
    return " or ".join(
        code for member, code in have.items() if member == name or (choice != name and member.startswith(choice))
    )


RATIO = ("numerator", "denominator")  # R4 rat-1 wants both


class Shaping(Writing):
    """Code for elements."""

    # -- elements ----------------------------------------------------------------------------------------------

    def put_elements(self, lines: list[Line], resource: str, *, own: bool) -> None:
        """Code that puts what the lines wrote into e (elements), d (defaults), clr and sl; or, not own, into X."""
        by_number = {line.number: line for line in lines}
        for default in (False, True):
            tree = Node()
            # Lines that cannot write keep their places: the order of members never depends on what is there.
            for line in self.everything:
                if line.spec.resource == resource and _shapes(line, default=default):
                    grow(tree, line.rule.target.steps, line.number, line.rule.target.type)
            self._name_slots(tree)
            prune(tree, set(by_number), {line.number for line in self.everything if not line.constant})
            chosen: set[str] = set()
            for name, member in tree.members.items():
                choice = choice_of(resource.partition(":")[0], name)
                if isinstance(member, Leaf) and choice and not default:
                    if choice not in chosen:
                        chosen.add(choice)
                        self._put_choice(tree, choice, resource, own=own)
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

    def _name_slots(self, tree: Node) -> None:
        lines = {line.number: line for line in self.everything}
        for member in tree.members.values():
            if isinstance(member, Listing):
                for part in member.parts:
                    part.slot = self._slot_of(part, lines)

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

    def _put_choice(self, tree: Node, choice: str, resource: str, *, own: bool) -> None:
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
                    into = f"r{number}[0]"
                    key = f"{self.bind(choice)} + {into}"
                    if own:
                        self.code.put(f"e[{key}] = Raw(r{number}[1])")
                    else:
                        self.code.put(f"out.append(({key}, r{number}[1], (), False))")
                    others = self.choices.get((resource, choice), ())
                    self.code.put(f"clr += {self.name('z', Binding('others', value=(choice, others)))}[{into}]")
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
                source = self.bind(only.slot)
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
                source = part.slot
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

    def _put_part(
        self, part: Each | Item, into: str, lines: dict[int, Line], values: dict[int, str] | None = None
    ) -> None:
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
        guard = self._guard(node, lines, values, have, var) + self._in_order(node, lines, have)
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
        """When the object is written: a line that reads the message wrote in it, and no required part lacks."""
        numbers = node.lines()
        speaking = [number for number in numbers if not lines[number].constant]
        tests = [var]
        if len(speaking) < len(numbers) and speaking:
            tests.append("(" + " or ".join(values.get(number, f"r{number}") for number in speaking) + ")")
        both = RATIO if have.keys() & set(RATIO) else ()
        needs = {name: found for name in (*node.required, *both) if (found := _any_of(have, name))}
        if any(name in have for name in node.wanted):
            needs["/".join(node.wanted)] = " or ".join(have[name] for name in node.wanted if name in have)
        if needs:
            wrote = " and ".join(tests)
            there = " and ".join(f"({found})" for found in needs.values())
            reporter = self.name("q", Binding("incomplete", lines[numbers[0]], value=tuple(needs)))
            return f"(({wrote}) and (({there}) or {reporter}()))"
        return " and ".join(tests)

    def _in_order(self, node: Node, lines: dict[int, Line], have: dict[str, str]) -> str:
        """That a Period or a Range with two ends does not run backwards (R4 per-1, rng-2)."""
        for first, last in ENDS:
            leaf = node.members.get(last)
            if first in have and isinstance(leaf, Leaf):
                ordered = self.name("q", Binding("ordered", lines[leaf.lines[-1]]))
                return f" and {ordered}({have[first]}, {have[last]})"
        return ""

    def put_required(self, resource: str) -> None:
        """Code that holds the message when the rows of a required element wrote nothing."""
        type_ = resource.partition(":")[0]
        known = shape(type_)
        for wanted in known.required if known else ():
            choice = wanted.removesuffix("[x]") if wanted.endswith("[x]") else ""
            mine = [
                line
                for line in self.element_lines(resource, everything=True)
                if (choice_of(type_, line.spec.element) == choice if choice else line.spec.element == wanted)
            ]
            if not mine:
                continue
            reporter = self.name("q", Binding("required", mine[0], value=wanted))
            if choice:
                self.code.put(f"if not any(name.startswith({self.bind(choice)}) for name in (*e, *d)): {reporter}()")
            else:
                key = self.bind(wanted)
                self.code.put(f"if {key} not in e and {key} not in d: {reporter}()")
        for first, second in TOGETHER.get(type_, ()):
            mine = [line for line in self.element_lines(resource, everything=True) if line.spec.element == second]
            if mine:
                reporter = self.name("q", Binding("required", mine[0], value=second))
                self.code.put(f"if {self.bind(first)} in e and {self.bind(second)} not in e: {reporter}()")

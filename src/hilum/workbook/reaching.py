"""Rows that can never write: no event, no resource to write into, a condition that never holds, an earlier row wins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from hilum.mapping import Rule
from hilum.model import Finding, Severity
from hilum.workbook.satisfying import can_hold, follows
from hilum.workbook.sheets import Entry

__all__ = ["Reach", "kinds_of"]


def kinds_of(rules: Sequence[Rule]) -> tuple[str, ...]:
    """Every kind of message or record that a key row names, sorted: what the workbook maps at all. Tables need none."""
    named = {kind for rule in rules if rule.target.role == "key" or rule.target.is_cell for kind in rule.applies}
    return tuple(sorted(kind for kind in named if "*" not in kind and ("^" in kind or ":" in kind)))


class Reach:
    """Looks at all rows together. `entries` are the lines of the table by row_id, for places.

    What a param decides is not looked at: a row that it switches off is meant to wait there.
    """

    def __init__(self, rules: Sequence[Rule], entries: Mapping[str, Entry]) -> None:
        self.rules, self.entries = rules, entries
        self.kinds = kinds_of(rules)
        self.by_rule = {rule.row.row_id: [kind for kind in self.kinds if rule.covers(kind)] for rule in rules}
        self.made: dict[str, set[str]] = {}
        for rule in rules:
            if rule.target.role == "key" or rule.target.is_cell:
                self.made.setdefault(rule.target.resource, set()).update(self.by_rule[rule.row.row_id])

    def findings(self) -> Iterator[Finding]:
        """Warnings: such a row does no harm, it only does nothing."""
        dead: set[str] = set()
        for rule in self.rules:
            finding = self._unreached(rule)
            if finding is not None:
                dead.add(rule.row.row_id)
                yield finding
        yield from self._shadowed([rule for rule in self.rules if rule.row.row_id not in dead])

    def _note(self, rule: Rule, column: str, code: str, message: str, hint: str = "") -> Finding:
        location = self.entries[rule.row.row_id].location(column)
        return Finding(code, f"`{rule.row.row_id}` {message}", location, Severity.WARNING, hint)

    def _unreached(self, rule: Rule) -> Finding | None:
        kinds = self.by_rule[rule.row.row_id]
        if rule.applies and not kinds:
            near = get_close_matches(rule.applies[0], self.kinds, 1, 0.8)
            hint = f"did you mean `{near[0]}`?" if near else "a key row (Type.id) has to name the event too"
            return self._note(rule, "applies", "row-without-event", "applies to no event that has rows", hint)
        if rule.target.role == "element" and not self.made.get(rule.target.resource, set()).intersection(kinds):
            near = get_close_matches(rule.target.resource, self.made, 1)
            where = " in the events it applies to" if rule.target.resource in self.made else ""
            hint = f"did you mean `{near[0]}`?" if near and not where else f"add a row {rule.target.resource}.id"
            message = f"writes into a {rule.target.resource}, which no row makes{where}"
            return self._note(rule, "target", "row-without-resource", message, hint)
        if rule.when is not None and not any(can_hold(rule.when, _facts(kind)) for kind in kinds):
            return self._note(rule, "when", "row-never-runs", "has a condition that is never true")
        return None

    def _shadowed(self, rules: Sequence[Rule]) -> Iterator[Finding]:
        groups: dict[object, list[Rule]] = {}
        for rule in rules:
            if _is_single(rule):
                target = rule.target
                place = (target.resource, target.steps, target.default, target.role, rule.anchors)
                groups.setdefault(place, []).append(rule)
        for group in groups.values():
            for at, rule in enumerate(group):
                winner = next((one for one in group[:at] if self._wins(one, rule)), None)
                if winner is not None:
                    where = self.entries[winner.row.row_id].location()
                    message = f"never writes: `{winner.row.row_id}` ({where}) is before it and writes whenever it could"
                    yield self._note(rule, "row_id", "row-shadowed", message)

    def _wins(self, earlier: Rule, later: Rule) -> bool:
        kinds = self.by_rule[later.row.row_id]
        if not set(kinds) <= set(self.by_rule[earlier.row.row_id]) or not _always_first(earlier, later):
            return False
        return all(follows(earlier.when, later.when, _facts(kind)) for kind in kinds)


def _facts(kind: str) -> dict[str, str]:
    return {"kind": kind, "event": kind.partition("^")[2]}


def _is_single(rule: Rule) -> bool:
    """Whether only one of several rows can write there."""
    if rule.target.role == "key":
        return True
    return bool(rule.target.steps) and not any((step.item or "").startswith("+") for step in rule.target.steps)


def _always_first(earlier: Rule, later: Rule) -> bool:
    """Whether the earlier row has a value whenever the later one has."""
    if earlier.transform.name == "clear" or later.transform.name == "clear":
        return False
    if earlier.transform.name == "const" and not earlier.alternatives:
        return True
    if earlier.missing.startswith("default:") and earlier.transform.name != "code":
        return True
    same = (earlier.transform, earlier.row.map, earlier.row.type) == (later.transform, later.row.map, later.row.type)
    return same and bool(later.alternatives) and set(later.alternatives) <= set(earlier.alternatives)

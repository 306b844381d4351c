"""Which row takes which item of a list: `Patient.telecom` is fed by three fields, `Encounter.participant` by six.

On the way in every field adds its own items. On the way out each item goes to the row that fits it best: one whose
constants it holds, whose reference it is, whose map knows its code; then to the first of the table that has room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hilum.mapping.elements import CHOICES
from hilum.mapping.outward.entries import REPEATING, Entry, json_name
from hilum.mapping.outward.frame import INVERTIBLE_CODES, Out
from hilum.mapping.outward.lines import SegmentLine
from hilum.mapping.outward.resources import Resource, View
from hilum.mapping.transforms.identifiers import _LICENCE

__all__ = ["Sharing", "inside", "same_code"]

_OVERFLOWING = ("items", "item", "row")


def same_code(value: Any, constant: Any) -> bool:
    """Whether an element says what a constant of the workbook says: the same code of the same system, or equal."""
    if isinstance(constant, Mapping) and isinstance(value, Mapping):
        wanted = constant.get("coding") or ([constant] if "code" in constant else [])
        given = value.get("coding") or ([value] if "code" in value else [])
        if wanted and isinstance(given, list):
            pairs = [(one.get("system"), one.get("code")) for one in given if isinstance(one, Mapping)]
            return all((one.get("system"), one.get("code")) in pairs for one in wanted)
    return bool(value == constant)


def inside(view: View, steps: tuple[Any, ...], at: int) -> Iterator[View]:
    """Values at the rest of a path, whoever they belong to."""
    if at == len(steps):
        yield view
        return
    for inner in members(view, json_name(steps, at)):
        for item in inner.each() if steps[at].item is not None or steps[at].name == "extension" else [inner]:
            if not steps[at].url or item.peek("url") == steps[at].url:
                yield from inside(item, steps, at + 1)


def members(view: View, name: str) -> list[View]:
    """The member of that name; of `value[x]` the one that is there."""
    if not name.endswith("[x]"):
        found = view.get(name)
        return [found] if found is not None else []
    stem = name[:-3]
    names = view.value if isinstance(view.value, Mapping) else {}
    return [
        inner
        for one in names
        if one.startswith(stem) and one[len(stem) :] in CHOICES and (inner := view.get(one)) is not None
    ]


class Sharing:
    """The shares of one run: worked out once for each list of each resource, then remembered."""

    def __init__(self, entries: Iterable[Entry], lines: Iterable[SegmentLine], out: Out) -> None:
        self._out = out
        self._by_label: dict[str, list[Entry]] = {}
        for entry in entries:
            self._by_label.setdefault(entry.rule.target.resource, []).append(entry)
        self._constants: dict[tuple[str, tuple[str, ...]], list[tuple[str, Any]]] = {}
        for label, group in self._by_label.items():
            for entry in group:
                if entry.kind == "const" and isinstance(entry.constant, Mapping):
                    key = entry.rule.target.type, entry.names
                    self._constants.setdefault(key, []).append((label, entry.constant))
        self._lines: dict[str, list[SegmentLine]] = {}
        for line in lines:
            self._lines.setdefault(line.name, []).append(line)
        self._known: dict[tuple[str, str, str], dict[int, tuple[str, str]]] = {}

    def values(self, entry: Entry, resource: Resource, only: Mapping[tuple[str, str], str] = {}) -> list[View]:
        """What the row reads backwards of a resource, in order. `only`: (resource, item) to its one path."""
        label = entry.rule.target.resource
        spots = [(resource.view(), self._by_label[label])]
        for depth, step in enumerate(entry.steps):
            name = entry.names[depth]
            if step.item is None and step.name != "extension":
                spots = [
                    (inner, [one for one in entries if _same_step(one, entry, depth)])
                    for view, entries in spots
                    for inner in members(view, name)
                ]
                continue
            wanted = entry.branch(depth)
            spots = [
                (found, [one for one in entries if _same_step(one, entry, depth) and one.branch(depth) == wanted])
                for view, entries in spots
                for found in self.share(label, view, name, entries, depth, wanted)
                if only.get((label, step.item or ""), found.path) == found.path
            ]
        return [view.fresh() for view, _ in spots]

    def share(
        self, label: str, view: View, name: str, entries: list[Entry], depth: int, wanted: tuple[str, str]
    ) -> list[View]:
        """The items of one list that belong to one branch."""
        key = (f"{label} {view.resource.reference}", view.path, name)
        items = view.items(name)
        known = self._known.get(key)
        if known is None:
            fitting = [one for one in entries if len(one.names) > depth and one.names[depth] == name]
            known = self._known[key] = self._assign(label, items, fitting, depth)
        return [item for at, item in enumerate(items) if known.get(at) == wanted]

    def _assign(self, label: str, items: list[View], entries: list[Entry], depth: int) -> dict[int, tuple[str, str]]:
        branches: dict[tuple[str, str], list[Entry]] = {}
        for entry in entries:
            branches.setdefault(entry.branch(depth), []).append(entry)
        taken: dict[tuple[str, str], int] = {}
        found = {}
        for at, item in enumerate(items):
            best: tuple[float, tuple[str, str]] | None = None
            for number, (branch, group) in enumerate(branches.items()):
                if taken.get(branch, 0) >= self._room(label, group, depth):
                    continue
                score = self._score(item, group, depth)
                if score is None:
                    continue
                ranked = score - number / 1000 - (0.5 if self._iterated(group) else 0)
                if best is None or ranked > best[0]:
                    best = ranked, branch
            if best is not None:
                found[at] = best[1]
                taken[best[1]] = taken.get(best[1], 0) + 1
        return found

    def _iterated(self, group: list[Entry]) -> bool:
        """Whether the items get segments of their own: only where no field of another segment takes them."""
        return any(line.each.how in _OVERFLOWING for line in self._lines.get(group[0].rule.anchors[0].segment, ()))

    def _room(self, label: str, group: list[Entry], depth: int) -> int:
        """How many items the branch can take."""
        many = 1_000_000
        first = group[0]
        if first.kind in ("const", "event", "none") and len(group) == 1:
            return many
        if first.kind == "ref" and first.source is None and first.steps[depth].item == "+":
            return many
        if first.steps[depth].url and first.steps[depth].item is None:
            return 1
        anchor = first.rule.anchors[0]
        lines = self._lines.get(anchor.segment, ())
        own = all(line.each.how not in _OVERFLOWING and line.each.label in (label, "") for line in lines)
        if not own and any(line.each.how not in ("once", "root") for line in lines):
            return many
        if anchor.field:
            return many if (anchor.segment, anchor.field) in REPEATING else 1
        if first.steps[depth].item != "+":
            return 1
        source = first.source
        if source is None:
            return many
        repeats = first.rule.repeats == "each" and (source.segment, source.field) in REPEATING
        return many if repeats else 1

    def _score(self, item: View, group: list[Entry], depth: int) -> float | None:
        """How well an item fits a branch; None: not at all."""
        url = group[0].steps[depth].url
        if url and item.peek("url") != url:
            return None
        if not any(entry.kind != "value" or any(inside(item, entry.steps, depth + 1)) for entry in group):
            return None  # nothing of it would be said there
        total = 0.0
        constants: dict[tuple[str, ...], list[bool]] = {}
        for entry in group:
            score = self._fit(item, entry, depth + 1, constants)
            if score is None:
                return None
            total += score
        for path, matches in constants.items():
            matched = any(matches)
            if path[0] == "!" and not matched:
                return None
            strong = 6.0 if len(path) > 1 else 2.0
            total += strong if matched and path[0] == "!" else 1 if matched else -1
        return total

    def _fit(self, item: View, entry: Entry, at: int, constants: dict[tuple[str, ...], list[bool]]) -> float | None:
        inner = list(inside(item, entry.steps, at))
        if entry.kind == "const":
            strict = isinstance(entry.constant, Mapping) and entry.rule.when is None
            path = ("!" if strict or not entry.steps[at:] else "?", *(step.name for step in entry.steps[at:]))
            found = any(same_code(one.value, entry.constant) for one in inner)
            constants.setdefault(path, []).append(found)
            return 0.0
        if entry.kind == "ref":
            return _fits_reference(inner, entry)
        if not inner:
            return 0.0
        if at < len(entry.steps) and entry.steps[-1].name == "text":
            return None if item.items("coding") else 1.5  # words alone: a code beside them would be lost
        if self._speaks_for_another(inner[0], entry):
            return None
        return self._fits_value(inner[0], entry)

    def _speaks_for_another(self, view: View, entry: Entry) -> bool:
        """Whether an item is what makes a resource one of another label: `GUAR` of a guarantor, seen as next of kin."""
        others = self._constants.get((entry.rule.target.type, entry.names), ())
        return any(label != entry.rule.target.resource and same_code(view.value, one) for label, one in others)

    def _fits_value(self, view: View, entry: Entry) -> float | None:
        spec, out = entry.spec, self._out
        if spec.transform == "display":
            return None if view.peek("reference") else 1.0
        if spec.transform in ("attachment", "ED", "RP"):
            return 1.0 if view.peek("url" if spec.type == "RP" else "data") else None
        type_, system, use = (out.constant(spec, name) for name in ("type", "system", "use"))
        score = 0.0
        if type_:
            coded = [one.peek("code") for one in _type_codings(view)]
            if type_ not in coded:
                return None
            score += 3
        if spec.transform == "identifier":
            return score + 3 if system and view.peek("system") == system else None
        if spec.transform == "DLN":
            return score + 3 if view.peek("system").startswith(_LICENCE) else None
        if use:
            stated = view.peek("use")
            score += 3 if stated == use else 1 if stated in ("", "mobile") else -1
        elif spec.transform == "XTN" and not view.peek("use"):
            score += 2
        if spec.map and spec.transform in ("CWE", "coding", "code"):
            score += self._fits_map(view, entry)
        return score

    def _fits_map(self, view: View, entry: Entry) -> float:
        spec = entry.spec
        codes: list[tuple[str, str | None]]
        if isinstance(view.value, str):
            codes = [(view.value, None)]
        else:
            codings = view.items("coding") if spec.transform == "CWE" else [view]
            codes = [(one.peek("code"), one.peek("system")) for one in codings]
        if any(self._out.codes.knows(spec.map, code, system) for code, system in codes):
            return 3.0
        return -3.0 if spec.unmapped in INVERTIBLE_CODES else -1.0


def _type_codings(view: View) -> list[View]:
    type_ = view.get("type")
    return type_.items("coding") if type_ is not None else []


def _same_step(one: Entry, entry: Entry, depth: int) -> bool:
    return len(one.names) > depth and one.names[depth] == entry.names[depth]


def _fits_reference(inner: list[View], entry: Entry) -> float | None:
    if not inner:
        return None if entry.source is None else 0.0
    reference = inner[0].peek("reference")
    if not reference:
        return None if entry.source is None else 0.0
    return 5.0 if reference.startswith(entry.reference.partition(":")[0] + "/") else None

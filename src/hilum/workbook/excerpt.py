"""Excerpts of a workbook that say of a message what the whole one would say of some of it.

Where only some rows differ between two workbooks, a difference can only be in the elements that they write, in the
fate of the fields that they read, and in what they report. The excerpt of `writers` holds, for every type of resource
that such a row writes, all rows of the same top-level element (members of a choice are one element, labels of a type
may be the same resource), and the key rows of everything that these name. So elements come out as in the whole
workbook, and as long as rows wrote for the same fields on both sides, fates are the same too. Where they did not, the
excerpt of `readers` tells the fates: it has all rows that read one of these fields besides, with all that write their
elements. What other rows would do is the same on both sides.

The excerpt of holds has all rows that can hold a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hilum.mapping import Literal, Path, Rule, Word, choice_of, is_required, release_of, walk

__all__ = ["Field", "anchors_of", "fields_of", "readers", "rows_that_hold", "writers"]

Field = tuple[str, int]  # segment and number; 0 is every field of it
_Element = tuple[str, str]  # type and top-level element

# Transforms that look for the system of an authority: a message with one that nobody knows is held.
_IDENTIFYING = frozenset({"CX", "EI", "DLN", "XON_ID", "XCN_ID", "CWE_ID", "HD", "EIP", "PL_ID", "ref"})


def writers(both: Sequence[Rule], changed: Iterable[Rule]) -> frozenset[str]:
    """Of the rows of both workbooks those (ids) that tell what the changed ones make."""
    return _kept(both, _elements(changed, both))


def readers(both: Sequence[Rule], changed: Iterable[Rule], fates: Iterable[Field]) -> frozenset[str]:
    """The same, and those that tell the fate of these fields."""
    asked = set(fates)
    reading = [rule for rule in both if any(_is_asked(field, asked) for field in fields_of(rule))]
    return _kept(both, _elements([*changed, *reading], both))


def rows_that_hold(rules: Sequence[Rule], params: Mapping[str, str]) -> frozenset[str]:
    """The rows (ids) that can hold a message, and those that tell whether a required element is written."""
    takes_all = params.get("unknown_namespace") == "local"  # then an authority that nobody knows has a system too
    keys: dict[str, list[Rule]] = {}
    for rule in rules:
        if _is_key(rule):
            keys.setdefault(rule.target.resource, []).append(rule)
    required: dict[tuple[str, str], list[Rule]] = {}
    for rule in rules:
        if not _is_key(rule) and is_required(rule.target.type, rule.element):
            required.setdefault((rule.target.resource, _element(rule)[1]), []).append(rule)
    found = {_id(rule) for rule in rules if _is_key(rule) or _reports_holds(rule, takes_all)}
    for (resource, _), rules_of_element in required.items():
        opening = keys.get(resource, [])
        if not any(_always_writes(rule, opening) for rule in rules_of_element):
            found |= {
                _id(rule) for rule in rules_of_element if _places(rule) & {p for key in opening for p in _places(key)}
            }
    return frozenset(found)


def _reports_holds(rule: Rule, takes_all: bool) -> bool:
    """Whether the row itself can hold a message, whatever others write."""
    if "reject" in (rule.missing, rule.unmapped):
        return True
    if release_of(rule.transform.name):
        return True  # a package's transform that breaks
    if takes_all:
        return False
    fixed = any(name == "system" and isinstance(value, Literal) for name, value in rule.transform.named)
    return rule.transform.name in _IDENTIFYING and bool(rule.alternatives) and not fixed


def _always_writes(rule: Rule, opening: Sequence[Rule]) -> bool:
    """A constant without a condition, wherever one of these rows opens the resource."""
    if rule.transform.name != "const" or rule.alternatives or rule.when is not None or len(rule.target.steps) != 1:
        return False
    return all(
        (not rule.applies or set(rule.applies) == set(key.applies)) and set(rule.anchors) >= set(key.anchors)
        for key in opening
    )


def _places(rule: Rule) -> set[Field]:
    """Where it runs: what is required of a resource is looked for where the resource is opened."""
    return {(anchor.segment, anchor.field) for anchor in rule.anchors}


def fields_of(rule: Rule, *, conditions: bool = True) -> set[Field]:
    """Every field that a row reads: those of its source, its arguments, its anchor, and of its condition."""
    found = anchors_of(rule)
    for expression in (*rule.alternatives, rule.transform, rule.when if conditions else None):
        found |= {(part.segment, part.field) for part in walk(expression) if isinstance(part, Path) and part.field}
    return {field for field in found if field[0]}


def anchors_of(rule: Rule) -> set[Field]:
    """The fields that a row runs for, each repetition by itself; none where it runs for segments."""
    return {(anchor.segment, anchor.field) for anchor in rule.anchors if anchor.field}


def _is_asked(field: Field, asked: set[Field]) -> bool:
    return field in asked or (field[0], 0) in asked


def _id(rule: Rule) -> str:
    return rule.row.row_id


def _is_key(rule: Rule) -> bool:
    return rule.target.role != "element"


def _element(rule: Rule) -> _Element:
    type_ = rule.target.type
    return type_, choice_of(type_, rule.element) or rule.element


def _elements(rules: Iterable[Rule], both: Iterable[Rule]) -> set[_Element]:
    """What these write; everything of a type that is made of repetitions of a field, since those are put together."""
    found = {_element(rule) for rule in rules if not _is_key(rule)}
    opening = (rule for rule in both if rule.target.role == "key" and any(anchor.field for anchor in rule.anchors))
    loose = {rule.target.type for rule in opening}
    whole = loose & {type_ for type_, _ in found}
    return found | {_element(rule) for rule in both if rule.target.type in whole and not _is_key(rule)}


def _kept(rules: Sequence[Rule], elements: set[_Element]) -> frozenset[str]:
    """Rows that write these elements, and the key rows of all that they need."""
    writing = [rule for rule in rules if not _is_key(rule) and _element(rule) in elements]
    needed = _needed(writing, rules)
    keys = {_id(rule) for rule in rules if _is_key(rule) and rule.target.resource in needed}
    return frozenset({*map(_id, writing), *keys})


def _needed(writing: Iterable[Rule], rules: Sequence[Rule]) -> set[str]:
    """The resources whose ids matter: what rows write into, what they and keys name, those counted with them."""
    keys: dict[str, list[Rule]] = {}
    counted: dict[str, set[str]] = {}  # by type, where `key(each)` counts ids of the type
    for rule in rules:
        if _is_key(rule):
            keys.setdefault(rule.target.resource, []).append(rule)
            if Word("each") in rule.transform.args:
                counted[rule.target.type] = set()
    for resource in keys:
        type_ = resource.partition(":")[0]
        if type_ in counted:
            counted[type_].add(resource)
    known = {rule.target.resource for rule in rules}
    found: set[str] = set()
    waiting: set[str] = set()
    for rule in writing:
        waiting |= {rule.target.resource} | (known if rule.transform.name == "targets" else _named(rule) & known)
    while waiting:
        more = {name for resource in waiting for rule in keys.get(resource, ()) for name in _named(rule) & known}
        more |= {same for resource in waiting for same in counted.get(resource.partition(":")[0], ())}
        found |= waiting
        waiting = more - found
    return found


def _named(rule: Rule) -> set[str]:
    """The resources that a row names: ref(Patient), made(Encounter), key(of=Patient)."""
    expressions = (*rule.alternatives, rule.transform, rule.when)
    return {part.name for one in expressions for part in walk(one) if isinstance(part, Word)}

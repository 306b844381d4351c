"""Excerpts of a workbook that say of a message what the whole one would say of some of it.

Where only some rows differ between two workbooks, a difference can only be in the elements that they write, in the
fate of the fields that they read, and in what they report. An excerpt holds, for every type of resource that such a row
writes, all rows of the same top-level element (members of a choice are one element, labels of a type may be the same
resource); all rows that read one of its fields, with all that write their elements; and the key rows of everything that
these name. So elements and fates come out as in the whole workbook. What other rows would do is the same on both sides.

The excerpt of holds has all rows that can hold a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import structs

from hilum.mapping import Literal, Path, Rule, Word, Workbook, choice_of, is_required, walk

__all__ = ["excerpt_of_holds", "excerpts", "fields_of"]

Field = tuple[str, int]  # segment and number; 0 is every field of it
_Element = tuple[str, str]  # type and top-level element

# Transforms that look for the system of an authority: a message with one that nobody knows is held.
_IDENTIFYING = frozenset({"CX", "EI", "DLN", "XON_ID", "XCN_ID", "HD", "EIP", "PL_ID", "ref"})


def excerpts(
    books: tuple[Workbook, Workbook],
    rules: tuple[Sequence[Rule], Sequence[Rule]],
    changed: Sequence[Rule],
    fates: Iterable[Field],
) -> tuple[Workbook, Workbook]:
    """Of both workbooks what these rows (of either) can change, and what tells the fate of these fields."""
    both = [*rules[0], *rules[1]]
    asked = set(fates)
    readers = [rule for rule in both if any(_is_asked(field, asked) for field in fields_of(rule))]
    kept = _kept(both, _elements([*changed, *readers], both))
    return _cut(books[0], rules[0], kept), _cut(books[1], rules[1], kept)


def excerpt_of_holds(book: Workbook, rules: Sequence[Rule]) -> Workbook:
    """The rows that can hold a message, with all that write the same elements."""
    holding = [rule for rule in rules if rule.target.role == "element" and _can_hold(rule)]
    return _cut(book, rules, _kept(rules, _elements(holding, rules)) | {_id(rule) for rule in rules if _is_key(rule)})


def fields_of(rule: Rule) -> set[Field]:
    """Every field that a row reads: those of its source, its arguments, its condition and its anchor."""
    found = {(anchor.segment, anchor.field) for anchor in rule.anchors if anchor.field}
    for expression in (*rule.alternatives, rule.transform, rule.when):
        found |= {(part.segment, part.field) for part in walk(expression) if isinstance(part, Path) and part.field}
    return {field for field in found if field[0]}


def _is_asked(field: Field, asked: set[Field]) -> bool:
    return field in asked or (field[0], 0) in asked


def _can_hold(rule: Rule) -> bool:
    """Whether something that this row does or leaves undone can hold a message."""
    if "reject" in (rule.missing, rule.unmapped) or is_required(rule.target.type, rule.element):
        return True
    fixed = any(name == "system" and isinstance(value, Literal) for name, value in rule.transform.named)
    return rule.transform.name in _IDENTIFYING and bool(rule.alternatives) and not fixed


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
    loose = {rule.target.type for rule in both if _is_key(rule) and any(anchor.field for anchor in rule.anchors)}
    whole = loose & {type_ for type_, _ in found}
    return found | {_element(rule) for rule in both if rule.target.type in whole and not _is_key(rule)}


def _kept(rules: Sequence[Rule], elements: set[_Element]) -> set[str]:
    """Rows that write these elements, and the key rows of all that they need."""
    writers = [rule for rule in rules if not _is_key(rule) and _element(rule) in elements]
    needed = _needed(writers, rules)
    keys = {_id(rule) for rule in rules if _is_key(rule) and rule.target.resource in needed}
    return {*map(_id, writers), *keys}


def _needed(writers: Iterable[Rule], rules: Sequence[Rule]) -> set[str]:
    """The resources whose ids matter: what rows write into, what they and keys name, one that names each kind."""
    keys: dict[str, list[Rule]] = {}
    types: dict[str, set[str]] = {}
    for rule in rules:
        types.setdefault(rule.target.type, set()).add(rule.target.resource)
        if _is_key(rule):
            keys.setdefault(rule.target.resource, []).append(rule)
    known = {rule.target.resource for rule in rules}
    found: set[str] = set()
    waiting = _naming_all_kinds(rules)
    for rule in writers:
        waiting |= {rule.target.resource} | (known if rule.transform.name == "targets" else _named(rule) & known)
    while waiting:
        more = {name for resource in waiting for rule in keys.get(resource, ()) for name in _named(rule) & known}
        more |= {same for resource in waiting for same in types[resource.partition(":")[0]]}  # key(each) counts by type
        found |= waiting
        waiting = more - found
    return found


def _naming_all_kinds(rules: Iterable[Rule]) -> set[str]:
    """Resources whose key rows name every kind that has rows: without one a message is held."""
    seen: set[str] = set()
    found = set()
    for rule in rules:
        if rule.target.role == "key" and not seen.issuperset(rule.applies):
            seen.update(rule.applies)
            found.add(rule.target.resource)
    return found


def _named(rule: Rule) -> set[str]:
    """The resources that a row names: ref(Patient), made(Encounter), key(of=Patient)."""
    expressions = (*rule.alternatives, rule.transform, rule.when)
    return {part.name for one in expressions for part in walk(one) if isinstance(part, Word)}


def _cut(book: Workbook, rules: Sequence[Rule], kept: set[str]) -> Workbook:
    return structs.replace(book, rows=tuple(rule.row for rule in rules if _id(rule) in kept))

"""What all rows of a plan say together: kinds that have rows, columns read, lists, choices, how keys are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hilum.mapping.columns import Table, is_resource_kind, named_column, record_of_kind
from hilum.mapping.elements import choice_of, shape
from hilum.mapping.rows import Rule
from hilum.mapping.syntax import Literal, Path, walk_paths
from hilum.mapping.tables import Workbook
from hilum.mapping.transforms import Spec
from hilum.mapping.tree import top_name

__all__ = ["choices_written", "columns_read", "key_specs", "kinds_named", "lists_fed"]


def kinds_named(rules: Iterable[Rule]) -> frozenset[str]:
    """Kinds of messages and records that key rows name: only those have rows."""
    return frozenset(kind for rule in rules if rule.target.role == "key" for kind in rule.applies)


def columns_read(rules: Sequence[Rule], book: Workbook) -> dict[str, Table]:
    """Of each record the columns that rows read and ignores name, with what cuts their texts."""
    found: dict[str, Table] = {}
    for rule in rules:
        named = dict(rule.transform.named)
        for at, path in enumerate(walk_paths((*rule.alternatives, rule.when, rule.transform))):
            if not path.column:
                continue
            table = found.setdefault(path.segment, Table({}))
            table.numbers[path.column] = path.field
            for name, cuts in (("split", table.splits), ("parts", table.parts)):
                value = named.get(name)
                if at == 0 and isinstance(value, Literal):
                    cuts[path.column] = value.text
    types = {record_of_kind(kind) for rule in rules for kind in rule.applies if is_resource_kind(kind)}
    for line in book.ignores:
        column = named_column(line.field)
        if column is not None and column[1] != "*" and column[0] not in types:  # elements have no numbers of their own
            numbers = found.setdefault(column[0], Table({})).numbers
            numbers.setdefault(column[1], max(numbers.values(), default=0) + 1)
    return found


def lists_fed(rules: Sequence[Rule]) -> set[tuple[str, str]]:
    """Lists that more than one source field feeds: (resource, element)."""
    fields: dict[tuple[str, str], set[str]] = {}
    for rule in rules:
        target = rule.target
        if not target.steps:
            continue
        name = top_name(target.steps)
        known = shape(target.type)
        is_list = target.steps[0].item is not None or target.steps[0].name == "extension"
        if is_list and (known is None or target.steps[0].name in known.lists):
            fields.setdefault((target.resource, name), set()).add(rule.field or rule.row.row_id)
    return {key for key, names in fields.items() if len(names) > 1}


def choices_written(rules: Sequence[Rule]) -> dict[tuple[str, str], tuple[str, ...]]:
    """For each choice element of each resource, the members that rows may write."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for rule in rules:
        if not rule.target.steps:
            continue
        name = rule.target.steps[0].name
        choice = choice_of(rule.target.type, name)
        if not choice:
            continue
        names = found.setdefault((rule.target.resource, choice), {})
        if name.endswith("[x]"):
            suffixes = ["Quantity", "CodeableConcept", "String", "Range", "Ratio", "DateTime", "Time"]
            names.update(dict.fromkeys(f"{choice}{suffix}" for suffix in suffixes))
        else:
            names[name] = None
    return {key: tuple(names) for key, names in found.items()}


def key_specs(rules: Sequence[Rule]) -> dict[tuple[str, str], Spec]:
    """How key rows read a datatype, for references that name the same thing: (resource, datatype) to the row's Spec."""
    found: dict[tuple[str, str], Spec] = {}
    for rule in rules:
        if rule.target.role == "key" and any(isinstance(one, Path) for one in rule.alternatives):
            row = rule.row
            type_ = row.type or "ST"
            spec = Spec(
                row.row_id,
                row.owner,
                rule.field,
                type_,
                "key",
                rule.transform.args,
                rule.transform.named,
                resource=rule.target.resource,
            )
            found.setdefault((rule.target.resource, type_), spec)
    return found

"""From what the rows wrote to an answer: which path of which resource, from which field, by which row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw

from hilum.mapping.columns import is_resource_kind
from hilum.mapping.mapped import Mapped, Trace
from hilum.mapping.places import Step
from hilum.mapping.syntax import Path, walk_paths
from hilum.mapping.tables import MapEntry
from hilum.mapping.unit import Line

__all__ = ["entry_name", "traces"]

# Where the parts of a value come from in its datatype: JSON member to component.
_COMPONENTS: dict[tuple[str, str], dict[str, str]] = {
    ("XPN", "HumanName"): {"family": "1.1", "given[0]": "2", "given": "3", "suffix": "4", "prefix": "5", "use": "7"},
    ("XCN", "HumanName"): {"family": "2.1", "given[0]": "3", "given": "4", "suffix": "5", "prefix": "6", "use": "10"},
    ("XAD", "Address"): {
        "line[0]": "1.1",
        "line": "2",
        "city": "3",
        "state": "4",
        "postalCode": "5",
        "country": "6",
        "use": "7",
        "type": "7",
        "district": "9",
    },
    ("CX", "Identifier"): {"value": "1", "system": "4", "type": "5", "period.start": "7", "period.end": "8"},
    ("EI", "Identifier"): {"value": "1", "system": "2"},
    ("XON", "Identifier"): {"value": "10", "system": "6", "type": "7"},
    ("XCN", "Identifier"): {"value": "1", "system": "9", "type": "13"},
    ("CWE", "CodeableConcept"): {"coding[0]": "1", "coding": "4", "text": "2"},
}
_FORMS = {
    **dict.fromkeys(("XPN", "XCN", "CNN"), "HumanName"),
    **dict.fromkeys(("XAD", "SAD"), "Address"),
    **dict.fromkeys(("CX", "EI", "XON_ID", "XCN_ID", "CWE_ID", "DLN", "identifier"), "Identifier"),
    **dict.fromkeys(("CWE", "CE", "CNE", "CF", "IS", "ID", "CodeableConcept"), "CodeableConcept"),
}
_SAME = {"CE": "CWE", "CNE": "CWE", "CF": "CWE"}
_decode = msgspec.json.Decoder(float_hook=lambda text: Raw(text.encode())).decode  # 0.10 is shown as 0.10


def _find(value: Any, steps: tuple[Step, ...], wanted: Any, path: str = "") -> Iterator[str]:
    """Paths below `value` that follow the steps and hold `wanted`."""
    if not steps:
        if value == wanted:
            yield path
        return
    step, rest = steps[0], steps[1:]
    names = [step.name]
    if isinstance(value, dict) and step.name.endswith("[x]"):
        names = [name for name in value if name.startswith(step.name[:-3])]
    if isinstance(value, dict) and (step.name not in value or (rest and rest[0].name == "extension")):
        names.append(f"_{step.name}")  # an extension of a primitive lives beside it
    for name in names:
        if not isinstance(value, dict) or name not in value:
            continue
        below = f"{path}.{name}" if path else name
        inner = value[name]
        if not isinstance(inner, list):
            yield from _find(inner, rest, wanted, below)
            continue
        for at, item in enumerate(inner):
            if step.url and (not isinstance(item, dict) or item.get("url") != step.url):
                continue
            yield from _find(item, rest, wanted, f"{below}[{at}]")


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{at}]")
    else:
        yield path, value


def _source(line: Line) -> str:
    """The path that the row reads; for a field anchor the field itself."""
    for path in walk_paths(line.rule.alternatives):
        if not path.segment:
            anchors = [anchor for anchor in line.rule.anchors if anchor.field]
            first = f"{anchors[0].segment}-{anchors[0].field}" if anchors else ""
            return f"{line.spec.location or first}{str(path)[1:]}"
        return str(Path(path.segment, path.occurrence, path.field, 0, path.component, path.sub, path.column))
    return ""


def _parted(base: str) -> tuple[str, str]:
    """A path without its component, and the component: `PID-5` and `1.1`, `patients[Name]` and `2`."""
    name, bracket, rest = base.rpartition("]")
    field, _, component = rest.partition(".")
    return name + bracket + field, component


def _component(line: Line, inside: str) -> str:
    """`1.1` for `family` of a name: the component behind a member of a value; "" when the table does not say."""
    if is_resource_kind(next(iter(line.rule.applies), "")):
        return ""  # a path of FHIR says itself which part it reads
    form = _FORMS.get(line.rule.transform.name, "")
    kind = line.rule.row.type or line.rule.transform.name.removesuffix("_ID")
    table = _COMPONENTS.get((_SAME.get(kind, kind), form), {})
    while inside:
        if inside in table:
            return table[inside]
        bare = inside.rsplit("[", 1)[0] if inside.endswith("]") else inside
        if bare in table:
            return table[bare]
        inside = inside.rpartition(".")[0]
    return ""


def _values(written: Any) -> list[Any]:
    """The JSON values that a row wrote, decoded."""
    if isinstance(written, tuple):
        return [_decode(written[1])]
    if isinstance(written, list):
        return [_decode(one) for one in written if one]
    return [_decode(written)] if isinstance(written, bytes) else [written]


def _rows_of(
    line: Line, written: Any, used: str, segment: int, id_: str, resource: dict[str, Any], others: set[str]
) -> Iterator[Trace]:
    rule, row = line.rule, line.rule.row
    steps = rule.target.steps
    if not steps:
        yield Trace(
            rule.target.type,
            id_,
            "id",
            _source(line),
            f'"{id_}"',
            row.row_id,
            segment,
            used,
            row.owner,
            row.approver,
            row.phi,
            row.origin,
        )
        return
    cut = next((at + 1 for at, step in enumerate(steps) if step.item == "+"), len(steps))
    base = _source(line)
    taken: set[str] = set()
    for number, value in enumerate(_values(written)):
        places = [found for found in _find(resource, steps[:cut], value) if found not in taken]
        if not places:
            continue  # another row's value was taken, or the item lacked a required part
        place = next((found for found in places if found not in others), places[0])
        taken.add(place)
        others.add(place)
        repetition = f"[{number + 1}]" if base and line.mode != "single" else ""
        field, component = _parted(base)
        for path, leaf in _leaves(value, place):
            inside = path[len(place) :].lstrip(".")
            part = component or _component(line, inside)
            source = f"{field}{repetition}{'.' + part if part else ''}" if base else ""
            shown = msgspec.json.encode(leaf).decode()
            yield Trace(
                rule.target.type,
                id_,
                path,
                source,
                shown,
                row.row_id,
                segment,
                used,
                row.owner,
                row.approver,
                row.phi,
                row.origin,
            )


def entry_name(entry: MapEntry) -> str:
    """`AdministrativeSex 1`, and whose entry it is where it is not everybody's: `AdministrativeSex 1 (LAB|NORTH)`."""
    return f"{entry.map} {entry.code}" + (f" ({entry.sender})" if entry.sender else "")


def traces(mapped: Mapped, noted: list[tuple[int, Any, int, str]], lines: dict[int, Line]) -> list[Trace]:
    """One entry per leaf of every resource, in the order in which the rows wrote."""
    resources: dict[tuple[str, str], dict[str, Any]] = {}
    for draft in mapped.drafts:
        body = {name: _decode(value) for name, value in {**draft.defaults, **draft.elements}.items()}
        resources[draft.type, draft.id] = body
    found: list[Trace] = []
    taken: dict[tuple[str, str, str], set[str]] = {}  # where constants stand already, and values of each row
    for number, (written, used), segment, id_ in noted:
        line = lines[number]
        resource = resources.get((line.rule.target.type, id_))
        if resource is not None:
            key = line.rule.target.type, id_, line.rule.row.row_id if line.rule.alternatives else ""
            found.extend(_rows_of(line, written, used, segment, id_, resource, taken.setdefault(key, set())))
    return found

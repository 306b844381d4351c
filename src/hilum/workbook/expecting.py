"""What a whole-message test names, and what came of it: `Patient.name.family`, `held`, `accounting.valued`."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from msgspec import json, structs

from hilum.mapping import Mapped, render
from hilum.workbook.comparing import Discrepancy, decode, differences, shown

__all__ = ["FACTS", "compare_resources", "facts_of", "look_up", "pathless"]

# What can be named beside resources.
FACTS = ("held", "exceptions", "accounting", "merges", "resources", "cleared")
_PICK = r"(?:\[(?P<pick>\d+|[^\]=]+=[^\]]*)\])?"
_TYPE = re.compile(rf"(?P<type>[A-Z]\w*){_PICK}(?P<rest>\..*)?$")
_STEP = re.compile(rf"\.?(?P<name>\w+){_PICK}")


def pathless(mapped: Mapped) -> list[Any]:
    """Every resource, as `hilum map` prints them."""
    return [decode(body) for body in render(mapped)]


def facts_of(mapped: Mapped) -> dict[str, Any]:
    """What a message did besides its values: why it is held, exceptions, accounting, merges, resources, deletions."""
    account = mapped.accounting
    facts = {
        "held": mapped.held.code if mapped.held else None,
        "exceptions": sorted(f"{item.code} {item.location}" for item in mapped.exceptions),
        "accounting": {
            "valued": account.valued,
            "mapped": account.mapped,
            "ignored": account.ignored,
            "exceptions": account.exceptions,
        },
        "merges": [
            f"{one.type}/{one.retired} {'out of' if one.undo else 'into'} {one.type}/{one.survivor}"
            for one in mapped.merges
        ],
        "resources": dict(Counter(draft.type for draft in mapped.drafts)),
        "cleared": sorted(f"{draft.type}.{name}" for draft in mapped.drafts for name in draft.cleared),
    }
    found: dict[str, Any] = decode(json.encode(facts))
    return found


def look_up(mapped: Mapped, path: str) -> Any:
    """The value at a path: None for nothing, the value for one, a list for several. Raises ValueError for a bad path.

    `Patient.name.family` takes every item on the way; `Patient.name[0].family` the first; `Observation[1].status` is of
    the second Observation, `Observation[code.coding.code=718-7].status` of those that have such a value; both forms of
    brackets may stand behind every step.
    """
    if not path:
        return pathless(mapped)
    head = re.split(r"[.\[]", path, maxsplit=1)[0]
    if head in FACTS:
        return _single(_follow([facts_of(mapped)], path))
    match = _TYPE.match(path)
    if match is None:
        near = difflib.get_close_matches(head, FACTS, 1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"`{path}` is no path such as Patient.birthDate, or one of {', '.join(FACTS)}{hint}")
    found = [one for one in pathless(mapped) if one["resourceType"] == match["type"]]
    return _single(_follow(_picked(found, match["pick"]), match["rest"] or ""))


def _picked(found: list[Any], pick: str | None) -> list[Any]:
    """The items that `[1]` or `[code.coding.code=718-7]` means."""
    if not pick:
        return found
    if pick.isdecimal():
        return found[int(pick) : int(pick) + 1]
    inner, _, wanted = pick.partition("=")
    return [one for one in found if wanted in map(_text, _follow([one], inner))]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _follow(values: list[Any], path: str) -> list[Any]:
    """All values behind the steps of a path; lists on the way are gone through."""
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise ValueError(f"cannot read `{path[at:]}` of the path")
        at = match.end()
        values = [one[match["name"]] for one in _flat(values) if isinstance(one, dict) and match["name"] in one]
        if match["pick"]:
            values = [one for value in values for one in _picked(_flat([value]), match["pick"])]
    return values


def _flat(values: list[Any]) -> list[Any]:
    return [inner for one in values for inner in (one if isinstance(one, list) else [one])]


def _single(values: list[Any]) -> Any:
    if not values:
        return None
    return values[0] if len(values) == 1 else values


def compare_resources(expected: list[Any], got: list[Any]) -> Iterator[Discrepancy]:
    """Resources by type and id; those without an id in order of their type."""
    left = list(got)
    for number, one in enumerate(expected):
        if not isinstance(one, dict) or "resourceType" not in one:
            raise ValueError(f"what is expected at {number} is no resource")
        type_, id_ = one["resourceType"], one.get("id")
        same = [other for other in left if other["resourceType"] == type_ and id_ in (None, other["id"])]
        name = f"{type_}/{id_}" if id_ else type_
        if not same:
            yield Discrepancy(name, shown(one), "")
            continue
        left.remove(same[0])
        found = same[0] if id_ else {key: value for key, value in same[0].items() if key != "id"}
        for each in differences(one, found):
            yield structs.replace(each, path=f"{name}.{each.path}")
    for other in left:
        yield Discrepancy(f"{other['resourceType']}/{other['id']}", "", shown(other))

"""Items of a list that a resource of its own says as well: a contact of a patient who is a RelatedPerson too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hilum.mapping.outward.resources import Resource, View, leaves

__all__ = ["has_twin", "leave_to_twin"]


def has_twin(item: View, others: Iterable[Resource]) -> bool:
    """Whether one of the resources bears the name of the item: the same family and given names."""
    wanted = _named(_inside(item).get("name"))
    return any(wanted) and any(_named(name) == wanted for one in others for name in _listed(one.body.get("name")))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def leave_to_twin(item: View) -> None:
    """The elements of the item go out with its twin."""
    for path in leaves(_inside(item), item.path):
        item.resource.mark(path, "ignored")


def _inside(item: View) -> Mapping[str, Any]:
    """The item itself: a view of one knows its path, such as `contact[0]`."""
    value: Any = item.resource.body
    for name, at in re.findall(r"([^.\[\]]+)(?:\[(\d+)\])?", item.path):
        value = value[name][int(at)] if at else value[name]
    return value if isinstance(value, Mapping) else {}


def _named(name: Any) -> tuple[str, ...]:
    if not isinstance(name, Mapping):
        return ()
    return (str(name.get("family", "")), *map(str, _listed(name.get("given"))))

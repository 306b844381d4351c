"""Values of a FHIRPath Patch (R4 fhirpatch.html): Parameters as JSON has them. Pure."""

from __future__ import annotations

import copy
from typing import Any

from hilum import definitions
from hilum.errors import FormatError

__all__ = ["kind_of", "member_of", "value_of"]


def member_of(type_: str, path: str, name: str, kind: str) -> tuple[str, bool]:
    """The JSON name of an element that is added, and whether it is a list."""
    known = definitions.children(type_, path)
    for key in (name, f"{name.removesuffix('[x]')}{kind}"):
        one = known.get(key)
        if one is not None:
            return key, one.is_list
    why = f"R4 has no `{name}` there" if name else "`name` is missing"
    raise FormatError(why, code="patch-path-missing")


def kind_of(part: dict[str, Any] | None) -> str:
    """The type of a value as JSON writes it into names: `Quantity` of `valueQuantity`."""
    return next((key.removeprefix("value") for key in part or {} if key.startswith("value")), "")


def value_of(part: dict[str, Any] | None, type_: str, path: str) -> Any:
    """What a value part holds: a value[x], a resource, or parts of an element that has no type of its own."""
    given = part or {}
    if isinstance(given.get("resource"), dict):
        return copy.deepcopy(given["resource"])
    plain = [value for key, value in given.items() if key.startswith("value")]
    if len(plain) == 1 and "part" not in given:
        return copy.deepcopy(plain[0])
    listed = given.get("part")
    if plain or not isinstance(listed, list) or not listed:
        raise FormatError("`value` has one value[x], a resource, or parts", code="patch-invalid")
    made: dict[str, Any] = {}
    for one in listed:
        name = one.get("name") if isinstance(one, dict) else None
        key, is_list = member_of(type_, path, name if isinstance(name, str) else "", kind_of(one))
        value = value_of(one, type_, f"{path}.{key}".lstrip("."))
        if is_list:
            made.setdefault(key, []).append(value)
        elif key in made:
            raise FormatError(f"`{key}` stands twice in the value", code="patch-invalid")
        else:
            made[key] = value
    return made

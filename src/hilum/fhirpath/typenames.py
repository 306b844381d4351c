"""Names of types in expressions: `Quantity`, `FHIR.code`, `System.Integer`; what `is`, `as`, `ofType` mean by them."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from msgspec import Struct

from hilum.fhirpath.failure import fail
from hilum.fhirpath.model import Model
from hilum.fhirpath.navigation import type_name
from hilum.fhirpath.shapes import Shape
from hilum.fhirpath.syntax import Chain, Member, Node
from hilum.fhirpath.values import Element, system_type

__all__ = ["TypeName", "matches", "matches_shape", "name_in", "resolve_type"]

SYSTEM = frozenset({"Boolean", "String", "Integer", "Long", "Decimal", "Date", "DateTime", "Time", "Quantity", "Any"})


class TypeName(Struct, frozen=True):
    """A type as far as it is known: its FHIR name, its system name, or both where only `Quantity` was said."""

    fhir: str = ""
    system: str = ""


def name_in(node: Node) -> tuple[str, ...]:
    """The parts of a type name that stands where an argument does. Raises FhirPathError `fhirpath-semantic`."""
    match node:
        case Member():
            return (node.name,)
        case Chain(head=Member() as head, links=(Member() as last,)):
            return head.name, last.name
    raise fail("here stands the name of a type, as in ofType(Quantity)", "fhirpath-semantic", node.at)


def resolve_type(parts: tuple[str, ...], model: Model | None, at: int) -> TypeName:
    """What a type name means. Raises FhirPathError `fhirpath-unknown-type`."""
    namespace, name = parts if len(parts) == 2 else ("", parts[0])
    system = name if name in SYSTEM else ""
    if namespace == "System":
        return TypeName(system=system)
    fhir = name if model is None or model.has(name) else ""
    if namespace not in ("", "FHIR") or not (fhir or (system and not namespace)):
        raise fail(f"there is no type `{'.'.join(parts)}`{_near(name)}", "fhirpath-unknown-type", at)
    return TypeName(fhir, "" if namespace else system)


def _near(name: str) -> str:
    close = get_close_matches(name, sorted(SYSTEM), n=1, cutoff=0.8)
    return f"; did you mean `{close[0]}`?" if close else ""


def matches(name: TypeName, model: Model | None, *, exact: bool) -> Callable[[Any], bool]:
    """Whether an item that says its type is of it. `exact`: primitives must be that type itself, as `as` asks."""
    is_a = _relation(model, exact=exact)

    def test(item: Any) -> bool:
        found = type_name(item)
        if found:
            return bool(name.fhir) and is_a(found, name.fhir)
        return type(item) is not Element and bool(name.system) and name.system in (system_type(item), "Any")

    return test


def matches_shape(name: TypeName, shape: Shape, model: Model | None, *, exact: bool) -> bool | None:
    """Whether all items of a shape are of a type; None where only the items can say."""
    if shape.fhir:
        return bool(name.fhir) and _relation(model, exact=exact)(shape.fhir, name.fhir)
    if shape.system:
        return name.system in (shape.system, "Any")
    return None


def _relation(model: Model | None, *, exact: bool) -> Callable[[str, str], bool]:
    if model is None:
        return lambda type_, base: type_ == base
    if not exact:
        return model.is_a
    return lambda type_, base: type_ == base or (not model.is_primitive(base) and model.is_a(type_, base))

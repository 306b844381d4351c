"""Tokens with a system, over elements that hold a bare code. Pure (R4 search.html#token).

A `code` has no system of its own: it is that of the value set which the element is bound to. So
`gender=http://hl7.org/fhir/administrative-gender|female` asks for the stored `female`, which is found under no system.
"""

from __future__ import annotations

from functools import lru_cache

from hilum import definitions
from hilum.formats.fhir import Place

__all__ = ["meant_tokens"]

Token = tuple[str | None, str | None]  # as in criteria.py: (system, code)

_TRUE_FALSE = "http://terminology.hl7.org/CodeSystem/special-values"  # R4 search.html#token, of a boolean
_BOOLEAN = frozenset({"boolean", "deceased"})


def meant_tokens(type_: str, places: tuple[Place, ...], values: tuple[Token, ...]) -> tuple[Token, ...]:
    """The tokens that are found under these places: those of a bare code are without their system.

    A system that is not the element's own stays, and finds nothing there.
    """
    plain = [place for place in places if place.leaf == "code" or place.leaf in _BOOLEAN]
    if not plain:
        return values
    found: list[Token] = []
    for system, code in values:
        is_implied = bool(system) and any(_implies(type_, place, system or "", code) for place in plain)
        if not is_implied or len(plain) < len(places):
            found.append((system, code))
        if is_implied:
            found.append(("", code))
    return tuple(found)


def _implies(type_: str, place: Place, system: str, code: str | None) -> bool:
    if place.leaf in _BOOLEAN:
        return system == _TRUE_FALSE
    bound = _bound_to(type_, place.path)
    if bound is None:
        return False
    if code is None:
        return system in bound.codes or system in bound.whole
    return bound.has(code, system) is True


@lru_cache(maxsize=1_024)
def _bound_to(type_: str, path: tuple[str, ...]) -> definitions.ValueSet | None:
    """The value set of a required binding; None without one."""
    element = definitions.element(type_, ".".join(path))
    if element is None or element.binding is None or element.binding.strength != "required":
        return None
    return definitions.value_set(element.binding.value_set)

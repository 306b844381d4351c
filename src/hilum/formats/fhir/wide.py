"""Facts of parameters that have no shape of their own: a decoded resource -> facts, place by place. Pure.

The datatypes that each kind of parameter takes are those of R4 search.html#token, #string, #date, #reference,
#quantity, #number, #uri.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .dates import date_range, period_range
from .parameters import Kind, Parameter
from .places import Place, values_at
from .strings import fold

__all__ = ["Value", "ranges_of", "strings_of", "values_of", "wide_facts"]

Value = tuple[Any, Any]  # a and b of a fact

_HUMAN = ("family", "given", "prefix", "suffix", "text")
_ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")


def wide_facts(
    resource: dict[str, Any], parameters: Iterable[Parameter]
) -> Iterator[tuple[Kind, tuple[int, Any, Any]]]:
    """(kind, fact) of these parameters."""
    for one in parameters:
        for a, b in values_of(resource, one.kind, one.places):
            yield one.kind, (one.number, a, b)


def values_of(resource: Any, kind: Kind, places: Iterable[Place]) -> Iterator[Value]:
    """What of a resource, or of a part of it, a parameter of this kind is compared with."""
    read = _READ.get(kind)
    if read is None:
        return
    if places and all(place.leaf == "deceased" for place in places):
        dead = any(value not in (False, None) for place in places for value in values_at(resource, place))
        yield ("true" if dead else "false"), ""
        return
    for place in places:
        for value in values_at(resource, place):
            yield from read(value, place)


def _token(value: Any, place: Place) -> Iterator[Value]:
    if isinstance(value, bool):
        yield ("true" if value else "false"), ""
    elif isinstance(value, str):
        yield value, ""
    elif isinstance(value, dict):
        if place.leaf == "CodeableConcept":
            for coding in _dicts(value.get("coding")):
                yield from _coded(coding, "code")
        elif place.leaf in ("Identifier", "ContactPoint"):
            yield from ((a, b if place.leaf == "Identifier" else "") for a, b in _coded(value, "value"))
        else:
            yield from _coded(value, "code")


def _coded(value: dict[str, Any], name: str) -> Iterator[Value]:
    code, system = value.get(name), value.get("system")
    if isinstance(code, str) and code:
        yield code, system if isinstance(system, str) else ""


def strings_of(value: Any, place: Place) -> Iterator[str]:
    """The strings of a string, name or address, as they are written."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name in _HUMAN if place.leaf == "HumanName" else _ADDRESS:
            inner = value.get(name)
            for text in inner if isinstance(inner, list) else [inner]:
                if isinstance(text, str):
                    yield text


def _string(value: Any, place: Place) -> Iterator[Value]:
    for text in strings_of(value, place):
        folded = fold(text)
        if folded:
            yield folded, ""


def ranges_of(value: Any) -> Iterator[tuple[int, int]]:
    """The ranges of a date, a Period or a Timing."""
    if isinstance(value, str):
        found = date_range(value)
        if found is not None:
            yield found
    elif isinstance(value, dict):
        if "event" in value or "repeat" in value:
            for event in value.get("event") or ():
                yield from ranges_of(event)
            repeat = value.get("repeat")
            if isinstance(repeat, dict) and isinstance(repeat.get("boundsPeriod"), dict):
                yield from ranges_of(repeat["boundsPeriod"])
            return
        start, end = (
            date_range(one) if isinstance(one, str) else None for one in (value.get("start"), value.get("end"))
        )
        if start or end:
            yield period_range(start, end)


def _date(value: Any, _: Place) -> Iterator[Value]:
    yield from ranges_of(value)


def _reference(value: Any, place: Place) -> Iterator[Value]:
    text = value.get("reference") if isinstance(value, dict) else value
    if isinstance(text, str) and text and not text.startswith("#"):
        target = text.partition("/_history/")[0] if "://" not in text else text.partition("|")[0]
        if not place.target or target.rpartition("/")[0].endswith(place.target):
            yield target, ""


def _quantity(value: Any, _: Place) -> Iterator[Value]:
    if not isinstance(value, dict) or not _is_number(value.get("value")):
        return
    system, code, unit = (one if isinstance(one, str) else "" for one in map(value.get, ("system", "code", "unit")))
    currency = value.get("currency")
    if isinstance(currency, str):
        system, code = "urn:iso:std:iso:4217", currency
    yield float(value["value"]), f"{system}|{code}|{unit}"


def _number(value: Any, _: Place) -> Iterator[Value]:
    if _is_number(value):
        yield float(value), "||"


def _is_number(value: Any) -> bool:
    return (not isinstance(value, bool) and isinstance(value, int | float)) or type(value).__name__ == "Decimal"


def _uri(value: Any, _: Place) -> Iterator[Value]:
    if isinstance(value, str) and value:
        yield value, ""


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


_READ: dict[Kind, Callable[[Any, Place], Iterator[Value]]] = {
    Kind.TOKEN: _token,
    Kind.IDENTIFIER: _token,
    Kind.STRING: _string,
    Kind.DATE: _date,
    Kind.REFERENCE: _reference,
    Kind.QUANTITY: _quantity,
    Kind.NUMBER: _number,
    Kind.URI: _uri,
}

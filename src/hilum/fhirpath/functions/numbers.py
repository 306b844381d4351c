"""Functions of numbers (FHIRPath N1, 5.7), and those of precision: boundaries, precision(), comparable()."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, DecimalException
from typing import Any

from hilum.fhirpath.failure import fail
from hilum.fhirpath.functions.boundaries import temporal_boundary
from hilum.fhirpath.functions.building import Build, of_value
from hilum.fhirpath.quantity import EXACT, Quantity
from hilum.fhirpath.temporal import Temporal

__all__ = ["NUMBERS"]

_NUMBERS = (int, Decimal)
_WIDE, _SHORT = Context(prec=80), Context(prec=30)
_MOST_PLACES = 31  # digits after the point that a boundary may have


def _number(value: Any) -> int | Decimal:
    if type(value) is int or type(value) is Decimal:
        return value
    raise fail("an argument that is no number", "fhirpath-type")


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise fail("an argument that is no whole number", "fhirpath-type")
    return value


def _abs(value: Any) -> Any:
    return Quantity(abs(value.value), value.unit, value.is_calendar) if type(value) is Quantity else abs(value)


def _rounding(mode: str) -> Any:
    def work(value: int | Decimal) -> int | None:
        return _integer(Decimal(value).to_integral_value(mode)) if abs(Decimal(value).adjusted()) < 30 else None

    return work


def _integer(value: Decimal) -> int | None:
    return int(value) if abs(value) < 2**63 else None


def _guarded(work: Any) -> Any:
    """A calculation that has no result gives nothing."""

    def run(*values: Any) -> Any:
        try:
            found = work(*(Decimal(_number(value)) for value in values))
        except (DecimalException, ValueError):
            return None
        return found if found is None or found.is_finite() else None

    return run


def _log(value: Decimal, base: Decimal) -> Decimal | None:
    if value <= 0 or base <= 0 or base == 1:
        return None
    # Logarithms are rounded; two digits less hide that: log(100, 10) is 2.
    return _SHORT.normalize(EXACT.divide(EXACT.ln(value), EXACT.ln(base)))


def _power(value: int | Decimal, exponent: Any) -> int | Decimal | None:
    exponent = _number(exponent)
    try:
        found = EXACT.power(Decimal(value), Decimal(exponent))
    except DecimalException:
        return None
    if not found.is_finite():
        return None
    if type(value) is int and type(exponent) is int and exponent >= 0:
        return _integer(found)
    return found


def _round(value: int | Decimal, *places: Any) -> Decimal | int | None:
    count = _whole(places[0]) if places else 0
    if not 0 <= count <= _MOST_PLACES:
        raise fail(f"round() takes 0 to {_MOST_PLACES} places", "fhirpath-type")
    try:
        return Decimal(value).quantize(Decimal(1).scaleb(-count), ROUND_HALF_UP, EXACT)
    except DecimalException:
        return None


def _truncate(value: int | Decimal) -> int | None:
    return _integer(Decimal(value)) if abs(Decimal(value).adjusted()) < 30 else None


def _boundary(*, high: bool) -> Any:
    def work(value: Any, *places: Any) -> Any:
        wanted = _whole(places[0]) if places else None
        if type(value) is Quantity:
            found = _decimal_boundary(value.value, wanted, high=high)
            return None if found is None else Quantity(found, value.unit, value.is_calendar)
        if type(value) is Temporal:
            return temporal_boundary(value, wanted, high=high)
        return _decimal_boundary(Decimal(value), wanted, high=high)

    return work


def _decimal_boundary(value: Decimal, places: int | None, *, high: bool) -> Decimal | None:
    """The edge of what rounds to this number, rounded outward to so many places (8 unless told)."""
    wanted = 8 if places is None else places
    exponent = value.as_tuple().exponent
    if not 0 <= wanted <= _MOST_PLACES or not isinstance(exponent, int) or abs(value.adjusted()) > 30:
        return None
    half = Decimal(5).scaleb(min(exponent, 0) - 1)
    edge = value + half if high else value - half
    with_mode = edge.quantize(Decimal(1).scaleb(-wanted), ROUND_CEILING if high else ROUND_FLOOR, _WIDE)
    return abs(with_mode) if with_mode == 0 else with_mode


def _precision(value: Any) -> int | None:
    if type(value) is Temporal:
        return value.digits
    if type(value) is Quantity:
        value = value.value
    exponent = Decimal(value).as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else None


def _comparable(value: Quantity, other: Any) -> bool:
    if type(other) is not Quantity:
        raise fail("comparable() takes a quantity", "fhirpath-type")
    return value.is_comparable(other)


_ANY = (int, Decimal, Quantity, Temporal)
NUMBERS: dict[str, Build] = {
    "abs": of_value(0, 0, _abs, "", (int, Decimal, Quantity)),
    "ceiling": of_value(0, 0, _rounding(ROUND_CEILING), "Integer", _NUMBERS),
    "floor": of_value(0, 0, _rounding(ROUND_FLOOR), "Integer", _NUMBERS),
    "truncate": of_value(0, 0, _truncate, "Integer", _NUMBERS),
    "exp": of_value(0, 0, _guarded(EXACT.exp), "Decimal", _NUMBERS),
    "ln": of_value(0, 0, _guarded(EXACT.ln), "Decimal", _NUMBERS),
    "sqrt": of_value(0, 0, _guarded(EXACT.sqrt), "Decimal", _NUMBERS),
    "log": of_value(1, 1, _guarded(_log), "Decimal", _NUMBERS),
    "power": of_value(1, 1, _power, "", _NUMBERS),
    "round": of_value(0, 1, _round, "", _NUMBERS),
    "lowBoundary": of_value(0, 1, _boundary(high=False), "", _ANY),
    "highBoundary": of_value(0, 1, _boundary(high=True), "", _ANY),
    "precision": of_value(0, 0, _precision, "Integer", _ANY),
    "comparable": of_value(1, 1, _comparable, "Boolean", (Quantity,)),
}

"""Conversion (FHIRPath N1, 5.5): toX() gives nothing where it cannot convert, convertsToX() says whether it can."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hilum.fhirpath.code import Applied, Items
from hilum.fhirpath.frame import Frame
from hilum.fhirpath.functions.building import Build, expect, of_value, one
from hilum.fhirpath.quantity import CALENDAR, Quantity
from hilum.fhirpath.shapes import Shape
from hilum.fhirpath.syntax import Call
from hilum.fhirpath.temporal import Temporal, parse_temporal

if TYPE_CHECKING:
    from hilum.fhirpath.compiler import Compiler, Scope

__all__ = ["CONVERSION"]

_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,100}(\.[0-9]{1,100})?")
_QUANTITY = re.compile(r"(?P<value>[+-]?[0-9]{1,100}(?:\.[0-9]{1,100})?)\s*(?:'(?P<unit>[^']+)'|(?P<time>[a-zA-Z]+))?")


def _to_boolean(value: Any) -> bool | None:
    if type(value) is bool:
        return value
    if type(value) is str:
        text = value.lower()
        return True if text in _TRUE else False if text in _FALSE else None
    if type(value) is int or type(value) is Decimal:
        return True if value == 1 else False if value == 0 else None
    return None


def _to_integer(value: Any) -> int | None:
    if type(value) is bool:
        return int(value)
    if type(value) is int:
        return value
    if type(value) is str and _INTEGER.fullmatch(value):
        found = int(value)
        return found if abs(found) < 2**63 else None
    return None


def _to_decimal(value: Any) -> Decimal | None:
    if type(value) is bool or type(value) is int:
        return Decimal(int(value))
    if type(value) is Decimal:
        return value
    return Decimal(value) if type(value) is str and _DECIMAL.fullmatch(value) else None


def _to_string(value: Any) -> str | None:
    if type(value) is str:
        return value
    if type(value) is bool:
        return str(value).lower()
    if type(value) is Decimal:
        return f"{value:f}" if abs(value.adjusted()) < 100 else str(value)
    if type(value) is Temporal:
        return value.text
    if type(value) is Quantity:
        return value.text()
    return str(value) if type(value) is int else None


def _to_quantity(value: Any) -> Quantity | None:
    if type(value) is Quantity:
        return value
    if type(value) is not str:
        number = _to_decimal(value)
        return None if number is None else Quantity(number)
    match = _QUANTITY.fullmatch(value)
    if match is None or (match["time"] and match["time"] not in CALENDAR):
        return None
    unit = match["unit"] or match["time"] or "1"
    return Quantity(Decimal(match["value"]), unit, is_calendar=bool(match["time"]))


def _to_date(value: Any) -> Temporal | None:
    if type(value) is Temporal and value.kind != "time":
        return parse_temporal(value.text.partition("T")[0], "date")
    return parse_temporal(value, "date") if type(value) is str else None


def _to_datetime(value: Any) -> Temporal | None:
    if type(value) is Temporal and value.kind != "time":
        return parse_temporal(value.text, "dateTime")
    return parse_temporal(value, "dateTime") if type(value) is str else None


def _to_time(value: Any) -> Temporal | None:
    if type(value) is Temporal:
        return value if value.kind == "time" else None
    return parse_temporal(value, "time") if type(value) is str else None


def _converts(work: Callable[[Any], Any], *, takes_unit: bool) -> Build:
    def build(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
        arguments = expect(node, 0, int(takes_unit))
        units = [compiler.system(compiler.node(part, scope)) for part in arguments]
        values, name, at = compiler.values(shape), node.name, node.at

        def answer(items: Items, this: Items, frame: Frame) -> bool | None:
            value = one(values(items), name, at)
            given = [one(run(this, frame), name, at) for run in units]
            return None if value is None or None in given else work(value, *given) is not None

        return Applied.answer(answer)

    return build


def _to_quantity_in(value: Any, *unit: Any) -> Quantity | None:
    """In the unit that is asked for; None where it measures something else."""
    found = _to_quantity(value)
    if found is None or not unit:
        return found
    zero = Quantity(Decimal(0), str(unit[0]), is_calendar=unit[0] in CALENDAR)
    if (found.unit, found.is_calendar) == (zero.unit, zero.is_calendar):
        return found
    return zero.plus(found, 1) if found.is_comparable(zero) else None


_CONVERSIONS: dict[str, Callable[..., Any]] = {
    "Boolean": _to_boolean,
    "Integer": _to_integer,
    "Decimal": _to_decimal,
    "String": _to_string,
    "Quantity": _to_quantity_in,
    "Date": _to_date,
    "DateTime": _to_datetime,
    "Time": _to_time,
}
CONVERSION: dict[str, Build] = {}
for _type, _work in _CONVERSIONS.items():
    _most = 1 if _type == "Quantity" else 0
    CONVERSION[f"to{_type}"] = of_value(0, _most, _work, _type)
    CONVERSION[f"convertsTo{_type}"] = _converts(_work, takes_unit=_type == "Quantity")

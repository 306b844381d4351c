"""The items of a collection while an expression runs, and what `=`, `~`, `<` mean between them (FHIRPath N1, 6.1, 6.2).

An item is a Python value: `bool`, `int`, `Decimal`, `str`, `Temporal`, `Quantity` are system values; a `dict` is a part
of a resource as JSON has it. Where the compiler cannot know the FHIR type of an item, or a primitive has extensions,
the item is an `Element` that carries both.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from hilum.fhirpath.failure import fail
from hilum.fhirpath.quantity import EXACT, QUANTITY_TYPES, Quantity, from_fhir
from hilum.fhirpath.temporal import Temporal, parse_temporal

__all__ = [
    "PRIMITIVES",
    "TEMPORAL_TYPES",
    "Element",
    "compare",
    "convert",
    "equal",
    "equal_all",
    "equivalent",
    "equivalent_all",
    "key_of",
    "system_type",
    "system_value",
    "system_values",
]

TEMPORAL_TYPES = {"date": "date", "dateTime": "dateTime", "instant": "dateTime", "time": "time"}
PRIMITIVES = frozenset({str, int, bool, float, Decimal})
_NUMBERS = frozenset({int, Decimal})


class Element:
    """An item with its FHIR type. `value` is None where a primitive has extensions only; `extra` is JSON's `_name`."""

    __slots__ = ("extra", "type", "value")

    def __init__(self, type_: str, value: Any, extra: dict[str, Any] | None = None) -> None:
        self.type, self.value, self.extra = type_, value, extra


def convert(type_: str, value: Any) -> Any:
    """The system value of a FHIR primitive or Quantity; anything else as it is."""
    kind = TEMPORAL_TYPES.get(type_)
    if kind is not None and type(value) is str:
        found = parse_temporal(value, kind)
        return value if found is None else found
    if type_ in QUANTITY_TYPES and type(value) is dict:
        quantity = from_fhir(value)
        return value if quantity is None else quantity
    return Decimal(repr(value)) if type(value) is float else value


def system_value(item: Any) -> Any:
    """The system value of an item; None for an element without one."""
    kind = type(item)
    if kind is Element:
        return convert(item.type, item.value)
    return Decimal(repr(item)) if kind is float else item


def system_values(items: list[Any]) -> list[Any]:
    """The system values of all items; elements without one are left out."""
    return [value for item in items if (value := system_value(item)) is not None]


def system_type(value: Any) -> str:
    """`Boolean`, `Integer`... of a system value; "" for a part of a resource."""
    if type(value) is Temporal:
        return {"date": "Date", "dateTime": "DateTime", "time": "Time"}[value.kind]
    return _SYSTEM.get(type(value), "")


_SYSTEM: dict[type, str] = {
    bool: "Boolean",
    int: "Integer",
    Decimal: "Decimal",
    float: "Decimal",
    str: "String",
    Quantity: "Quantity",
}


def key_of(item: Any) -> Any:
    """Something hashable that is the same for items that are equal (`=`): what distinct, union and intersect use."""
    value = system_value(item)
    kind = type(value)
    if kind is bool:
        return ("boolean", value)
    if kind is dict or kind is list:
        return msgspec.json.encode(value, order="sorted")
    return value.key if kind is Temporal or kind is Quantity else value


def equal(left: Any, right: Any) -> bool | None:
    """`=` of two system values or parts of a resource; None where precision or units leave it open."""
    kinds = type(left), type(right)
    if kinds[0] is kinds[1]:
        if kinds[0] is Temporal or kinds[0] is Quantity:
            found: bool | None = left.equals(right)
            return found
        return bool(left == right)
    if kinds[0] in _NUMBERS and kinds[1] in _NUMBERS:
        return bool(left == right)
    if Quantity in kinds and (kinds[0] in _NUMBERS or kinds[1] in _NUMBERS):
        return _quantity(left).equals(_quantity(right))
    return False


def equal_all(left: list[Any], right: list[Any]) -> bool | None:
    """`=` of two collections of system values: in order; None when one is empty."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    answers = [equal(*both) for both in zip(left, right, strict=True)]
    return False if False in answers else None if None in answers else True


def equivalent(left: Any, right: Any) -> bool:
    """`~` of two items: texts without case and blanks, decimals to the less precise, the rest by value."""
    kinds = type(left), type(right)
    if kinds == (str, str):
        return " ".join(left.lower().split()) == " ".join(right.lower().split())
    if kinds[0] in _NUMBERS and kinds[1] in _NUMBERS:
        return _equivalent_numbers(left, right)
    if kinds[0] is kinds[1] and kinds[0] in (Temporal, Quantity):
        return bool(left.equivalent(right))
    if kinds == (dict, dict):
        return _without_ids(left) == _without_ids(right)
    return bool(equal(left, right))


def _equivalent_numbers(left: int | Decimal, right: int | Decimal) -> bool:
    places = min(_places(left), _places(right))
    step = Decimal(1).scaleb(-places)
    return EXACT.quantize(Decimal(left), step) == EXACT.quantize(Decimal(right), step) if places < 30 else left == right


def _places(number: int | Decimal) -> int:
    exponent = number.as_tuple().exponent if type(number) is Decimal else 0
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def _without_ids(value: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in value.items() if name != "id"}


def equivalent_all(left: list[Any], right: list[Any]) -> bool:
    """`~` of two collections: in any order; two empty ones are equivalent."""
    if len(left) != len(right):
        return False
    rest = list(right)
    for one in left:
        for index, other in enumerate(rest):
            if equivalent(one, other):
                del rest[index]
                break
        else:
            return False
    return True


def compare(left: Any, right: Any, at: int) -> tuple[bool | None, bool | None]:
    """(less, greater) of two system values; None where precision or units leave it open.

    Raises FhirPathError `fhirpath-type` for what has no order between it.
    """
    kinds = type(left), type(right)
    if kinds == (str, str) or (kinds[0] in _NUMBERS and kinds[1] in _NUMBERS):
        return left < right, left > right
    if Quantity in kinds and _is_measured(kinds[0]) and _is_measured(kinds[1]):
        left, right = _quantity(left), _quantity(right)
        return left.before(right), right.before(left)
    left, right = _dated(left, right), _dated(right, left)
    if type(left) is Temporal and type(right) is Temporal and (left.kind == "time") == (right.kind == "time"):
        return left.before(right), right.before(left)
    raise fail(f"{_named(left)} and {_named(right)} have no order between them", "fhirpath-type", at)


def _is_measured(kind: type) -> bool:
    return kind is Quantity or kind in _NUMBERS


def _dated(value: Any, other: Any) -> Any:
    """A text beside a date, from JSON whose types nobody knows, is read as a date."""
    if type(value) is str and type(other) is Temporal:
        return parse_temporal(value, "time" if other.kind == "time" else "dateTime") or value
    return value


def _quantity(value: Any) -> Quantity:
    return value if type(value) is Quantity else Quantity(Decimal(value))


def _named(value: Any) -> str:
    return system_type(value) or "a part of a resource"

"""Quantities: a decimal with a UCUM or a calendar unit; comparing and calculating across units (N1, 6.1, 6.2, 6.6).

Calendar years and months have no fixed length: they do not compare with UCUM's `a` and `mo`. Weeks, days and what is
shorter do: `7 days = 1 'wk'`.
"""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from msgspec import Struct

from hilum.fhirpath.ucum import Unit, multiply_units, parse_unit

__all__ = ["CALENDAR", "EXACT", "QUANTITY_TYPES", "UCUM", "Quantity", "from_fhir"]

UCUM = "http://unitsofmeasure.org"
EXACT = Context(prec=34)  # more than the 28 digits that are promised
CALENDAR = {
    form: name
    for name in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for form in (name, name + "s")
}
_AS_UCUM = {"week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s", "millisecond": "ms"}
_AS_CALENDAR = {"a": "year", "mo": "month"} | {code: name for name, code in _AS_UCUM.items()}
_HUGE = 100  # powers of ten beyond which a number is no measurement
QUANTITY_TYPES = frozenset({"Quantity", "SimpleQuantity", "MoneyQuantity", "Age", "Count", "Distance", "Duration"})


class Quantity(Struct, frozen=True):
    """`unit` is a UCUM code, or (`is_calendar`) a calendar word as it was written: `week`, `days`."""

    value: Decimal
    unit: str = "1"
    is_calendar: bool = False

    @property
    def calendar(self) -> str:
        """`day` for `days`, and for the UCUM codes that date arithmetic takes: `d`, `wk`, `h`; "" for all others."""
        if self.is_calendar:
            return CALENDAR[self.unit]
        found = _AS_CALENDAR.get(self.unit, "")
        return "" if found in ("year", "month") else found

    @property
    def key(self) -> tuple[object, ...]:
        """The same for quantities that are equal."""
        if self.is_calendar and CALENDAR[self.unit] in ("year", "month"):
            return ("calendar", self._months())
        unit = self.measure()
        return ("quantity", self.unit, self.value) if unit is None else ("ucum", unit.base(self.value), unit.dimension)

    def _months(self) -> Decimal:
        return self.value * 12 if CALENDAR[self.unit] == "year" else self.value

    def measure(self) -> Unit | None:
        """What its unit measures; None for a unit that is not known."""
        return parse_unit(_AS_UCUM.get(CALENDAR[self.unit], "") if self.is_calendar else self.unit)

    def text(self) -> str:
        """`1.5 'mg'`, `4 days`."""
        return f"{self.value:f} {self.unit}" if self.is_calendar else f"{self.value:f} '{self.unit}'"

    def is_comparable(self, other: Quantity) -> bool:
        """Whether both measure the same thing."""
        return self.common(other) is not None

    def common(self, other: Quantity) -> tuple[Fraction, Fraction] | None:
        """Both values in one unit; None where there is none."""
        if self.unit == other.unit and self.is_calendar == other.is_calendar:
            return Fraction(self.value), Fraction(other.value)
        if self._is_long() or other._is_long():
            if self._is_long() and other._is_long():
                return Fraction(self._months()), Fraction(other._months())
            return None
        mine, yours = self.measure(), other.measure()
        if mine is None or yours is None or mine.dimension != yours.dimension:
            return None
        return mine.base(self.value), yours.base(other.value)

    def _is_long(self) -> bool:
        return self.is_calendar and CALENDAR[self.unit] in ("year", "month")

    def equals(self, other: Quantity) -> bool | None:
        """None where the units cannot be compared."""
        both = self.common(other)
        return None if both is None else both[0] == both[1]

    def before(self, other: Quantity) -> bool | None:
        """Whether it is less; None where the units cannot be compared."""
        both = self.common(other)
        return None if both is None else both[0] < both[1]

    def equivalent(self, other: Quantity) -> bool:
        """`~`: equal when rounded to the less precise of both."""
        if self._is_long() != other._is_long() and self.calendar_of() == other.calendar_of():
            return self.value == other.value
        both = self.common(other)
        if both is None:
            return False
        mine, yours = self.measure(), other.measure()
        if mine is None or yours is None or not (mine.is_linear and yours.is_linear):
            return both[0] == both[1]
        # Both in the unit of the less precise one, rounded as far as that one is written.
        coarse, unit = (self, mine) if _step(self, mine) >= _step(other, yours) else (other, yours)
        places = max(-_exponent(coarse.value), 0)
        return round(both[0] / unit.factor, places) == round(both[1] / unit.factor, places)

    def calendar_of(self) -> str:
        """The calendar word that its unit stands for, `a` and `mo` too."""
        return CALENDAR[self.unit] if self.is_calendar else _AS_CALENDAR.get(self.unit, "")

    def plus(self, other: Quantity, sign: int) -> Quantity | None:
        """Sum or difference, in the unit of the first; None where they cannot be compared."""
        if self.unit == other.unit and self.is_calendar == other.is_calendar:
            return Quantity(EXACT.add(self.value, sign * other.value), self.unit, self.is_calendar)
        both, unit = self.common(other), self.measure()
        if both is None or unit is None or not unit.is_linear:
            return None
        return Quantity(_decimal((both[0] + sign * both[1]) / unit.factor), self.unit, self.is_calendar)

    def times(self, other: Quantity, *, divide: bool) -> Quantity | None:
        """Product or quotient, in base units where units meet; None where a unit is not known."""
        if other.unit == "1":
            return Quantity(_ratio(self.value, other.value, divide=divide), self.unit, self.is_calendar)
        mine, yours = self.measure(), other.measure()
        if mine is None or yours is None or not (mine.is_linear and yours.is_linear):
            return None
        left, right = mine.base(self.value), yours.base(other.value)
        value = _decimal(left / right if divide else left * right)
        return Quantity(value, multiply_units(mine, yours, divide=divide))


def from_fhir(value: dict[str, Any]) -> Quantity | None:
    """A FHIR Quantity as a system one (R4 fhirpath.html#quantity); None with a comparator or without a value."""
    number = value.get("value")
    if number is None or isinstance(number, bool | str) or value.get("comparator") is not None:
        return None
    code, system = value.get("code"), value.get("system")
    unit = code if isinstance(code, str) else value.get("unit")
    amount = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
    if not amount.is_finite() or abs(amount.adjusted()) > _HUGE:
        return None
    if system == UCUM and unit in _AS_CALENDAR:
        return Quantity(amount, _AS_CALENDAR[str(unit)], is_calendar=True)
    return Quantity(amount, unit if isinstance(unit, str) else "1")


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _step(quantity: Quantity, unit: Unit) -> Fraction:
    """The last digit that was written, in base units."""
    return unit.factor * Fraction(10) ** min(_exponent(quantity.value), 0)


def _decimal(value: Fraction) -> Decimal:
    return EXACT.divide(Decimal(value.numerator), Decimal(value.denominator))


def _ratio(left: Decimal, right: Decimal, *, divide: bool) -> Decimal:
    return EXACT.divide(left, right) if divide else EXACT.multiply(left, right)

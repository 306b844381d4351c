"""Dates of any precision, and quantities across units."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.fhirpath import Quantity, compile_expression, parse_temporal


def said(text: str) -> object:
    found = compile_expression(text)({})
    return found[0] if found else None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("@2018-03 < @2018-03-01", None),
        ("@2018-03 < @2018-04-01", True),
        ("@2018-03-01T10:00:00Z = @2018-03-01T11:00:00+01:00", True),
        ("@2018-03-01T10:00:00Z < @2018-03-01T12:00:00", None),
        ("@2018-03-01T10:00:00Z < @2018-03-03T12:00:00", True),
        ("@2018-03-01T10:30:00 = @2018-03-01T10:30:00.000", True),
        ("@T10:30 = @T10:30:00", None),
        ("@2018-01-31 + 1 month = @2018-02-28", True),
        ("@2020-02-29 + 1 year = @2021-02-28", True),
        ("@2018-12-31 + 1 day = @2019-01-01", True),
        ("@2014 + 24 months = @2016", True),
        ("@2018-03-01T23:30:00Z + 45 minutes = @2018-03-02T00:15:00Z", True),
        ("@T23:30 + 1 hour = @T00:30", True),
        ("@9999-12-31 + 1 day", None),
        ("@2018-02.highBoundary().toString()", "2018-02-28"),
        ("@2018.lowBoundary(17)", None),
        ("5 'mg' = 0.005 'g'", True),
        ("1 'L' = 1 'dm3'", True),
        ("120 'mm[Hg]' > 15 'kPa'", True),
        ("37 'Cel' = 310.15 'K'", True),
        ("140 'mmol/L' = 140 'meq/L'", True),
        ("1 '10*3/uL' = 1 '10*9/L'", True),
        ("1 '[iU]/L' = 1000 'm[iU]/L'", True),
        ("5 'mg' = 5 'mL'", None),
        ("1 year = 12 months", True),
        ("1 year = 1 'a'", None),
        ("1 year ~ 1 'a'", True),
        ("3 'nonsense' = 3 'nonsense'", True),
        ("(6 'g' / 2 'dL') = 30 'g/L'", True),
        ("2 'm' * 3 = 6 'm'", True),
        ("(1 'm' + 50 'cm') = 1.5 'm'", True),
        ("'7 days'.toQuantity() = 1 'wk'", True),
        ("1 'kg'.toQuantity('g') = 1000 'g'", True),
    ],
)
def test_values_compare_and_calculate_with_their_precision_and_unit(text: str, wanted: object) -> None:
    assert said(text) == wanted


@given(st.datetimes(), st.datetimes())
def test_two_moments_are_ordered_as_python_orders_them(left, right) -> None:  # type: ignore[no-untyped-def]
    one, other = (parse_temporal(moment.isoformat(timespec="milliseconds"), "dateTime") for moment in (left, right))
    assert one is not None
    assert other is not None
    cut = [moment.replace(microsecond=moment.microsecond // 1000 * 1000) for moment in (left, right)]
    assert one.before(other) is (cut[0] < cut[1])
    assert one.equals(other) is (cut[0] == cut[1])


@given(st.dates(), st.integers(-5000, 5000))
def test_days_that_are_added_are_taken_away_again(day, count) -> None:  # type: ignore[no-untyped-def]
    moved = said(f"@{day.isoformat()} + {abs(count)} days")
    if moved is not None:
        assert str(said(f"(@{day.isoformat()} + {abs(count)} days - {abs(count)} days).toString()")) == day.isoformat()


@pytest.mark.parametrize("text", ["0", "/0", "g/0", "1/00", "0.g"])
def test_nothing_is_measured_by_zero(text: str) -> None:
    assert Quantity(Decimal(1), text).measure() is None


@given(st.text(max_size=30))
def test_any_text_is_a_unit_or_none(text: str) -> None:
    Quantity(Decimal(1), text).measure()
    Quantity(Decimal(1), text).equals(Quantity(Decimal(1), "g"))


def test_a_number_that_is_too_large_to_be_measured_is_no_quantity() -> None:
    from hilum.fhirpath import decode

    huge = decode('{"resourceType": "Observation", "valueQuantity": {"value": 1e999999, "code": "mg"}}')
    assert compile_expression("value.ofType(Quantity) = 1 'g'")(huge) == [False]

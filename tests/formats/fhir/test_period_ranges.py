"""Ranges of periods, also of those that cannot be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.fhir.dates import FAR_FUTURE, FAR_PAST, date_range, period_range

DATES = st.sampled_from([None, "2026", "2026-02", "2026-02-01T10:00:00Z", "2026-01", "0001-01-01", "9999-12-31"])


@given(DATES, DATES)
def test_every_period_lasts_for_some_time_from_its_beginning(start: str | None, end: str | None) -> None:
    first, after = period_range(*(date_range(one) if one else None for one in (start, end)))
    assert FAR_PAST <= first < after <= FAR_FUTURE, "one of no length would count as missing"
    begins = date_range(start) if start else None
    if begins is not None:
        assert first == begins[0]


def test_a_period_that_ends_before_it_begins_is_as_long_as_its_start() -> None:
    start, end = date_range("2026-02-01"), date_range("2026-01")
    assert period_range(start, end) == start
    assert period_range(end, start) == (end[0], start[1]) if start and end else False

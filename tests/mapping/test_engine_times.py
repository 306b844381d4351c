"""Times keep their precision and their zone; what the clocks do is flagged; nothing is ever made up."""

from datetime import datetime
from zoneinfo import ZoneInfo

import engine_kit as kit
import pytest
from hypothesis import given
from hypothesis import strategies as st

ROW = "r,,PID,PID-29,DTM,,Patient.deceasedDateTime,datetime(zone=param.zone),,,,,,,"


def moment(
    raw: str, transform: str = "datetime(zone=param.zone)", zone: str = "Europe/Berlin"
) -> tuple[str | None, list[str]]:
    row = ROW.replace("datetime(zone=param.zone)", transform)
    mapped = kit.run(kit.plan(row, params=kit.PARAMS.replace("Europe/Berlin", zone)), kit.PID + "|" * 26 + raw)
    codes = [code for code in kit.codes(mapped) if not code.startswith("field-")]
    return kit.one(mapped).get("deceasedDateTime"), codes


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("1979", "1979"),
        ("197902", "1979-02"),
        ("19790203", "1979-02-03"),
        ("1979020310", "1979-02-03T10:00:00+01:00"),
        ("197902031015", "1979-02-03T10:15:00+01:00"),
        ("19790203101530", "1979-02-03T10:15:30+01:00"),
        ("19790203101530.1230", "1979-02-03T10:15:30.1230+01:00"),
        ("20240703101530", "2024-07-03T10:15:30+02:00"),
        ("20240703101530-0500", "2024-07-03T10:15:30-05:00"),
        ("20240703101530+0000", "2024-07-03T10:15:30+00:00"),
        ("19790203^D", "1979-02-03"),
    ],
)
def test_precision_and_zone_stay_as_sent(raw: str, expected: str) -> None:
    assert moment(raw) == (expected, [])


@pytest.mark.parametrize(
    "raw", ["20240230", "20241301", "2024010125", "202401011060", "yesterday", "2024-01-01", "20240101101530X"]
)
def test_what_is_no_time_is_an_item_and_writes_nothing(raw: str) -> None:
    assert moment(raw) == (None, ["time-invalid"])


@pytest.mark.parametrize(
    ("raw", "expected", "code"),
    [
        ("20240331023000", "2024-03-31T02:30:00+01:00", "time-skipped"),
        ("20241027023000", "2024-10-27T02:30:00+02:00", "time-repeated"),
    ],
)
def test_a_local_time_that_the_clocks_skip_or_repeat_is_flagged(raw: str, expected: str, code: str) -> None:
    assert moment(raw) == (expected, [code])
    assert moment(raw + "+0100") == (f"{expected[:-6]}+01:00", [])  # who writes the zone is not asked


def test_half_hour_changes_of_the_clock_are_seen_within_the_hour() -> None:
    assert moment("20241006021500", zone="Australia/Lord_Howe")[1] == ["time-skipped"]
    assert moment("20241006024500", zone="Australia/Lord_Howe") == ("2024-10-06T02:45:00+11:00", [])


def test_a_date_drops_the_time_and_keeps_the_precision() -> None:
    assert moment("19890118000000", "date") == ("1989-01-18", [])
    assert moment("198901", "date") == ("1989-01", [])


def test_an_instant_needs_a_time_of_day() -> None:
    assert moment("20240703", "instant(zone=param.zone)") == (None, ["time-imprecise"])


def test_without_any_zone_the_date_alone_is_kept_and_said() -> None:
    assert moment("20240703101530", "datetime", zone="") == ("2024-07-03", ["zone-missing"])
    assert moment("20240703101530+0200", "datetime", zone="") == ("2024-07-03T10:15:30+02:00", [])


def test_a_duration_is_added_and_its_unit_counts() -> None:
    row = '"instant(zone=param.zone, plus=PID-30, unit=PID-31)"'
    compiled = kit.plan(ROW.replace("datetime(zone=param.zone)", row))
    assert (
        kit.one(kit.run(compiled, kit.PID + "|" * 26 + "20240703101530|90|min^^UCUM"))["deceasedDateTime"]
        == "2024-07-03T11:45:30+02:00"
    )
    assert (
        kit.one(kit.run(compiled, kit.PID + "|" * 26 + "20240703101530|2|H"))["deceasedDateTime"]
        == "2024-07-03T12:15:30+02:00"
    )
    assert kit.codes(kit.run(compiled, kit.PID + "|" * 26 + "20240703101530|2|parsec"))[0] == "duration-invalid"
    for time, amount in (("20240703101530", "9" * 12), ("20240703101530", "9" * 400), ("99991231235959", "60")):
        assert "duration-invalid" in kit.codes(kit.run(compiled, kit.PID + "|" * 26 + f"{time}|{amount}|min"))


def test_a_period_has_the_ends_that_are_there() -> None:
    row = '"period(end=PID-30, zone=param.zone)"'
    compiled = kit.plan(ROW.replace("datetime(zone=param.zone)", row).replace("deceasedDateTime", "maritalStatus"))
    assert kit.one(kit.run(compiled, kit.PID + "|" * 26 + "2024|2025"))["maritalStatus"] == {
        "start": "2024",
        "end": "2025",
    }
    assert kit.one(kit.run(compiled, kit.PID + "|" * 26 + "2024"))["maritalStatus"] == {"start": "2024"}


@pytest.mark.parametrize(
    ("raw", "expected", "codes"),
    [
        ("0930", "09:30:00", []),
        ("093015.5", "09:30:15.5", []),
        ("2460", None, ["time-invalid"]),
        ("0930+0100", "09:30:00", ["time-zone-dropped"]),
    ],
)
def test_a_time_of_day(raw: str, expected: str | None, codes: list[str]) -> None:
    assert moment(raw, "time") == (expected, codes)


COMPILED = kit.plan(ROW)


@given(st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2037, 1, 1)))  # noqa: DTZ001
def test_a_local_time_means_the_moment_that_the_zone_says(local: datetime) -> None:
    mapped = kit.run(COMPILED, f"{kit.PID}{'|' * 26}{local:%Y%m%d%H%M%S}")
    text = kit.one(mapped)["deceasedDateTime"]
    assert not text.endswith("Z")
    found = datetime.fromisoformat(text)
    assert found.replace(tzinfo=None) == local.replace(microsecond=0)
    expected = local.replace(microsecond=0, tzinfo=ZoneInfo("Europe/Berlin"))
    assert found.utcoffset() == expected.utcoffset()

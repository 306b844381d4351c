"""Dates, references, strings, numbers and outcomes of FHIR."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import FormatError
from hilum.formats import fhir
from hilum.formats.fhir import Issue, IssueSeverity, Prefix, Reference


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026", (ms(2026, 1, 1), ms(2027, 1, 1))),
        ("2026-02", (ms(2026, 2, 1), ms(2026, 3, 1))),
        ("2024-02-29", (ms(2024, 2, 29), ms(2024, 3, 1))),
        ("2026-12", (ms(2026, 12, 1), ms(2027, 1, 1))),
        ("2026-03-01T08:30", (ms(2026, 3, 1, 8, 30), ms(2026, 3, 1, 8, 31))),
        ("2026-03-01T08:30:05Z", (ms(2026, 3, 1, 8, 30, 5), ms(2026, 3, 1, 8, 30, 6))),
        ("2026-03-01T08:30:05.25Z", (ms(2026, 3, 1, 8, 30, 5) + 250, ms(2026, 3, 1, 8, 30, 5) + 260)),
        ("2026-03-01T08:30:05.123456-06:00", (ms(2026, 3, 1, 14, 30, 5) + 123, ms(2026, 3, 1, 14, 30, 5) + 124)),
        ("2026-03-01T00:00:00+14:00", (ms(2026, 2, 28, 10), ms(2026, 2, 28, 10) + 1000)),
        ("9999-12-31", (ms(9999, 12, 31), fhir.FAR_FUTURE)),
        ("9999-12", (ms(9999, 12, 1), fhir.FAR_FUTURE)),
        ("9999", (ms(9999, 1, 1), fhir.FAR_FUTURE)),
    ],
)
def test_a_date_is_the_range_of_its_precision(text: str, expected: tuple[int, int]) -> None:
    assert fhir.date_range(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "26", "2026-13", "2026-02-30", "2026-03-01T25:00:00Z", "2026-03-01T08", "2026-03-01T08:30:05+15:00"),
        *("today", "0000", "2026-3-1", "2026-03-01 08:30:05", "2026-03-01T08:61Z", "２０２６", " 2026"),
    ],
)
def test_what_is_no_date_has_no_range(text: str) -> None:
    assert fhir.date_range(text) is None


@given(st.datetimes(datetime(1, 1, 2), datetime(9998, 12, 30)))  # noqa: DTZ001
def test_an_instant_reads_back_as_it_was_written(moment: datetime) -> None:
    at = int((moment - datetime(1970, 1, 1)).total_seconds()) * 1000 + moment.microsecond // 1000  # noqa: DTZ001
    assert fhir.date_range(fhir.format_instant(at)) == (at, at + 1)


def test_a_prefix_is_split_from_its_date() -> None:
    assert fhir.split_prefix("ge2026") == (Prefix.GE, "2026")
    assert fhir.split_prefix("2026") == (Prefix.EQ, "2026")
    assert fhir.split_prefix("ap2026") == (Prefix.AP, "2026")


RANGE = st.tuples(st.integers(0, 20), st.integers(1, 10)).map(lambda one: (one[0], one[0] + one[1]))


@given(RANGE, RANGE)
def test_comparisons_of_ranges_agree_with_each_other(searched: tuple[int, int], stored: tuple[int, int]) -> None:
    told = {prefix: fhir.compare_ranges(prefix, searched, stored) for prefix in Prefix}
    assert told[Prefix.NE] is not told[Prefix.EQ]
    assert told[Prefix.GE] == (told[Prefix.GT] or told[Prefix.EQ])
    assert told[Prefix.LE] == (told[Prefix.LT] or told[Prefix.EQ])
    assert not (told[Prefix.SA] and told[Prefix.EB])
    assert not told[Prefix.SA] or told[Prefix.GT]
    assert not told[Prefix.EB] or told[Prefix.LT]
    assert told[Prefix.EQ] or told[Prefix.GT] or told[Prefix.LT]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Patient/a", Reference("Patient", "a")),
        ("Patient/a/_history/3", Reference("Patient", "a", version="3")),
        ("https://example.org/fhir/Patient/a.b-1", Reference("Patient", "a.b-1", "https://example.org/fhir")),
        ("a-1", Reference("", "a-1")),
        ("#inner", None),
        ("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", None),
        ("Kitten/a", None),
        ("ftp://example.org/Patient/a", None),
        ("Patient/", None),
        ("Patient?identifier=1", None),
        ("", None),
    ],
)
def test_a_reference_is_read_or_is_none(text: str, expected: Reference | None) -> None:
    assert fhir.parse_reference(text) == expected


def test_only_the_references_named_are_redirected_and_all_else_stays() -> None:
    body = b'{"a": {"reference" : "Patient/a","display":"Patient/a"},"x":[{"reference":"Patient/ab"}],"y":"reference"}'
    assert fhir.local_references(body) == ["Patient/a", "Patient/ab"]
    moved = fhir.redirect_references(body, {"Patient/a": "Patient/b", "Patient/c": "Patient/d"})
    assert moved == body.replace(b': "Patient/a"', b': "Patient/b"')


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  Müller-ŁUKASZ ", "muller-lukasz"),
        ("O'Brien\tJr.", "o'brien jr."),
        ("Straße", "strasse"),
        ("Zoë", "zoe"),
        ("ÆØÅ", "aeoa"),
        ("İstanbul", "istanbul"),
        ("ﬁne", "fine"),
        ("山田 太郎", "山田 太郎"),
        ("", ""),
    ],
)
def test_strings_are_folded_for_comparison(text: str, folded: str) -> None:
    assert fhir.fold(text) == folded


@given(st.text())
def test_folding_is_stable(text: str) -> None:
    assert fhir.fold(fhir.fold(text)) == fhir.fold(text)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_decimal_text_survives_reading_and_writing(value: Decimal) -> None:
    text = f'{{"value":{value:f}}}'.encode()
    assert fhir.encode(fhir.decode(text)) == text


def test_what_is_not_json_is_refused() -> None:
    for bad in (b"", b"{", b'{"a":01}', b'{"a":"\xff"}', b"[" * 100_000):
        with pytest.raises(FormatError) as caught:
            fhir.decode(bad)
        assert caught.value.code == "fhir-json-invalid"


def test_an_outcome_names_the_code_and_the_place() -> None:
    issue = Issue("not-found", "there is no such resource", "not-found", IssueSeverity.ERROR, ("http.id",))
    made = msgspec.json.decode(
        fhir.operation_outcome([issue, Issue("informational", "note", severity=IssueSeverity.INFORMATION)])
    )
    assert made["resourceType"] == "OperationOutcome"
    assert made["issue"][0] == {
        "severity": "error",
        "code": "not-found",
        "details": {"coding": [{"system": "urn:hilum:code", "code": "not-found"}], "text": "there is no such resource"},
        "diagnostics": "not-found: there is no such resource",
        "expression": ["http.id"],
    }
    assert made["issue"][1] == {"severity": "information", "code": "informational", "diagnostics": "note"}
    with pytest.raises(ValueError, match="at least one"):
        fhir.operation_outcome([])


def test_all_types_of_r4_are_known() -> None:
    assert len(fhir.RESOURCE_TYPES) == len(set(fhir.RESOURCE_TYPES)) == 146
    assert tuple(sorted(fhir.RESOURCE_TYPES)) == fhir.RESOURCE_TYPES
    assert not fhir.is_resource_type("Kitten")
    assert fhir.is_id("a" * 64)
    assert not fhir.is_id("a" * 65)

"""Accept, _format and Prefer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.app.api.negotiation import accepts_json, check_format, is_strict
from hilum.app.api.outcomes import Problem


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/fhir+json",
        "application/fhir+json; fhirVersion=4.0",
        "APPLICATION/JSON",
        "application/fhir+xml, application/fhir+json;q=0.1",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "application/*",
    ],
)
def test_callers_that_take_json_get_it(accept: str) -> None:
    assert accepts_json(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+xml",
        "text/html",
        "application/fhir+json;q=0",
        "application/fhir+json;q=0, */*",
        "application/fhir+json; fhirVersion=3.0",
        "application/fhir+json;q=nan-sense",
        "json-ish",
    ],
)
def test_callers_that_do_not_take_r4_json_are_refused(accept: str) -> None:
    assert not accepts_json(accept)


def test_format_overrides_accept() -> None:
    check_format("application/fhir+xml", "json")
    check_format("application/fhir+xml", "application/fhir json")  # a + that was not encoded
    with pytest.raises(Problem) as caught:
        check_format("application/fhir+json", "xml")
    assert (caught.value.status, caught.value.code) == (406, "format-unsupported")


@pytest.mark.parametrize(
    ("prefer", "strict"),
    [
        ("", False),
        ("handling=strict", True),
        ("return=minimal; handling=Strict", True),
        ('respond-async, handling="strict"', True),
        ("handling=lenient, handling=strict", False),
        ("handling", False),
    ],
)
def test_handling_is_lenient_unless_strict_is_preferred(prefer: str, strict: bool) -> None:
    assert is_strict(prefer) is strict


@given(st.text(max_size=60))
def test_any_header_gives_an_answer(text: str) -> None:
    assert accepts_json(text) in (True, False)
    assert is_strict(text) in (True, False)

"""The error tree says what to do next; values say what they are."""

from __future__ import annotations

import pytest

from hilum import errors
from hilum.model import Accounting, Disposition, Finding


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_has_a_docstring_that_says_what_it_means(name: str) -> None:
    assert getattr(errors, name).__doc__


def test_an_error_reads_location_then_code_then_message() -> None:
    error = errors.StoreFull("the disk is full", location="store.db")
    assert str(error) == "store.db store-full the disk is full"
    assert error.outcome is errors.Outcome.RETRY


def test_a_finding_reads_as_one_line_with_its_hint() -> None:
    finding = Finding(
        "key-unknown", "`ownres` is not a key here", "integration.yaml:3:1", hint="did you mean `owners`?"
    )
    assert str(finding) == ("integration.yaml:3:1 key-unknown `ownres` is not a key here (did you mean `owners`?)")


def test_accounting_adds_up_only_when_every_field_has_one_fate() -> None:
    assert Accounting(10, 7, 2, 1).adds_up
    assert not Accounting(10, 7, 2, 0).adds_up


def test_only_ae_and_ar_are_refusals() -> None:
    assert [d for d in Disposition if d.is_refusal] == [Disposition.AE, Disposition.AR]

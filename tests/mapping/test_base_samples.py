"""Every row of the base workbook does to its sample what its `expect` cell says, as `hilum workbook test` runs it."""

from __future__ import annotations

import pytest

from hilum.mapping import load_base
from hilum.workbook import Check, TestRun, Verdict

BASE = load_base()


def _no_file(layer: str, name: str) -> bytes:
    raise FileNotFoundError(2, "no such file", f"{layer}/{name}")


RUN = TestRun(BASE, read_file=_no_file)


@pytest.fixture(scope="module")
def checks() -> dict[str, Check]:
    return {check.test: check for check in RUN.run()}


@pytest.mark.parametrize("row", [row.row_id for row in BASE.rows])
def test_a_row_does_to_its_sample_what_it_says(row: str, checks: dict[str, Check]) -> None:
    check = checks[row]
    assert check.verdict is Verdict.PASSED, (check.where, check.problem, check.discrepancies)


def test_there_are_samples_of_every_row() -> None:
    assert len(BASE.rows) > 400
    assert not RUN.report(()).untested

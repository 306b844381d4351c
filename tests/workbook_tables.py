"""A small base and site for tests of the workbook's review."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hilum.mapping import columns_of
from hilum.workbook import Review, review_of
from hilum.workbook.documents import record_text

BASE_ROWS = [
    {
        "row_id": "pat-key",
        "applies": "ADT^A01|A08",
        "anchor": "PID",
        "source": "PID-3[1]",
        "type": "CX",
        "target": "Patient.id",
        "transform": "key",
        "missing": "reject",
        "owner": "registration",
        "status": "draft",
    },
    {
        "row_id": "pat-sex",
        "anchor": "PID",
        "source": "PID-8",
        "type": "IS",
        "target": "Patient.gender",
        "transform": "code",
        "map": "Sex",
        "owner": "registration",
        "status": "draft",
    },
    {
        "row_id": "pat-phone",
        "anchor": "PID",
        "source": "PID-13",
        "type": "XTN",
        "target": "Patient.telecom[+]",
        "transform": 'XTN(use="home")',
        "owner": "registration",
        "status": "draft",
        "sample": "PID-13=0551",
        "expect": "{}",
    },
]
BASE_MAPS = [
    {"map": "Sex", "code": "F", "target": "female", "owner": "registration", "status": "draft"},
    {"map": "Sex", "code": "007", "target": "other", "owner": "registration", "status": "draft"},
]
BASE_PARAMS = [{"param": "zone", "inspection": "UTC", "owner": "clinical"}]
BASE_IGNORES = [{"field": "PID-1", "reason": "a number", "owner": "technical"}]

# A site, and a row of its own.
USE = "lab-results"
OWN = {"row_id": "site-x", "anchor": "PID", "source": "PID-14", "target": "Patient.telecom[+]", "transform": "XTN",
       "owner": "registration", "status": "draft", "note": "why"}  # fmt: skip


def table(name: str, lines: Iterable[dict[str, str]]) -> str:
    """CSV text of a table."""
    columns = columns_of(name)
    return record_text(columns) + "".join(record_text([line.get(column, "") for column in columns]) for line in lines)


def base(
    rows: Sequence[dict[str, str]] = BASE_ROWS, maps: Sequence[dict[str, str]] = BASE_MAPS
) -> list[tuple[str, str]]:
    """The files of a small base."""
    return [
        ("ignores.csv", table("ignores", BASE_IGNORES)),
        ("maps.csv", table("maps", maps)),
        ("params.csv", table("params", BASE_PARAMS)),
        ("rows.csv", table("rows", rows)),
    ]


def review(site: Iterable[tuple[str, str]] = (), below: Sequence[tuple[str, str]] | None = None) -> Review:
    """The small base with a site's files over it."""
    return review_of(base() if below is None else below, site, decided={"zone": "UTC"})

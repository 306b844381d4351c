"""The tests of SQL on FHIR v2: all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import HilumError
from hilum.fhirpath import decode
from hilum.views import private_folder, read_view, run_view
from shared_data import SHARED, needs_shared

FOLDER = SHARED / "fhir" / "sql-on-fhir"
duckdb = pytest.importorskip("duckdb")


def official() -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.json")) if FOLDER.is_dir() else ():
        body = decode(path.read_bytes())
        for test in body["tests"]:
            yield pytest.param(body["resources"], test, id=f"{path.stem}: {test['title']}")


def rows_of(resources: list[Any], definition: Any, folder: Path) -> tuple[list[str], list[dict[str, Any]]]:
    source, output = folder / "resources.ndjson", folder / "out.parquet"
    source.write_text("\n".join(json.dumps(one, default=float) for one in resources))
    with private_folder(output) as work:
        run_view(read_view(definition), [source], output, "parquet", work=work, table="t")
    found = duckdb.sql(f"SELECT * FROM read_parquet('{output}')")
    return found.columns, [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def comparable(rows: list[dict[str, Any]]) -> list[str]:
    """Rows in any order; 5 and 5.0 are one number."""

    def plain(value: Any) -> Any:
        return value if isinstance(value, bool | str | list) or value is None else float(value)

    return sorted(json.dumps({name: plain(value) for name, value in row.items()}, sort_keys=True) for row in rows)


@needs_shared
@pytest.mark.parametrize(("resources", "test"), list(official()))
def test_an_official_view_gives_the_official_rows(resources: list[Any], test: dict[str, Any], tmp_path: Path) -> None:
    if test.get("expectError"):
        with pytest.raises(HilumError):
            rows_of(resources, test["view"], tmp_path)
        return
    columns, rows = rows_of(resources, test["view"], tmp_path)
    assert comparable(rows) == comparable(test["expect"])
    assert columns == test.get("expectColumns", columns)


@needs_shared
def test_all_official_views_are_run() -> None:
    assert len(list(official())) >= 98

"""A report from a hospital's data: tables by `hilum view run`, questions in SQL by DuckDB, answers in the terminal."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo_folder import find, hilum, parser

VIEWS = ("patients", "encounters", "observations")
# HL7 v3 ObservationInterpretation: what a laboratory says of a value that is out of its range
UNUSUAL = ["H", "HH", "HU", "L", "LL", "LU", "A", "AA"]


class Question(NamedTuple):
    """A title and the SQL that answers it; the names of its columns are those of the table."""

    title: str
    sql: str


QUESTIONS = (
    Question(
        "Encounters a day, the last ten days",
        """
        SELECT left("start", 10) AS day,
               count(*) AS encounters,
               count(*) FILTER (class = 'EMER') AS emergency,
               count(*) FILTER (class IN ('IMP', 'ACUTE', 'NONAC')) AS inpatient,
               count(*) FILTER (class = 'AMB') AS ambulatory,
               count(*) FILTER (status = 'cancelled') AS cancelled
        FROM encounters WHERE "start" IS NOT NULL
        GROUP BY day ORDER BY day DESC LIMIT 10
        """,
    ),
    Question(
        "Length of stay of ended encounters, in hours",
        """
        SELECT class,
               count(*) AS encounters,
               round(median(date_diff('minute', "start"::TIMESTAMPTZ, "end"::TIMESTAMPTZ)) / 60, 1) AS median,
               round(max(date_diff('minute', "start"::TIMESTAMPTZ, "end"::TIMESTAMPTZ)) / 60, 1) AS longest
        FROM encounters WHERE length("start") > 10 AND length("end") > 10 AND status = 'finished'
        GROUP BY class ORDER BY encounters DESC
        """,
    ),
    Question(
        "Tests with the most results out of range",
        """
        SELECT coalesce(code_display, code_text, code_code) AS test,
               code_code AS LOINC,
               count(*) AS results,
               count(*) FILTER (interpretation IN $unusual) AS unusual,
               round(100 * unusual / results, 1) AS "% unusual",
               count(DISTINCT patient_key) FILTER (interpretation IN $unusual) AS patients
        FROM observations
        WHERE category = 'laboratory' AND code_system = 'http://loinc.org' AND interpretation IS NOT NULL
          AND status IN ('final', 'corrected', 'amended')
        GROUP BY ALL ORDER BY unusual DESC, test LIMIT 10
        """,
    ),
    Question(
        "Patients by age on the day of their last encounter",
        """
        WITH last AS (SELECT patient_key, max(left("start", 10)) AS day FROM encounters GROUP BY patient_key),
        aged AS (
            SELECT date_sub('year', birth_date::DATE, day::DATE) // 20 * 20 AS age, gender
            FROM patients JOIN last USING (patient_key)
            WHERE replaced_by IS NULL AND length(birth_date) = 10)
        SELECT age || ' to ' || (age + 19) AS ages,
               count(*) FILTER (gender = 'female') AS female,
               count(*) FILTER (gender = 'male') AS male,
               count(*) FILTER (gender IS NULL OR gender NOT IN ('female', 'male')) AS "other or not said"
        FROM aged GROUP BY age ORDER BY age
        """,
    ),
)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--keep", type=Path, help="keep the tables in this DuckDB file, which is new")
    given = arguments.parse_args()
    folder = given.folder or find(given).folder  # a folder can be read whether its hilum runs or not
    console = Console(highlight=False)
    if given.keep and given.keep.exists():
        sys.exit(f"{given.keep} is there already: name a file that is new")
    with tempfile.TemporaryDirectory(prefix="hilum-report-") as scratch:  # of mode 0700: it holds patient data
        tables = given.keep or Path(scratch) / "tables.duckdb"
        with console.status("Making tables ..."):
            rows = {view: make(view, folder, tables) for view in VIEWS}
        console.print("\n" + ", ".join(f"{count:,} {view}" for view, count in rows.items()))
        with duckdb.connect(str(tables), read_only=True) as database:
            for question in QUESTIONS:
                console.print(f"\n[bold]{question.title}[/]")
                console.print(answer(database, question))
    if given.keep:
        console.print(f"\nThe tables are in {given.keep}. It holds patient data: mind who can read it.")


def make(view: str, folder: Path, tables: Path) -> int:
    """One table of one view; how many rows it has."""
    return int(hilum("view", "run", view, "--from", str(folder), "-o", str(tables))["rows"])


def answer(database: duckdb.DuckDBPyConnection, question: Question) -> Table:
    """What the database says, numbers to the right."""
    found = database.execute(question.sql, {"unusual": UNUSUAL} if "$unusual" in question.sql else None)
    columns = [column[0] for column in found.description or ()]
    rows = found.fetchall()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for at, name in enumerate(columns):
        is_number = bool(rows) and all(isinstance(row[at], int | float) for row in rows)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(shown, row))
    if not rows:
        table.caption = "nothing yet: let the demo run a little"
    return table


def shown(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)


if __name__ == "__main__":
    main()

"""`hilum view`: tables from FHIR by ViewDefinitions of SQL on FHIR."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import Progress

from hilum import views
from hilum.app.arguments import Json
from hilum.app.printing import print_json, print_table
from hilum.app.view_source import stream_resources

__all__ = ["app", "check", "list_", "run"]

app = App(name="view", help="Make tables (CSV, Parquet, DuckDB) of FHIR resources by ViewDefinitions.")
USAGE = 2
Form = Literal["csv", "parquet", "duckdb"]


@app.command
def run(
    view: Annotated[
        str, Parameter(help="A JSON file with a ViewDefinition, or the name of one that ships with hilum.")
    ],
    *,
    from_: Annotated[
        Path,
        Parameter(
            name="--from", help="An NDJSON or Parquet file, a folder of a bulk export, or an integration folder."
        ),
    ],
    output: Annotated[Path, Parameter(name=("--output", "-o"), help="The file to write.")],
    to: Annotated[Form | None, Parameter(help="What to write; by the ending of the output unless said.")] = None,
    environment: Annotated[
        str | None, Parameter(help="With an integration folder: use environments/NAME.yaml.")
    ] = None,
    json: Json = False,
) -> int:
    """Write one table: a row for each resource, or for each of its parts, as the view says.

    The file appears whole or not at all, and only you can read it. CSV and Parquet files are replaced; a DuckDB file
    keeps its other tables. Nothing else is left on the disk. Reading an integration folder writes an audit row.
    """
    form = to or output.suffix.removeprefix(".")
    if form not in views.FORMATS:
        print(f"hilum: say what to write with --to: {', '.join(views.FORMATS)}", file=sys.stderr)
        return USAGE
    if not output.parent.is_dir():
        print(f"hilum: {output.parent} is no folder", file=sys.stderr)
        return USAGE
    found = views.load_view(view)
    table = found.name or Path(view).stem.replace("-", "_")
    with views.private_folder(output) as work, _bar(as_json=json) as tell:
        if (from_ / "integration.yaml").is_file():
            files = [stream_resources(from_, environment, found.resource, work, tell("reading"))]
        else:
            files = views.resource_files(from_, found.resource)
        done = views.run_view(found, files, output, form, work=work, table=table, progress=tell("writing"))
    if json:
        print_json(done)
    else:
        where = f"{done.output}, table {done.table}" if done.table else done.output
        print(f"{done.rows:,} rows of {len(done.columns)} columns in {where}")
    return 0


@app.command(name="list")
def list_(*, json: Json = False) -> int:
    """List the views that ship with hilum."""
    found = views.starter_views()
    if json:
        rows = [
            {"name": name, "resource": view.resource, "columns": view.columns, "description": view.description}
            for name, view in found.items()
        ]
        print_json({"views": rows})
        return 0
    lines = [(name, view.resource, len(view.columns), view.description) for name, view in found.items()]
    print_table(("view", "resource", "columns", "what"), lines, empty="no views")
    return 0


@app.command
def check(
    view: Annotated[
        str, Parameter(help="A JSON file with a ViewDefinition, or the name of one that ships with hilum.")
    ],
    *,
    sql: Annotated[bool, Parameter(help="Show the SQL that it becomes.", negative="")] = False,
    json: Json = False,
) -> int:
    """Say everything that is wrong with a ViewDefinition, with its place; or that nothing is.

    Nothing is read but the view, and DuckDB is not needed.
    """
    found = views.load_view(view)
    query = views.compile_view(found, "source")
    if json:
        print_json({"resource": found.resource, "columns": found.columns, **({"sql": query} if sql else {})})
    elif sql:
        print(query)
    else:
        print(f"{len(found.columns)} columns of {found.resource}: {', '.join(found.columns)}")
    return 0


@contextmanager
def _bar(*, as_json: bool) -> Iterator[Callable[[str], Callable[[float], None]]]:
    """A progress bar on standard error; what is called with percent, or below 0 for a beat without end."""
    with Progress(console=Console(stderr=True), transient=True, disable=as_json) as progress:

        def tell(what: str) -> Callable[[float], None]:
            task = progress.add_task(what, total=100)
            return lambda percent: progress.update(task, completed=percent)

        yield tell

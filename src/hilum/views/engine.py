"""Runs a view with DuckDB: files in, one file out, nothing else left on the disk.

DuckDB may read only the files that are named and write only into a private folder beside the output; it loads and
installs no extensions, and its settings are locked before the first byte of data is read. The output appears whole, by
a rename, or not at all.
"""

# ruff: noqa: S608 - texts are quoted by sql_text, names by double quotes

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from hilum.errors import HilumError
from hilum.views.compiler import compile_view
from hilum.views.definition import View
from hilum.views.sql import sql_text

if TYPE_CHECKING:
    import duckdb

__all__ = ["FORMATS", "Done", "private_folder", "run_view"]

FORMATS = {"csv": ".csv", "parquet": ".parquet", "duckdb": ".duckdb"}
MEMORY = "1GB"
_PREFIX = ".hilum-view-"
_POLL = 0.1  # seconds between looks at the progress

Progress = Callable[[float], None]


class Done(Struct, frozen=True):
    """What a run wrote."""

    output: str
    table: str  # name of the table in a DuckDB file; "" for other formats
    rows: int
    columns: tuple[str, ...]


def run_view(
    view: View,
    files: Sequence[Path],
    output: Path,
    form: str,
    *,
    work: Path,
    table: str,
    progress: Progress | None = None,
) -> Done:
    """Run a view over NDJSON (`.ndjson`, `.ndjson.gz`, `.jsonl`) or Parquet files with a column `resource`.

    `form`: csv, parquet, duckdb. `work`: a folder of `private_folder` beside the output. An existing CSV or Parquet
    file is replaced; in an existing DuckDB file only the table is. `progress` is called with percent done.

    Raises ConfigError `view-invalid`; HilumError `view-no-duckdb`, `view-several-values`, `view-bad-data`,
    `view-repeat-too-deep`, `view-failed`.
    """
    duckdb = _duckdb()
    query = compile_view(view, "source")
    target = work / f"output{FORMATS[form]}"
    if form == "duckdb" and output.exists():
        shutil.copyfile(output, target)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT, 0o600))
    if form == "duckdb" and not output.exists():
        target.unlink()
    try:
        with duckdb.connect(":memory:", config=_settings(work)) as connection:
            _prepare(connection, files, work)
            rows = _waiting(connection, lambda: _write(connection, query, target, form, table), progress)
    except (duckdb.Error, RuntimeError) as error:
        # Ctrl-C while DuckDB has the thread comes out as an error of its own.
        if isinstance(error, duckdb.InterruptException) or type(error) is RuntimeError:
            raise KeyboardInterrupt from None
        raise _told(error) from None
    _publish(target, output)
    return Done(str(output), table if form == "duckdb" else "", rows, view.columns)


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise HilumError(
            "views run on DuckDB, which is not installed: `pip install 'hilum[batch]'`", code="view-no-duckdb"
        ) from None
    return duckdb


def _settings(work: Path) -> dict[str, Any]:
    return {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "memory_limit": MEMORY,
        "threads": 1,
        "temp_directory": str(work / "spill"),
    }


def _prepare(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], work: Path) -> None:
    """Macros, the source, and then the locks: from here on only these files and the private folder can be reached."""
    connection.execute(resources.files(__package__).joinpath("macros.sql").read_text(encoding="utf-8"))
    paths = [str(file.resolve()) for file in files]
    connection.execute(f"SET allowed_paths = [{', '.join(map(sql_text, paths))}]")
    connection.execute(f"SET allowed_directories = [{sql_text(str(work.resolve()))}]")
    connection.execute("SET enable_progress_bar = true")
    connection.execute("SET enable_progress_bar_print = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    connection.execute(f"CREATE TEMP VIEW source AS {_source(connection, paths)}")


def _source(connection: duckdb.DuckDBPyConnection, paths: list[str]) -> str:
    parquet = [path for path in paths if path.endswith(".parquet")]
    lines = [path for path in paths if not path.endswith(".parquet")]
    parts = []
    if lines:
        parts.append(f"SELECT json AS resource FROM read_ndjson_objects([{', '.join(map(sql_text, lines))}])")
    for path in parquet:
        columns = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({sql_text(path)})").fetchall()
        if ("resource", "VARCHAR") not in [(row[0], str(row[1]).replace("JSON", "VARCHAR")) for row in columns]:
            raise HilumError(
                "a Parquet file to read has a text column `resource` with one FHIR resource as JSON in each row",
                code="view-bad-data",
                location=Path(path).name,
            )
        parts.append(f"SELECT resource::JSON AS resource FROM read_parquet({sql_text(path)})")
    return " UNION ALL ".join(parts)


def _write(connection: duckdb.DuckDBPyConnection, query: str, target: Path, form: str, table: str) -> int:
    name = '"' + table.replace('"', '""') + '"'
    if form == "duckdb":
        connection.execute(f"ATTACH {sql_text(str(target.resolve()))} AS output")
        connection.execute(f"CREATE OR REPLACE TABLE output.{name} AS {query}")
        found = connection.execute(f"SELECT count(*) FROM output.{name}").fetchone()
        connection.execute("DETACH output")
    else:
        options = "FORMAT csv, HEADER" if form == "csv" else "FORMAT parquet, COMPRESSION zstd"
        text = _lists_as_json(connection, query) if form == "csv" else query
        found = connection.execute(f"COPY ({text}) TO {sql_text(str(target.resolve()))} ({options})").fetchone()
    return int(found[0]) if found else 0


def _lists_as_json(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """CSV has no lists: they are written as JSON."""
    columns = connection.execute(f"DESCRIBE {query}").fetchall()
    parts = [f'to_json("{name}") AS "{name}"' if type_.endswith("[]") else f'"{name}"' for name, type_, *_ in columns]
    return f"SELECT {', '.join(parts)} FROM ({query})"


def _waiting(connection: duckdb.DuckDBPyConnection, work: Callable[[], int], progress: Progress | None) -> int:
    """Do the work in a thread, so that progress can be shown and Ctrl-C is heard."""
    found: list[int] = []
    failed: list[BaseException] = []
    ended = threading.Event()  # join() believes that a thread has ended when Ctrl-C breaks it off

    def job() -> None:
        try:
            found.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            failed.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=job, name="view")
    thread.start()
    try:
        while not ended.wait(_POLL):
            if progress is not None:
                with suppress(Exception):  # no progress is known while DuckDB plans or shuts down
                    progress(max(connection.query_progress(), 0.0))
    except BaseException:
        while not ended.is_set():
            with suppress(Exception):  # it cannot be heard just now: said again until the thread ends
                connection.interrupt()
            ended.wait(_POLL)
        raise
    finally:
        thread.join()
    if failed:
        raise failed[0]
    return found[0]


_SAID = re.compile(r"(view-[a-z-]+) ([^\n]*)")
_PLACE = re.compile(r'in file "(?P<file>[^"]*)"(?:.*?line (?P<line>\d+))?', re.DOTALL)


def _told(error: Exception) -> HilumError:
    """The error without the data that DuckDB quotes in its own."""
    text = str(error)
    said = _SAID.search(text)
    if said:
        return HilumError(said[2], code=said[1])
    place = _PLACE.search(text)
    if place and "JSON" in text:
        where = Path(place["file"]).name + (f":{place['line']}" if place["line"] else "")
        return HilumError("a line that is no JSON object of at most 16 MB", code="view-bad-data", location=where)
    if "Out of Memory" in text:
        return HilumError(f"the view needs more than {MEMORY} of memory", code="view-failed")
    return HilumError(f"DuckDB could not run the view ({type(error).__name__})", code="view-failed")


def _publish(target: Path, output: Path) -> None:
    target.chmod(0o600)
    descriptor = os.open(target, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    target.replace(output)


@contextmanager
def private_folder(output: Path) -> Iterator[Path]:
    """A folder beside the output that only this user can read; it is removed in the end.

    What a killed run left behind there is removed as well.
    """
    parent = output.resolve().parent
    for old in parent.glob(f"{_PREFIX}*"):
        if not _is_alive(old.name):
            shutil.rmtree(old, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _is_alive(name: str) -> bool:
    """Whether the process that made a private folder still runs."""
    number = name.removeprefix(_PREFIX).partition("-")[0]
    if not number.isdigit():
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True

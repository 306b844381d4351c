"""`hilum load`: FHIR resources from files, validated, indexed, and gone on with after a kill."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from hilum.app.arguments import Environment, Folder, Json, is_folder
from hilum.app.bulk.holding import discard_held, held_bodies, retry_held
from hilum.app.bulk.judges import validator_of
from hilum.app.bulk.judging import Policy
from hilum.app.bulk.loading import LoadResult, load
from hilum.app.bulk.sources import find_files
from hilum.app.opening import Opened, open_folder, whoami
from hilum.app.printing import print_json, print_table

if TYPE_CHECKING:
    from hilum.app.bulk.jobs import Counts
    from hilum.app.bulk.loading import Tell

__all__ = ["again", "app", "discard", "fhir", "held"]

FINDINGS, USAGE = 1, 2

app = App(name="load", help="Load FHIR resources from files; go on after a kill; see what was held.")
Number = Annotated[int, Parameter(help="Its number, as `hilum load held` shows it.")]


@app.command
def fhir(
    *paths: Annotated[
        Path,
        Parameter(
            help="Files (.ndjson, .jsonl, .json, each also .gz) or folders of them; the integration folder comes last."
        ),
    ],
    invalid: Annotated[
        Policy,
        Parameter(
            help="What becomes of a resource with errors: reject leaves it out, hold keeps it in the store for a "
            "person, accept-warn takes it with its findings."
        ),
    ] = Policy.REJECT,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Load FHIR R4 resources: NDJSON with one a line, single resources, and Bundles.

    Of a Bundle the entries are loaded, those of a transaction all or none. Every resource is validated as the API does
    it, and indexed. Killed or stopped, the same command goes on where it was; done once, the same command changes
    nothing. hilum may run meanwhile. Nothing of a load is sent on.

    Findings go to a file beside the store, by file and line, without values. Exit status: 0 all was taken, 1 something
    was not.
    """
    given = list(paths)
    folder = given.pop() if given and is_folder(str(given[-1])) else Path()
    if not given:
        print("hilum: name at least one file or folder to load, then the integration folder", file=sys.stderr)
        return USAGE
    files = find_files(given)
    with (
        open_folder(folder, environment, create=True) as opened,
        _progress(sum(one.size for one in files), is_shown=not json) as tell,
    ):
        result = asyncio.run(
            load(
                opened.store,
                opened.journal,
                opened.repository,
                files,
                packages=opened.tree.folder,
                policy=invalid,
                actor=whoami(),
                tell=tell,
            )
        )
    return _report(result, as_json=json)


@app.command
def held(folder: Folder = Path(), *, environment: Environment = None, json: Json = False) -> int:
    """List what loads have kept for a person because it has errors. Shows no PHI but the names of your files."""
    with open_folder(folder, environment) as opened:
        found = held_bodies(opened.store)
    if json:
        print_json({"held": found})
        return 0
    rows = [(one.id, one.load, one.file, one.line, one.code) for one in found]
    print_table(("item", "load", "file", "line", "code"), rows, empty="nothing is held")
    return 0


@app.command
def again(
    folder: Folder = Path(),
    *,
    item: Annotated[int | None, Parameter(help="Only the one with this number; else all of them.")] = None,
    invalid: Annotated[
        Policy, Parameter(help="accept-warn takes it in spite of its errors; the others keep it held.")
    ] = Policy.HOLD,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Judge what is held again, with the packages that the folder has now, and load what is right.

    Exit status: 0 all of it was taken, 1 something stays held.
    """
    with open_folder(folder, environment) as opened:
        validate = validator_of(opened.tree.folder)
        items = [item] if item is not None else [one.id for one in held_bodies(opened.store)]
        came = {one: asyncio.run(_again(opened, one, validate, invalid)) for one in items}
    left = {one: code for one, code in came.items() if code}
    if json:
        print_json({"taken": len(came) - len(left), "held": left})
    else:
        print(f"{len(came) - len(left)} taken, {len(left)} stay held")
        for one, code in left.items():
            print(f"  {one}  {code}")
    return FINDINGS if left else 0


@app.command
def discard(
    item: Number,
    folder: Folder = Path(),
    *,
    why: Annotated[str, Parameter(help="The reason, for the audit; no patient's data.")],
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Decide that what is held is never loaded, and delete it."""
    with open_folder(folder, environment) as opened:
        discard_held(opened.store, opened.journal, item, whoami(), why)
    if json:
        print_json({"discarded": item})
    else:
        print(f"{item} was discarded")
    return 0


async def _again(opened: Opened, item: int, validate: Any, policy: Policy) -> str:
    return await retry_held(opened.store, opened.repository, item, validate=validate, policy=policy, actor=whoami())


@contextmanager
def _progress(total: int, *, is_shown: bool) -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns: Sequence[Any] = (
        TextColumn("loading"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[taken]:,} resources"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not (is_shown and console.is_terminal)) as bar:
        task = bar.add_task("", total=total, taken=0)

        def tell(read: int, counts: Counts) -> None:
            bar.update(task, completed=read, taken=counts.taken)

        yield tell


def _report(result: LoadResult, *, as_json: bool) -> int:
    counts = result.counts
    left = counts.rejected + counts.held
    if as_json:
        print_json(
            {
                "load": result.id,
                "resumed": result.is_resumed,
                **{name: getattr(counts, name) for name in counts.__struct_fields__},
                "findings": str(result.findings) if result.findings else "",
            }
        )
        return FINDINGS if left else 0
    if result.is_resumed:
        print(f"load {result.id} was begun before and went on where it was; the counts are of all of it")
    print(
        f"{counts.created:,} created, {counts.updated:,} updated, {counts.unchanged:,} unchanged, "
        f"{counts.deleted:,} deleted, {counts.rejected:,} rejected, {counts.held:,} held"
    )
    if result.findings:
        print(f"findings: {result.findings}")
    if counts.held:
        print("what is held: `hilum load held`; once the cause is mended: `hilum load again`")
    return FINDINGS if left else 0

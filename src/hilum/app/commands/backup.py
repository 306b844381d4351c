"""`hilum backup`: a copy of the store that can be taken while hilum runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress

from hilum.app.arguments import Environment, Folder, Json
from hilum.app.opening import open_folder
from hilum.app.printing import print_json
from hilum.errors import HilumError

__all__ = ["command"]


def command(
    target: Annotated[Path, Parameter(help="A folder that does not exist yet; the copy is made in it.")],
    folder: Folder = Path(),
    *,
    environment: Environment = None,
    json: Json = False,
) -> int:
    """Copy the store, encrypted as it is, while hilum runs beside it or not.

    The copy is one moment of the store, with its sealed segments. The key is not copied: keep it elsewhere, or the copy
    opens for whoever finds both. To restore, put the files back where the store was, with the key.
    """
    if target.exists():
        raise HilumError("this exists already: a backup never writes over anything", code="backup-exists")
    with open_folder(folder, environment) as opened:
        target.mkdir(parents=True, mode=0o700)
        copy = target / opened.store.path.name
        with Progress(console=Console(stderr=True), transient=True, disable=json) as progress:
            task = progress.add_task("copying", total=None)
            pages = opened.store.backup(copy, lambda done, total: progress.update(task, completed=done, total=total))
        sealed = 0
        if opened.journal.sealed_folder.is_dir():
            shutil.copytree(opened.journal.sealed_folder, target / opened.journal.sealed_folder.name)
            sealed = sum(1 for _ in opened.journal.sealed_folder.iterdir())
    if json:
        print_json({"copy": str(copy), "pages": pages, "sealed_files": sealed})
    else:
        print(f"copied to {target}: the store and {sealed} sealed files. The key is not in it.")
    return 0

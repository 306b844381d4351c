"""The repository of an integration folder as NDJSON that a view can read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from hilum.app.opening import open_folder
from hilum.repository import Query

__all__ = ["stream_resources"]

PAGE = 500


def stream_resources(
    folder: Path, environment: str | None, resource: str, work: Path, progress: Callable[[float], None]
) -> Path:
    """Write all resources of a type from the repository of a folder into a private file, page by page.

    An audit row is written before anything is read.
    """
    path = work / f"{resource}.ndjson"
    with open_folder(folder, environment) as opened:
        opened.audit("view", resource, "all resources of the type")
        total = opened.repository.type_counts().get(resource, 0)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            after, written = "", 0
            while True:
                page = opened.repository.search(Query(resource, count=PAGE, after=after, with_total=False))
                for one in page.matches:
                    file.write(one.body.replace(b"\n", b" ") + b"\n")
                written += len(page.matches)
                progress(100 * written / total if total else 100)
                after = page.next
                if not after:
                    break
    return path

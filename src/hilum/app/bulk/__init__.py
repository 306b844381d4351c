"""Many resources at once: `hilum load` from files into the store, and `$export` from the store into files.

Both go on after a kill where they were: how far they are is committed with what they did.
"""

from hilum.app.bulk.exports import Exports, exports_folder, sweep_exports
from hilum.app.bulk.holding import HeldBody, discard_held, held_bodies, retry_held
from hilum.app.bulk.judging import Policy
from hilum.app.bulk.loading import LoadResult, load, loads_folder
from hilum.app.bulk.sources import SourceFile, find_files
from hilum.app.bulk.tables import BULK_SCHEMA

__all__ = [
    "BULK_SCHEMA",
    "Exports",
    "HeldBody",
    "LoadResult",
    "Policy",
    "SourceFile",
    "discard_held",
    "exports_folder",
    "find_files",
    "held_bodies",
    "load",
    "loads_folder",
    "retry_held",
    "sweep_exports",
]

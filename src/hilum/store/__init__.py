"""The one SQLite file, encrypted, with one writer and group commit: what journal and repository are built on."""

from hilum.store import fault
from hilum.store.gathering import Gathering
from hilum.store.inserting import insert_rows
from hilum.store.keys import key_from_file, key_from_secret
from hilum.store.lock import ProcessLock
from hilum.store.schema import Schema
from hilum.store.store import Store

__all__ = ["Gathering", "ProcessLock", "Schema", "Store", "fault", "insert_rows", "key_from_file", "key_from_secret"]

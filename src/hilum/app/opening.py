"""Opens what an integration folder names: its settings, its store, and what lives in the store."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from hilum.app.bulk.tables import BULK_SCHEMA
from hilum.app.sections import SECTIONS
from hilum.app.smart.records import SMART_SCHEMA
from hilum.app.subscriptions.tables import SUBSCRIPTIONS_SCHEMA
from hilum.app.tokens import TOKENS_SCHEMA, SqliteTokens
from hilum.config import Integration, Tree, load
from hilum.engine import Ledger, add_up
from hilum.errors import ConfigError, NotFound
from hilum.journal import SCHEMA as JOURNAL_SCHEMA
from hilum.journal import SqliteJournal
from hilum.model import AuditEvent, Severity
from hilum.repository import SCHEMA as REPOSITORY_SCHEMA
from hilum.repository import SqliteRepository
from hilum.store import Store, key_from_file, key_from_secret

__all__ = ["Opened", "check_secrets", "open_folder", "store_file", "whoami"]


class Opened(Struct, frozen=True):
    """A folder with its store open."""

    tree: Tree
    store: Store
    journal: SqliteJournal
    repository: SqliteRepository
    tokens: SqliteTokens

    @property
    def integration(self) -> Integration:
        """integration.yaml."""
        return self.tree.one(Integration)

    def audit(self, action: str, target: str, detail: str) -> None:
        """Write down what the person at the command line did, before anything of it is shown."""
        self.audit_each(action, (target,), detail)

    def audit_each(self, action: str, targets: Iterable[str], detail: str) -> None:
        """The same for each of these, together."""
        now, actor = time.time_ns() // 1000, whoami()
        self.journal.audit_now([AuditEvent(now, actor, action, target, detail=detail) for target in targets])

    def ledger(self) -> Ledger:
        """The control totals, counted from one snapshot of the store."""
        return self.store.read(
            lambda _: add_up(self.journal.counts(self.repository.positions()), self.repository.counts())
        )


@contextmanager
def open_folder(
    folder: Path, environment: str | None = None, *, exclusive: bool = False, create: bool = False
) -> Iterator[Opened]:
    """Load a folder and open its store. `exclusive`: as `hilum run`, one at a time; commands open beside it.

    Raises ConfigError with every finding, NotFound `store-absent` where there is no store yet and `create` is not said,
    StoreBusy, StoreUnsafe.
    """
    tree = load(folder, SECTIONS, environment)
    settings = tree.one(Integration).store
    path = store_file(tree)
    if not create and not path.exists():
        raise NotFound(
            "this integration has no store yet: `hilum run` makes it", code="store-absent", location=folder.name
        )
    if settings.key is not None:
        key = key_from_secret(settings.key.resolve())
    else:
        key = key_from_file(path.with_suffix(".key"), store=path)
    schemas = (JOURNAL_SCHEMA, REPOSITORY_SCHEMA, TOKENS_SCHEMA, BULK_SCHEMA, SMART_SCHEMA, SUBSCRIPTIONS_SCHEMA)
    store = Store.open(path, key=key, schemas=schemas, exclusive=exclusive)
    try:
        journal = SqliteJournal(store)
        try:
            yield Opened(
                tree, store, journal, SqliteRepository(store, witness=journal.audit_in), SqliteTokens(store, journal)
            )
        finally:
            journal.close()
    finally:
        store.close()


def check_secrets(tree: Tree) -> None:
    """Raise ConfigError with every secret that cannot be used here and now: before anybody is listened to."""
    found = [
        replace(finding, location=where)
        for where, secret in tree.secrets()
        for finding in secret.probe()
        if finding.severity is Severity.ERROR
    ]
    if found:
        raise ConfigError("secrets that this folder names are missing here", found)


def store_file(tree: Tree) -> Path:
    """Where the store of a folder is."""
    return tree.one(Integration).store.file(tree.folder)


def whoami() -> str:
    """The person at the command line, for audit rows."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli:unknown"

"""What loads hold for a person: bodies with errors, kept in the encrypted store."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from hilum.app.api.contents import Validator
from hilum.app.bulk.judging import Policy, Unit, units_of
from hilum.errors import HilumError, NotFound, StoreError
from hilum.journal import SqliteJournal
from hilum.model import AuditEvent
from hilum.repository import Aftermath, SqliteRepository, Written
from hilum.store import Store

__all__ = ["HeldBody", "discard_held", "held_bodies", "retry_held"]


class HeldBody(Struct, frozen=True):
    """One of them, without what it says."""

    id: int
    load: int
    file: str
    line: int
    code: str


_LIST = "SELECT id, job, file, line, code FROM load_held WHERE id > ? ORDER BY id LIMIT ?"


def held_bodies(store: Store, after: int = 0, limit: int = 1_000) -> list[HeldBody]:
    """Those with id > after, in order."""
    return store.read(lambda connection: [HeldBody(*one) for one in connection.execute(_LIST, (after, limit))])


def discard_held(store: Store, journal: SqliteJournal, id_: int, actor: str, why: str) -> None:
    """Decide that it shall never be loaded. Raises NotFound `load-held-unknown`."""

    def job(connection: Any) -> None:
        connection.execute("DELETE FROM load_held WHERE id = ?", (id_,))
        if connection.changes() != 1:
            raise _unknown(id_)
        now = time.time_ns() // 1000
        journal.audit_in(connection, [AuditEvent(now, actor, "load-discard", f"load-held/{id_}", detail=why)])

    store.write_now(job)


async def retry_held(
    store: Store, repository: SqliteRepository, id_: int, *, validate: Validator, policy: Policy, actor: str
) -> str:
    """Judge and write one of them again: "" when it was taken, else the code of why not.

    Raises NotFound `load-held-unknown`.
    """
    raw = store.read(lambda connection: connection.execute("SELECT body FROM load_held WHERE id = ?", (id_,)).get)
    if not isinstance(raw, bytes):
        raise _unknown(id_)
    units: list[Unit] = list(units_of(raw, validate, policy))
    errors = [issue for unit in units for issue in unit.errors]
    if errors:
        return errors[0].code

    def then(written: Sequence[Written]) -> Aftermath:
        said = " ".join(f"{one.stored.type}/{one.stored.id}={one.did.value}" for one in written if one.stored)
        audit = AuditEvent(time.time_ns() // 1000, actor, "load-again", f"load-held/{id_}", detail=said)

        def also(connection: Any) -> None:
            connection.execute("DELETE FROM load_held WHERE id = ?", (id_,))
            if connection.changes() != 1:
                raise _unknown(id_)

        return Aftermath([audit], also=also)

    changes = [change for unit in units for change in unit.changes]
    references = {name: query for unit in units for name, query in unit.references.items()}
    try:
        await repository.write(changes, references=references, then=then)
    except (StoreError, NotFound):
        raise
    except HilumError as error:
        return error.code
    return ""


def _unknown(id_: int) -> NotFound:
    return NotFound(
        "nothing is held under this number: see `hilum load held`", code="load-held-unknown", location=str(id_)
    )

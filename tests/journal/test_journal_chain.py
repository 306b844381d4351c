"""Tampering with the tables: whoever holds the store key can try, and is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from journal_samples import START, incoming
from msgspec.structs import replace

from hilum.errors import StoreCorrupt, StoreError
from hilum.journal import SCHEMA, SqliteJournal
from hilum.model import AuditEvent
from hilum.store import Store

pytestmark = pytest.mark.anyio
Change = Callable[[apsw.Connection], object]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "hilum.db", key=bytes(32), schemas=[SCHEMA]) as opened:
        yield opened


async def filled(store: Store) -> SqliteJournal:
    journal = SqliteJournal(store)
    for n in range(1, 31, 3):
        await journal.append([incoming(n), incoming(n + 1), incoming(n + 2)])
    await journal.append([incoming(30), incoming(31, partitions=(1, 2))])
    await journal.audit([AuditEvent(START, "token-a", "read", "Patient/1")])
    journal.close()
    return journal


def tamper(store: Store, change: Change) -> None:
    """Change tables behind the journal's back, with its triggers switched off."""

    def job(connection: apsw.Connection) -> None:
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        change(connection)
        for _, sql in triggers:
            connection.execute(str(sql))

    store.write_now(job)


def swap_messages(connection: apsw.Connection) -> None:
    for table in ("message", "body"):
        for old, new in ((7, -1), (8, 7), (-1, 8)):
            connection.execute(f"UPDATE {table} SET seq = ? WHERE seq = ?", (new, old))


def swap_in_body(connection: apsw.Connection) -> None:
    data = connection.execute("SELECT data FROM body WHERE seq = 5").get
    assert isinstance(data, bytes)
    connection.execute("UPDATE body SET data = ? WHERE seq = 6", (data,))


def remove_tail(connection: apsw.Connection) -> None:
    """Everything after group 6, consistently: only a head that left the host can tell."""
    last = connection.execute("SELECT message FROM head WHERE n = 6").get
    for table in ("message", "body", "entry"):
        connection.execute(f"DELETE FROM {table} WHERE seq > ?", (last,))
    connection.execute("DELETE FROM duplicate")
    connection.execute("DELETE FROM audit")
    connection.execute("DELETE FROM head WHERE n > 6")
    connection.execute("DELETE FROM signature WHERE n > 6")


def sql(text: str) -> Change:
    return lambda connection: connection.execute(text)


CHANGES: dict[str, tuple[Change, str]] = {
    "a changed body": (swap_in_body, "journal-chain-broken"),
    "a changed key": (sql("UPDATE message SET key = 'other' WHERE seq = 9"), "journal-chain-broken"),
    "a changed home": (sql("UPDATE message SET home = 3 WHERE seq = 9"), "journal-chain-broken"),
    "a changed route": (sql("UPDATE journal_route SET kind = 'ADT^A03'"), "journal-chain-broken"),
    "a changed audit row": (sql("UPDATE audit SET actor = 'nobody'"), "journal-chain-broken"),
    "a removed audit row": (sql("DELETE FROM audit"), "journal-chain-broken"),
    "a removed duplicate": (sql("DELETE FROM duplicate"), "journal-chain-broken"),
    "a removed message": (sql("DELETE FROM message WHERE seq = 9"), "journal-row-missing"),
    "a removed body": (sql("DELETE FROM body WHERE seq = 9"), "journal-body-damaged"),
    "a damaged body": (sql("UPDATE body SET data = x'1099' WHERE seq = 9"), "journal-body-damaged"),
    "swapped messages": (swap_messages, "journal-chain-broken"),
    "a removed head": (sql("DELETE FROM head WHERE n = 4"), "journal-head-missing"),
    "a removed last head": (sql("DELETE FROM head WHERE n = (SELECT max(n) FROM head)"), "journal-head-missing"),
    "a changed hash": (sql("UPDATE head SET hash = zeroblob(32) WHERE n = 4"), "journal-chain-broken"),
    "a head turned back in time": (sql("UPDATE head SET at = 1 WHERE n = 4"), "journal-chain-broken"),
    "a foreign signature": (sql("UPDATE signature SET signature = zeroblob(64)"), "journal-signature-invalid"),
    "a removed entry": (sql("DELETE FROM entry WHERE seq = 9"), "journal-entry-wrong"),
    "an added entry": (sql("INSERT INTO entry VALUES (9, 9, 0)"), "journal-entry-wrong"),
    "an added message": (
        sql("INSERT INTO message SELECT 99, route, sender, home, other, 1, 1, 'x', 'x', '', 1 FROM message LIMIT 1"),
        "journal-head-missing",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_every_kind_of_tampering_is_found(store: Store, name: str) -> None:
    journal = await filled(store)
    assert (await journal.verify()).ok
    change, code = CHANGES[name]
    tamper(store, change)
    report = await SqliteJournal(store).verify()
    assert not report.ok
    assert report.problem.startswith(code)


async def test_the_first_bad_message_is_named(store: Store) -> None:
    journal = await filled(store)
    tamper(store, sql("UPDATE message SET key = 'other' WHERE seq = 10"))
    assert (await SqliteJournal(store).verify()).first_bad_seq == 10
    assert journal.get(10).envelope.key == "other"


async def test_a_removed_tail_is_found_with_an_exported_head(store: Store) -> None:
    head = (await filled(store)).export_head()
    tamper(store, remove_tail)
    journal = SqliteJournal(store)
    assert (await journal.verify()).ok  # nothing inside the file can tell
    report = await journal.verify(head)
    assert not report.ok
    assert report.problem.startswith("journal-tail-missing")
    await journal.append([incoming(n) for n in range(100, 110)])
    for n in range(200, 240):
        await journal.append([incoming(n)])
    assert (await journal.verify(head)).problem.startswith("journal-head-differs")


async def test_a_head_of_another_store_proves_nothing(store: Store, tmp_path: Path) -> None:
    journal = await filled(store)
    with Store.open(tmp_path / "other.db", key=bytes(range(32)), schemas=[SCHEMA]) as other:
        foreign = SqliteJournal(other)
        await foreign.append([incoming(1)])
        assert (await journal.verify(foreign.export_head())).problem.startswith("journal-head-")
    future = replace(journal.export_head(), n=10_000)
    assert (await journal.verify(future)).problem.startswith("journal-tail-missing")


@pytest.mark.parametrize("table", ["message", "body", "entry", "audit", "head", "signature"])
async def test_rows_cannot_be_changed_or_removed_by_accident(store: Store, table: str) -> None:
    await filled(store)
    column = "at" if table in ("audit", "head") else {"entry": "barrier", "signature": "n"}.get(table, "seq")
    for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with pytest.raises(StoreError):
            store.write_now(sql(statement))


async def test_heads_are_signed_every_so_many_groups(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.journal.sqlite.SIGN_EVERY", 4)
    monkeypatch.setattr("hilum.journal.sqlite.CHORES_EVERY", 1)
    journal = SqliteJournal(store)
    for n in range(1, 25):
        await journal.append([incoming(n)])
    assert (await journal.verify()).signed_heads >= 4


async def test_a_store_without_a_key_signs_too(tmp_path: Path) -> None:
    with Store.open(tmp_path / "clear.db", key=None, schemas=[SCHEMA]) as store:
        assert (await (await filled(store)).verify()).signed_heads == 1


@pytest.mark.parametrize("page", [1, 2, 9, 17, 25])
async def test_a_byte_changed_on_the_disk_is_found(tmp_path: Path, page: int) -> None:
    path = tmp_path / "hilum.db"
    with Store.open(path, key=bytes(32), schemas=[SCHEMA]) as store:
        await filled(store)
    content = bytearray(path.read_bytes())
    content[page * 4096 + 2000] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt):
        await verify_or_raise(path)


async def verify_or_raise(path: Path) -> None:
    """Damage is met when the file is opened, or when the chain is walked."""
    with Store.open(path, key=bytes(32), schemas=[SCHEMA]) as store:
        report = await SqliteJournal(store).verify()
        if not report.ok:
            raise StoreCorrupt(report.problem)

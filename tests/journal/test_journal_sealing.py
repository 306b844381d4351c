"""Sealing and retention: what leaves the tables stays provable, and what is deleted is said."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from journal_samples import START, incoming, refused

from hilum.errors import NotFound, StoreBusy, StoreCorrupt
from hilum.journal import SCHEMA, MessageQuery, SqliteJournal
from hilum.model import AuditEvent
from hilum.store import ProcessLock, Store

pytestmark = pytest.mark.anyio
ALL_READ = {0: 10_000, 1: 10_000, 2: 10_000, 3: 10_000}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "hilum.db", key=bytes(32), schemas=[SCHEMA]) as opened:
        yield opened


@pytest.fixture
def journal(store: Store, monkeypatch: pytest.MonkeyPatch) -> SqliteJournal:
    monkeypatch.setattr("hilum.journal.sealing.MOST_MESSAGES", 10)
    return SqliteJournal(store)


async def fill(journal: SqliteJournal, last: int = 40) -> None:
    for n in range(1, last, 4):
        await journal.append([incoming(n), incoming(n + 1, partitions=(1, 2)), refused(n + 2), incoming(n + 3)])
        await journal.append([incoming(n)])
        await journal.audit([AuditEvent(START + n, "token-a", "read", f"Patient/{n}")])


async def test_sealed_messages_are_read_searched_and_counted_as_before(journal: SqliteJournal) -> None:
    await fill(journal)
    everything = [journal.get(seq) for seq in range(1, 41)]
    counts, routes = journal.counts(ALL_READ), journal.route_counts()
    head = journal.export_head()
    sealed = await journal.seal(33, ALL_READ)
    assert [one.n for one in sealed] == [1, 2, 3, 4]
    assert (sealed[0].first_seq, sealed[-1].last_seq) == (1, 32)
    assert [journal.get(seq) for seq in range(1, 41)] == everything
    assert journal.counts(ALL_READ) == counts
    assert journal.route_counts() == routes
    assert [found.seq for found in journal.messages(MessageQuery(control_id="C5")).messages] == [5]
    report = await journal.verify(head)
    assert (report.ok, report.problem, report.messages) == (True, "", 40)
    found = journal.find_audits(lambda event: event.action == "read", 1_000)
    assert [one.target for one in found] == [f"Patient/{n}" for n in range(1, 40, 4)], "sealed and live, each once"
    assert [one.target for one in journal.find_audits(lambda _: True, 1)] == ["segment/4"]


async def test_a_copy_of_a_sealed_message_is_recognised(journal: SqliteJournal) -> None:
    await fill(journal)
    await journal.seal(40, ALL_READ)
    rows = await journal.append([incoming(4), incoming(4, text="other")])
    assert [(row.duplicate_of, row.reused_from) for row in rows] == [(4, 0), (0, 4)]


async def test_appending_goes_on_after_everything_was_sealed(journal: SqliteJournal, store: Store) -> None:
    await fill(journal)
    await journal.seal(10_000, ALL_READ)
    again = SqliteJournal(store)
    (row,) = await again.append([incoming(500)])
    assert row.seq == 41
    assert (await again.verify()).ok


async def test_only_what_every_reader_has_passed_is_sealed(journal: SqliteJournal) -> None:
    await fill(journal)
    assert await journal.seal(40, {}) == []
    behind = ALL_READ | {1: 17}
    sealed = await journal.seal(40, behind)
    assert sealed[-1].last_seq < 21
    assert (await journal.read(1, 17, 1))[0].seq > sealed[-1].last_seq


async def test_the_file_shows_nothing_and_is_for_its_owner_only(journal: SqliteJournal) -> None:
    await fill(journal)
    await journal.seal(40, ALL_READ)
    files = sorted(journal.sealed_folder.glob("*.hilum"))
    assert len(files) >= 4
    assert stat.S_IMODE(journal.sealed_folder.stat().st_mode) == 0o700
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert b"HOSP" not in file.read_bytes()


@pytest.mark.parametrize("place", [30, 400, 700, -120, -80, -10])
async def test_a_byte_changed_in_a_sealed_file_is_found(journal: SqliteJournal, place: int) -> None:
    await fill(journal)
    await journal.seal(40, ALL_READ)
    file = journal.sealed_folder / "segment-000002.hilum"
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    report = await journal.verify()
    assert not report.ok
    assert report.problem.startswith("journal-segment-damaged")


async def test_a_missing_or_swapped_sealed_file_is_found(journal: SqliteJournal) -> None:
    await fill(journal)
    await journal.seal(40, ALL_READ)
    first, second = (journal.sealed_folder / f"segment-00000{n}.hilum" for n in (1, 2))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    assert not (await journal.verify()).ok
    first.unlink()
    assert (await journal.verify()).problem.startswith("journal-segment-damaged")
    with pytest.raises(StoreCorrupt):
        journal.get(2)
    first.write_bytes(content)
    assert (await journal.verify()).ok


async def test_retention_deletes_the_oldest_and_leaves_a_signed_tombstone(journal: SqliteJournal, store: Store) -> None:
    await fill(journal)
    counts = journal.counts(ALL_READ)
    sealed = await journal.seal(40, ALL_READ)
    head = journal.export_head()
    deleted = await journal.delete_sealed(sealed[1].last_at + 1, "cli")
    assert [one.n for one in deleted][:2] == [1, 2]
    assert journal.counts(ALL_READ) == counts
    for one in deleted:
        assert not (journal.sealed_folder / f"segment-{one.n:06d}.hilum").exists()
    with pytest.raises(NotFound) as caught:
        journal.get(3)
    assert caught.value.code == "message-deleted"
    assert (await journal.verify(head)).ok
    assert (await SqliteJournal(store).verify()).ok


async def test_a_forged_tombstone_is_found(journal: SqliteJournal, store: Store) -> None:
    await fill(journal)
    sealed = await journal.seal(40, ALL_READ)
    store.write_now(
        lambda c: c.execute("INSERT INTO tombstone VALUES (1, 5, 'somebody', zeroblob(32), zeroblob(64))").fetchall()
    )
    assert (await journal.verify()).problem.startswith("journal-signature-invalid")
    assert sealed


async def test_a_changed_row_of_a_sealed_message_is_found(journal: SqliteJournal, store: Store) -> None:
    await fill(journal)
    await journal.seal(40, ALL_READ)
    store.write_now(lambda c: c.execute("DROP TRIGGER message_is_never_changed").fetchall())
    store.write_now(lambda c: c.execute("UPDATE message SET control_id = 'x' WHERE seq = 3").fetchall())
    assert (await journal.verify()).problem.startswith("journal-row-changed")


async def test_two_processes_do_not_seal_at_once(journal: SqliteJournal) -> None:
    await fill(journal)
    journal.sealed_folder.mkdir(mode=0o700)
    lock = ProcessLock(journal.sealed_folder / "sealing.lock", "seals")
    with pytest.raises(StoreBusy):
        await journal.seal(40, ALL_READ)
    lock.release()
    assert await journal.seal(40, ALL_READ)


async def test_audit_rows_leave_with_their_groups_and_sealing_is_audited(journal: SqliteJournal) -> None:
    await fill(journal)
    await journal.seal(40, ALL_READ)
    assert {event.action for _, event in journal.audits()} <= {"seal", "read"}
    assert "seal" in {event.action for _, event in journal.audits()}

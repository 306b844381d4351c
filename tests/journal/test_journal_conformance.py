"""One suite for every implementation of the journal: it finds them by the seam, not by name."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from journal_samples import START, incoming, refused
from msgspec.structs import replace

import hilum.journal
from hilum.errors import FormatError, NotFound
from hilum.journal import SCHEMA, Journal, MessageQuery, head_from_bytes, head_to_bytes
from hilum.model import AuditEvent, Disposition
from hilum.store import Store

IMPLEMENTATIONS = [
    value
    for name in hilum.journal.__all__
    if inspect.isclass(value := getattr(hilum.journal, name))
    and value is not Journal
    and all(hasattr(value, verb) for verb in ("append", "read", "get", "audit", "verify"))
]
pytestmark = pytest.mark.anyio


def test_the_suite_finds_both_implementations() -> None:
    assert sorted(one.__name__ for one in IMPLEMENTATIONS) == ["MemoryJournal", "SqliteJournal"]


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda one: one.__name__)
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    make: Callable[..., Any] = request.param
    if "store" not in inspect.signature(make).parameters:
        yield make()
        return
    with Store.open(tmp_path / "hilum.db", key=bytes(32), schemas=[SCHEMA]) as store:
        yield make(store)


async def test_it_is_a_journal(journal: Any) -> None:
    assert isinstance(journal, Journal)


async def test_bytes_and_envelope_come_back_exactly(journal: Any) -> None:
    one = incoming(1, disposition=Disposition.WARNING)
    (row,) = await journal.append([one])
    message = journal.get(row.seq)
    assert (message.envelope, message.body, message.partition) == (one.envelope, one.body, 1)


async def test_seqs_rise_with_arrival_without_a_gap(journal: Any) -> None:
    first = await journal.append([incoming(1), incoming(2)])
    await journal.audit([AuditEvent(START, "cli", "show", "message/1")])
    second = await journal.append([incoming(3)])
    assert [row.seq for row in first + second] == [1, 2, 3]


async def test_appends_that_wait_together_keep_their_own_results(journal: Any) -> None:
    rows = await asyncio.gather(*(journal.append([incoming(n)]) for n in range(1, 40)))
    for n, (row,) in enumerate(rows, start=1):
        assert journal.get(row.seq).envelope.control_id == f"C{n}"


async def test_a_partition_is_read_in_order_after_a_position(journal: Any) -> None:
    await journal.append([incoming(n) for n in range(1, 21)])
    first = await journal.read(2, 0, 3)
    rest = await journal.read(2, first[-1].seq, 100)
    assert [entry.seq for entry in first + rest] == [2, 6, 10, 14, 18]
    assert all(entry.home == 2 and not entry.barrier for entry in first + rest)
    assert first[0].message.body == incoming(2).body


async def test_a_merge_is_stored_once_with_a_barrier_in_the_other_partition(journal: Any) -> None:
    (row,) = await journal.append([incoming(1, partitions=(3, 0), other_key="9|HOSP")])
    (home,), (barrier,) = await journal.read(3, 0, 9), await journal.read(0, 0, 9)
    assert (home.seq, home.barrier, home.home) == (row.seq, False, 3)
    assert (barrier.seq, barrier.barrier, barrier.home) == (row.seq, True, 3)
    counts = journal.counts({})
    assert (counts.received, counts.waiting) == (1, 1)


async def test_a_refused_message_is_kept_counted_and_never_read(journal: Any) -> None:
    (row,) = await journal.append([refused(1)])
    assert journal.get(row.seq).envelope.disposition is Disposition.AR
    assert journal.get(row.seq).partition == -1
    assert [await journal.read(p, 0, 9) for p in range(4)] == [[], [], [], []]
    counts = journal.counts({})
    assert (counts.received, counts.rejected, counts.waiting) == (1, 1, 0)


async def test_a_copy_is_recognised_by_sender_control_id_and_content(journal: Any) -> None:
    await journal.append([incoming(1), incoming(2)])
    (again,) = await journal.append([incoming(2)])
    assert (again.seq, again.duplicate_of, again.reused_from) == (2, 2, 0)
    counts = journal.counts({})
    assert (counts.received, counts.duplicates) == (2, 1)


async def test_a_copy_within_one_batch_is_recognised(journal: Any) -> None:
    rows = await journal.append([incoming(1), incoming(1)])
    assert [row.duplicate_of for row in rows] == [0, 1]


async def test_a_reused_control_id_with_other_content_is_stored_and_said(journal: Any) -> None:
    await journal.append([incoming(1)])
    (row,) = await journal.append([incoming(1, text="changed")])
    assert (row.seq, row.duplicate_of, row.reused_from) == (2, 0, 1)


async def test_whoever_reads_a_message_sees_that_its_control_id_was_used_before(journal: Any) -> None:
    await journal.append([refused(1), incoming(1, text="first"), incoming(1, text="second"), incoming(1, text="third")])
    await journal.append([incoming(1, sender="LAB|HOSP"), incoming(2), refused(2)])
    await journal.append([incoming(3, control_id=""), incoming(4, control_id="")])
    assert [journal.get(seq).reused_from for seq in range(1, 10)] == [0, 0, 2, 2, 0, 0, 0, 0, 0]
    read = {entry.seq: entry.message.reused_from for p in range(4) for entry in await journal.read(p, 0, 99)}
    assert read == {seq: journal.get(seq).reused_from for seq in read}
    assert len(read) == 7


async def test_the_same_control_id_of_another_sender_is_another_message(journal: Any) -> None:
    await journal.append([incoming(1)])
    (row,) = await journal.append([incoming(1, sender="LAB|HOSP")])
    assert (row.duplicate_of, row.reused_from) == (0, 0)


async def test_a_blank_control_id_is_never_a_copy(journal: Any) -> None:
    rows = await journal.append([incoming(1, control_id=""), incoming(1, control_id="")])
    assert [(row.seq, row.duplicate_of, row.reused_from) for row in rows] == [(1, 0, 0), (2, 0, 0)]


async def test_a_message_accepted_after_it_was_refused_is_not_a_copy(journal: Any) -> None:
    await journal.append([refused(1), refused(1)])
    (row,) = await journal.append([incoming(1)])
    assert (row.seq, row.duplicate_of, row.reused_from) == (3, 0, 0)


async def test_waiting_counts_what_is_after_the_positions(journal: Any) -> None:
    await journal.append([incoming(n) for n in range(1, 13)])
    assert journal.counts({}).waiting == 12
    assert journal.counts({0: 4, 1: 1, 2: 10, 3: 11}).waiting == 2 + 2


async def test_an_unknown_message_is_not_found(journal: Any) -> None:
    with pytest.raises(NotFound) as caught:
        journal.get(1)
    assert caught.value.code == "message-unknown"


async def test_text_that_is_not_text_harms_only_its_caller(journal: Any) -> None:
    results = await asyncio.gather(
        journal.append([incoming(1)]),
        journal.append([incoming(2)]),
        journal.append([_with_surrogate()]),
        return_exceptions=True,
    )
    assert isinstance(results[2], UnicodeEncodeError)
    assert journal.counts({}).received == 2


def _with_surrogate() -> Any:
    one = incoming(3)
    return replace(one, envelope=replace(one.envelope, control_id="\ud800"))


async def test_search_by_each_field(journal: Any) -> None:
    await journal.append([incoming(n) for n in range(1, 8)])
    await journal.append([incoming(8, kind="ORU^R01", sender="LAB|HOSP", disposition=Disposition.HOLD)])
    await journal.append([incoming(9, key="700|HOSP", other_key="3|HOSP")])

    def seqs(**asked: Any) -> list[int]:
        return [found.seq for found in journal.messages(MessageQuery(**asked)).messages]

    assert seqs(control_id="C5") == [5]
    assert seqs(key="3|HOSP") == [9, 3]
    assert seqs(kind="ORU^R01") == [8]
    assert seqs(sender="LAB|HOSP") == [8]
    assert seqs(source="adt", limit=2) == [9, 8]
    assert seqs(source="none") == []
    assert seqs(disposition=Disposition.HOLD) == [8]
    assert seqs(since=START + 3_000_000, until=START + 5_000_000) == [4, 3]
    assert seqs(kind="ADT^A01", since=START + 7_000_000) == [9, 7]
    assert seqs(control_id="C5", key="5|HOSP", kind="ADT^A01", sender="EPIC|HOSP") == [5]
    assert seqs(control_id="C5", key="4|HOSP") == []
    assert seqs(key="1|HOSP", kind="ORU^R01") == [8]
    assert seqs() == [9, 8, 7, 6, 5, 4, 3, 2, 1]


async def test_pages_are_stable_while_messages_arrive(journal: Any) -> None:
    await journal.append([incoming(n, at=START + n // 3) for n in range(1, 11)])
    seen: list[int] = []
    query = MessageQuery(limit=4)
    while True:
        page = journal.messages(query)
        seen += [found.seq for found in page.messages]
        if not page.next:
            break
        await journal.append([incoming(100 + len(seen))])
        query = MessageQuery(limit=4, after=page.next)
    assert seen == list(range(10, 0, -1))


async def test_a_made_up_cursor_is_refused(journal: Any) -> None:
    with pytest.raises(FormatError) as caught:
        journal.messages(MessageQuery(after="yesterday"))
    assert caught.value.code == "journal-cursor-invalid"


async def test_messages_are_counted_by_sender_and_kind(journal: Any) -> None:
    await journal.append([incoming(1), incoming(2), incoming(3, kind="ORU^R01"), refused(4)])
    counted = {(one.sender, one.kind, one.disposition.value): one.messages for one in journal.route_counts()}
    assert counted == {
        ("EPIC|HOSP", "ADT^A01", "accept"): 2,
        ("EPIC|HOSP", "ADT^A01", "AR"): 1,
        ("EPIC|HOSP", "ORU^R01", "accept"): 1,
    }


async def test_audit_rows_come_back_numbered(journal: Any) -> None:
    events = [AuditEvent(START + n, "token-a", "read", f"Patient/{n}", detail="1") for n in range(3)]
    await journal.audit(events[:2])
    await journal.audit(events[2:])
    assert journal.audits(after=1) == [(2, events[1]), (3, events[2])]


async def test_a_whole_journal_verifies_with_and_without_an_exported_head(journal: Any) -> None:
    await journal.append([incoming(n) for n in range(1, 6)])
    head = head_from_bytes(head_to_bytes(journal.export_head()))
    await journal.append([incoming(5), refused(6)])
    await journal.audit([AuditEvent(START, "cli", "show", "message/1")])
    journal.close()
    for report in (await journal.verify(), await journal.verify(head)):
        assert (report.ok, report.problem, report.messages, report.heads) == (True, "", 6, 3)


async def test_an_empty_journal_never_verifies_silently(journal: Any) -> None:
    report = await journal.verify()
    assert not report.ok
    assert report.problem.startswith("journal-empty")
    with pytest.raises(NotFound):
        journal.export_head()


async def test_nothing_appended_is_no_group(journal: Any) -> None:
    assert await journal.append([]) == []
    await journal.audit([])
    assert not (await journal.verify()).ok


async def test_a_changed_head_file_is_refused(journal: Any) -> None:
    await journal.append([incoming(1)])
    content = head_to_bytes(journal.export_head())
    with pytest.raises(FormatError):
        head_from_bytes(content.replace(b'"n": 1', b'"n": 2'))
    with pytest.raises(FormatError):
        head_from_bytes(b"{}")


async def test_an_arrival_with_a_name_is_appended_once_whatever_it_holds(journal: Any) -> None:
    """Without control ids, refused, and copies within it: a file that is handed over again after a crash."""
    blank = replace(incoming(1, control_id=""), once=b"file")
    arrival = [blank, replace(refused(2), once=b"file"), blank]
    first = await journal.append([incoming(9), *arrival])
    assert [row.seq for row in first] == [1, 2, 3, 4], "within one call nothing is taken for a repetition"
    again = await journal.append([incoming(8), *arrival])
    assert [row.seq for row in again] == [5, 2, 2, 2]
    assert [bool(row.duplicate_of) for row in again] == [False, True, True, True]
    other = await journal.append([replace(blank, once=b"other file")])
    assert (other[0].seq, other[0].duplicate_of) == (6, 0)
    counts = journal.counts({})
    assert (counts.received, counts.rejected, counts.duplicates) == (6, 1, 0)
    assert (await journal.verify()).ok

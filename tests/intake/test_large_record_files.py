"""Large files of records: part by part, each once, the file whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from hilum.engine.admission import admit
from hilum.engine.settings import SourceSettings
from hilum.formats import hl7v2, records
from hilum.intake import FilesLimits, FilesSource, FolderWatch
from hilum.intake.parts import LARGE, PART
from hilum.model import Ack, Arrival, Finding
from wire_peers import PATIENCE, until

pytestmark = pytest.mark.anyio

FORMAT = records.Delimited(record="people", key=("ID",))
HEADER = b"ID,Note\n"
ROWS = [b'%d,"%s\nx"\n' % (number, b"n" * 2000) for number in range(900)]
CONTENT = HEADER + b"".join(ROWS)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NO = Ack("AE", b"", Finding("store-slow", "the journal did not answer in time"))
assert len(CONTENT) > LARGE


@asynccontextmanager
async def watching(
    folder: Path, *, form: records.Format = FORMAT, pattern: str = "*.csv", **limits: Any
) -> AsyncIterator[FolderWatch]:
    config = FilesSource(
        folder=folder,
        limits=FilesLimits(**{"drain_seconds": 0.1, **limits}),
        ready="rename",
        poll_seconds=0.01,
        format=form,
        pattern=pattern,
    )
    watch = FolderWatch("people", config)
    await watch.open()
    try:
        yield watch
    finally:
        await watch.close()


async def next_part(watch: FolderWatch) -> Arrival:
    async with asyncio.timeout(PATIENCE):
        (arrival,) = await watch.read()
    return arrival


async def all_parts(watch: FolderWatch, count: int) -> list[Arrival]:
    found = []
    for _ in range(count):
        found.append(await next_part(watch))
        found[-1].answer(Ack("AA", taken=3))
    return found


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir() if one.is_file()) if folder.is_dir() else []


def records_of(arrivals: list[Arrival]) -> list[tuple[str, bytes]]:
    """(control id, body) of all records, as the journal gets them."""
    settings = SourceSettings("people", hl7v2.Rules(), records=FORMAT)
    items = [item for one in arrivals for item in admit(one, settings).items]
    return [(item.incoming.envelope.control_id, item.incoming.body) for item in items]


async def test_a_large_file_comes_in_parts_that_hold_the_records_of_the_whole(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    async with watching(tmp_path) as watch:
        arrivals = await all_parts(watch, 7)
        await until(lambda: names(tmp_path / "processed") == ["a.csv"])
        assert (names(tmp_path), watch.counts["taken"]) == ([], 1)
    assert all(PART <= len(one.body) < 2 * PART for one in arrivals[:-1])
    assert len({one.once for one in arrivals}) == 7
    whole = records_of([Arrival("people", "", 0, CONTENT, arrivals[0].answer)])
    assert records_of(arrivals) == whole
    assert whole[1][0] == f"{DIGEST[:16]}-4"
    assert names(tmp_path / ".hilum") == ["taken.sha256"]


async def test_nothing_is_handed_over_before_the_answer_to_the_part_before(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    async with watching(tmp_path) as watch:
        first = await next_part(watch)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.read(), 0.3)
        assert names(tmp_path) == ["a.csv"]
        first.answer(Ack("AA", taken=1))
        second = await next_part(watch)
        assert second.part is not None
        assert first.part is not None
        assert second.part.line > first.part.line


@pytest.mark.parametrize("is_gone", [False, True], ids=["the file is still there", "somebody took the file away"])
async def test_what_is_left_half_way_is_handed_over_again_by_the_same_names(tmp_path: Path, is_gone: bool) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    async with watching(tmp_path) as watch:
        before = await all_parts(watch, 3)
    if is_gone:
        (tmp_path / "a.csv").unlink()
    async with watching(tmp_path) as watch:
        after = await all_parts(watch, 7)
        await until(lambda: names(tmp_path / ".hilum") == ["taken.sha256"])
        assert names(tmp_path / "processed") == ([] if is_gone else ["a.csv"])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.read(), 0.2)
    assert [one.once for one in before] == [one.once for one in after[:3]]
    assert records_of(before) == records_of(after[:3])


async def test_a_part_that_the_journal_could_not_take_is_handed_over_again(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    async with watching(tmp_path) as watch:
        (first,) = await all_parts(watch, 1)
        (await next_part(watch)).answer(NO)
        again = await all_parts(watch, 7)
        assert again[0].once == first.once
        await until(lambda: names(tmp_path / "processed") == ["a.csv"])


async def test_a_copy_that_never_became_whole_is_thrown_away_and_a_finished_one_is_not_taken_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    async with watching(tmp_path) as watch:
        await all_parts(watch, 3)
    state = tmp_path / ".hilum"
    (copy,) = [one for one in state.glob("taking-*") if one.suffix != ".json"]
    facts = copy.with_name(f"{copy.name}.json").read_bytes()
    (state / "taking-partial").write_bytes(b"torn")
    (state / "taking-partial.json").write_bytes(b"{")
    (state / "taking-0000.json").write_bytes(facts)
    with (state / "taken.sha256").open("a") as ledger:  # as if its process ended right after that
        ledger.write(f"{DIGEST}\n")
    async with watching(tmp_path) as watch:
        await until(lambda: names(tmp_path / "processed") == ["a.csv"])
        await until(lambda: names(state) == ["taken.sha256"])
        assert watch.counts["unanswered"] == 0


async def test_a_large_file_of_another_form_is_refused_before_anything_of_it_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"Smith,John\n" + b"".join(ROWS))
    async with watching(tmp_path) as watch:
        refused = await next_part(watch)
        assert refused.fault is not None
        assert (refused.fault.code, len(refused.body) <= 64 * 1024) == ("records-key-missing", True)
        refused.answer(Ack("AR", b"", refused.fault, 0, (refused.fault,)))
        await until(lambda: names(tmp_path / "failed") == ["a.csv", "a.csv.reason"])
    assert "Smith" not in (tmp_path / "failed" / "a.csv.reason").read_text()
    assert names(tmp_path / ".hilum") == ["taken.sha256"]


async def test_findings_of_all_parts_lie_beside_the_file_and_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    found = tuple(Finding("record-columns", "too few", f"hold line {n}") for n in range(300))
    async with watching(tmp_path) as watch:
        for _ in range(7):
            (await next_part(watch)).answer(Ack("AA", taken=1, findings=found))
        await until(lambda: names(tmp_path / "processed") == ["a.csv", "a.csv.findings"])
    lines = (tmp_path / "processed" / "a.csv.findings").read_text().splitlines()
    assert (len(lines), lines[0]) == (1001, "hold line 0 record-columns too few")
    assert lines[-1].startswith("files-findings-left-out 1100 more")


async def test_a_file_beyond_its_limit_goes_to_failed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    async with watching(tmp_path, record_file_bytes=LARGE + 1):
        await until(lambda: names(tmp_path / "failed") == ["a.csv", "a.csv.reason"])


async def test_memory_holds_parts_and_not_the_file(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(HEADER)
        for _ in range(8):
            file.writelines(ROWS)
    size = (tmp_path / "a.csv").stat().st_size
    async with watching(tmp_path) as watch:
        tracemalloc.start()
        seen = 0
        while seen + PART < size:
            arrival = await next_part(watch)
            seen += len(arrival.body)
            arrival.answer(Ack("AA", taken=1))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert size > 12 * 1024 * 1024
    assert peak < 5 * 1024 * 1024


async def test_a_sheet_is_taken_in_parts_and_taken_up_where_it_was_left(tmp_path: Path) -> None:
    """However small the file is: what it unpacks to says nothing of that. Its lines lie beside the copy meanwhile."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in (["ID", "Note"], *([number, "n" * 2000] for number in range(400))):
        sheet.append(row)
    book.save(tmp_path / "a.xlsx")
    format_ = records.Spreadsheet(record="people", key=("ID",))
    settings = SourceSettings("people", hl7v2.Rules(), records=format_)
    seen: list[str] = []

    def note(arrival: Arrival) -> None:
        seen.extend(item.incoming.envelope.control_id for item in admit(arrival, settings).items)
        arrival.answer(Ack("AA", taken=1))

    async with watching(tmp_path, pattern="*.xlsx", form=format_) as watch:
        note(await next_part(watch))
        await next_part(watch)  # nobody answers, and the process ends
    assert [Path(name).suffix for name in names(tmp_path / ".hilum")[1:]] == ["", ".json", ".rows"]
    async with watching(tmp_path, pattern="*.xlsx", form=format_) as watch:
        for arrival in [await next_part(watch)]:
            assert arrival.part is not None
            first = len(seen)
            note(arrival)
            assert seen[first:] == seen[:first], "the journal knows these by their names"
            del seen[first:]
        while len(seen) < 400:
            note(await next_part(watch))
        await until(lambda: names(tmp_path / "processed") == ["a.xlsx"])
    assert [int(one.rpartition("-")[2]) for one in seen] == list(range(2, 402))
    assert names(tmp_path / ".hilum") == ["taken.sha256"]


async def test_a_file_that_is_no_sheet_goes_to_failed_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"ID,Note\n")
    format_ = records.Spreadsheet(record="people", key=("ID",))
    async with watching(tmp_path, pattern="*.xlsx", form=format_) as watch:
        arrival = await next_part(watch)
        assert arrival.fault is not None
        assert arrival.fault.code == "records-sheet"
        arrival.answer(Ack("AR", b"", arrival.fault))
        await until(lambda: "a.xlsx" in names(tmp_path / "failed"))

"""A watched folder: each file whole and once, whatever happens between the journal's commit and the move."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from hilum.errors import ConfigError, StoreError
from hilum.intake import FilesLimits, FilesSource, FolderWatch
from hilum.intake.ledger import HashLedger
from hilum.model import Ack, Arrival, Finding
from wire_peers import PATIENCE, message, until

pytestmark = pytest.mark.anyio

YES = Ack("AA")
BATCH = b"FHS|^~\\&\r" + message(1) + message(2) + b"FTS|1\r"


@asynccontextmanager
async def watching(folder: Path, **settings: Any) -> AsyncIterator[FolderWatch]:
    limits = FilesLimits(**{"drain_seconds": 0.1, **settings.pop("limits", {})})
    settings = {"ready": "rename", "poll_seconds": 0.01, **settings}
    watch = FolderWatch("lab", FilesSource(folder=folder, limits=limits, **settings))
    await watch.open()
    try:
        yield watch
    finally:
        await watch.close()


async def take(watch: FolderWatch, count: int = 1) -> list[Arrival]:
    arrivals: list[Arrival] = []
    async with asyncio.timeout(PATIENCE):
        while len(arrivals) < count:
            arrivals += await watch.read()
    return arrivals


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir() if not one.is_dir())


async def is_quiet(watch: FolderWatch) -> bool:
    """Nothing comes for several looks at the folder."""
    try:
        await asyncio.wait_for(watch.read(), 0.15)
    except TimeoutError:
        return True
    return False


# -- the good way -------------------------------------------------------------------------------------------------


async def test_a_batch_comes_as_one_arrival_with_its_exact_bytes(tmp_path: Path) -> None:
    (tmp_path / "batch.hl7").write_bytes(BATCH)
    async with watching(tmp_path) as watch:
        (arrival,) = await take(watch)
        assert (arrival.body, arrival.source, arrival.fault) == (BATCH, "lab", None)


async def test_a_file_moves_only_after_it_was_answered(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(message(1))
    async with watching(tmp_path) as watch:
        (arrival,) = await take(watch)
        assert await is_quiet(watch)
        assert names(tmp_path) == ["a.hl7"]
        arrival.answer(YES)
        await until(lambda: names(tmp_path / "processed") == ["a.hl7"])
        assert names(tmp_path) == []
        assert (tmp_path / "processed" / "a.hl7").read_bytes() == message(1)


async def test_a_commit_answer_is_as_good_and_the_later_one_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(message(1))
    async with watching(tmp_path) as watch:
        (arrival,) = await take(watch)
        arrival.answer(Ack("CA"))
        arrival.answer(Ack("AE", finding=Finding("held", "held")))
        await until(lambda: names(tmp_path / "processed") == ["a.hl7"])
        assert names(tmp_path / "failed") == []


async def test_files_come_oldest_first(tmp_path: Path) -> None:
    for age, name in enumerate(("c.hl7", "a.hl7", "b.hl7")):
        (tmp_path / name).write_bytes(message(age))
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    async with watching(tmp_path) as watch:
        assert [arrival.body for arrival in await take(watch, 3)] == [message(0), message(1), message(2)]


async def test_the_logs_never_show_the_name_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "DOE_JANE.hl7").write_bytes(message(1))
    (tmp_path / "DOE_JOHN.hl7").write_bytes(b"")
    with capture_logs() as logs:
        async with watching(tmp_path) as watch:
            (arrival,) = await take(watch)
            arrival.answer(Ack("AE", finding=Finding("type-missing", "no type")))
            await until(lambda: len(names(tmp_path / "failed")) == 4)
    assert arrival.peer.startswith("file:")
    assert len(logs) > 2
    assert "DOE" not in repr(logs)


# -- refused ------------------------------------------------------------------------------------------------------


async def test_a_refused_file_goes_to_failed_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(message(1))
    async with watching(tmp_path) as watch:
        (arrival,) = await take(watch)
        arrival.answer(Ack("AE", finding=Finding("batch-count", "BTS-1 is not the number of messages", "BTS-1")))
        await until(lambda: names(tmp_path / "failed") == ["a.hl7", "a.hl7.reason"])
        reason = (tmp_path / "failed" / "a.hl7.reason").read_text()
        assert reason == "answered AE\nBTS-1 batch-count BTS-1 is not the number of messages\n"
        assert len((tmp_path / ".hilum" / "taken.sha256").read_bytes()) == 0


async def test_a_refused_file_may_come_again(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        for _ in range(2):
            (tmp_path / "a.hl7").write_bytes(message(1))
            (arrival,) = await take(watch)
            arrival.answer(Ack("AR"))
            await until(lambda: names(tmp_path) == [])
        await until(lambda: len(names(tmp_path / "failed")) == 4)
        assert names(tmp_path / "failed") == ["a.hl7", "a.hl7.2", "a.hl7.2.reason", "a.hl7.reason"]


async def test_a_file_that_could_not_be_stored_stays_and_comes_again(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(message(1))
    async with watching(tmp_path) as watch:
        (arrival,) = await take(watch)
        arrival.answer(Ack("AE", finding=Finding("store-full", "no space")))
        (again,) = await take(watch)
        assert again.body == message(1)
        again.answer(YES)
        await until(lambda: names(tmp_path / "processed") == ["a.hl7"])
        assert names(tmp_path / "failed") == []


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("files-empty", lambda path: path.write_bytes(b"")),
        ("files-too-large", lambda path: path.write_bytes(b"x" * 1001)),
        ("files-symlink", lambda path: path.symlink_to("/etc/hostname")),
        ("files-not-regular", lambda path: os.mkfifo(path)),
    ],
)
async def test_what_can_never_be_taken_goes_to_failed_unread(tmp_path: Path, code: str, make: Any) -> None:
    make(tmp_path / "a.hl7")
    async with watching(tmp_path, limits={"file_bytes": 1000}) as watch:
        await until(lambda: "a.hl7.reason" in names(tmp_path / "failed"))
        assert (tmp_path / "failed" / "a.hl7.reason").read_text().startswith(code)
        assert watch.counts[code] == 1
        assert await is_quiet(watch)


async def test_a_file_that_may_not_be_read_goes_to_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith("locked.hl7") and not flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr("hilum.intake.folder.os.open", refuse)
    (tmp_path / "locked.hl7").write_bytes(message(1))
    async with watching(tmp_path) as watch:
        await until(lambda: len(names(tmp_path / "failed")) == 2)
        assert watch.counts["files-unreadable"] == 1


# -- when a file is complete --------------------------------------------------------------------------------------


async def test_a_growing_file_is_waited_for(tmp_path: Path) -> None:
    async with watching(tmp_path, ready="stable", stable_seconds=0.1) as watch:
        with (tmp_path / "a.hl7").open("wb") as file:
            for part in (message(1)[:10], message(1)[10:30], message(1)[30:]):
                file.write(part)
                file.flush()
                await asyncio.sleep(0.05)
                assert watch.counts["unanswered"] == 0
        (arrival,) = await take(watch)
        assert arrival.body == message(1)


async def test_an_empty_file_is_left_to_its_writer(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").touch()
    async with watching(tmp_path, ready="stable", stable_seconds=0) as watch:
        assert await is_quiet(watch)
        assert names(tmp_path) == ["a.hl7"]


async def test_a_marker_says_that_a_file_is_complete_and_goes_with_it(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(message(1))
    async with watching(tmp_path, ready="marker") as watch:
        assert await is_quiet(watch)
        (tmp_path / "a.hl7.done").touch()
        (arrival,) = await take(watch)
        arrival.answer(YES)
        await until(lambda: names(tmp_path / "processed") == ["a.hl7"])
        await until(lambda: names(tmp_path) == [])


async def test_a_marker_older_than_its_file_belonged_to_another(tmp_path: Path) -> None:
    (tmp_path / "a.hl7.done").touch()
    os.utime(tmp_path / "a.hl7.done", (1000, 1000))
    (tmp_path / "a.hl7").write_bytes(message(1))
    async with watching(tmp_path, ready="marker") as watch:
        assert await is_quiet(watch)


@pytest.mark.parametrize("name", [".a.hl7", "a.hl7.tmp", "a.hl7.part", "~a.hl7", "a.txt", "A.FILEPART"])
async def test_names_that_are_not_meant_are_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(message(1))
    (tmp_path / "inner.hl7").mkdir()
    async with watching(tmp_path, pattern="*.hl7" if name == "a.txt" else "*") as watch:
        assert await is_quiet(watch)
        assert names(tmp_path) == [name]


async def test_a_file_that_changes_while_it_is_read_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.hl7"
    path.write_bytes(message(1))
    real, grown = os.fdopen, []

    def grow(*args: Any, **kwargs: Any) -> Any:
        if not grown:
            grown.append(True)
            with path.open("ab") as file:
                file.write(message(2))
        return real(*args, **kwargs)

    async with watching(tmp_path) as watch:
        monkeypatch.setattr("hilum.intake.folder.os.fdopen", grow)
        (arrival,) = await take(watch)
        assert arrival.body == message(1) + message(2)


async def test_a_new_file_under_the_name_of_a_taken_one_is_not_moved_with_it(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(message(1))
    async with watching(tmp_path) as watch:
        (first,) = await take(watch)
        (tmp_path / "new.tmp").write_bytes(message(2, b"new"))
        (tmp_path / "new.tmp").replace(tmp_path / "a.hl7")
        first.answer(YES)
        (second,) = await take(watch)
        assert second.body == message(2, b"new")
        second.answer(YES)
        await until(lambda: names(tmp_path / "processed") == ["a.hl7"])


# -- once ---------------------------------------------------------------------------------------------------------


async def test_the_same_content_is_not_taken_twice(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        (tmp_path / "a.hl7").write_bytes(message(1))
        (arrival,) = await take(watch)
        arrival.answer(YES)
        await until(lambda: names(tmp_path / "processed") == ["a.hl7"])
        (tmp_path / "b.hl7").write_bytes(message(1))
        (tmp_path / "a.hl7").write_bytes(message(1))
        await until(lambda: names(tmp_path / "processed") == ["a.hl7", "a.hl7.2", "b.hl7"])
        assert watch.counts["files-duplicate"] == 2
        assert await is_quiet(watch)


async def test_two_files_with_one_content_are_taken_once(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(message(1))
    (tmp_path / "b.hl7").write_bytes(message(1))
    async with watching(tmp_path) as watch:
        (arrival,) = await take(watch)
        assert await is_quiet(watch)
        arrival.answer(YES)
        await until(lambda: names(tmp_path / "processed") == ["a.hl7", "b.hl7"])
        assert watch.counts["taken"] == 1


async def test_the_ledger_outlives_the_process(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        (tmp_path / "a.hl7").write_bytes(message(1))
        (await take(watch))[0].answer(YES)
        await until(lambda: names(tmp_path / "processed") == ["a.hl7"])
    async with watching(tmp_path) as watch:
        (tmp_path / "a.hl7").write_bytes(message(1))
        await until(lambda: names(tmp_path / "processed") == ["a.hl7", "a.hl7.2"])
        assert watch.counts["unanswered"] == 0


async def test_an_unanswered_file_stays_for_the_next_run(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(message(1))
    async with watching(tmp_path) as watch:
        await take(watch)
    assert names(tmp_path) == ["a.hl7"]
    async with watching(tmp_path) as watch:
        assert len(await take(watch)) == 1


async def test_what_is_answered_while_closing_is_moved(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(message(1))
    async with watching(tmp_path, limits={"drain_seconds": 20}) as watch:
        (arrival,) = await take(watch)
        closing = asyncio.create_task(watch.close())
        await asyncio.sleep(0.05)
        arrival.answer(YES)
        await closing
        assert names(tmp_path / "processed") == ["a.hl7"]


RUN = """
import asyncio, sys
from pathlib import Path
from hilum.intake import FilesSource, FolderWatch
from hilum.model import Ack

async def main():
    folder = Path(sys.argv[1])
    watch = FolderWatch("lab", FilesSource(folder=folder, ready="marker", poll_seconds=0.01))
    await watch.open()
    async def serve():
        for arrival in await watch.read():
            with (folder.parent / "journal").open("ab") as journal:
                journal.write(arrival.body)
            arrival.answer(Ack("AA"))
    try:
        await asyncio.wait_for(serve(), 0.5)
    except TimeoutError:
        pass
    await watch.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("point", ["files.answered", "files.ledgered", "files.moved"])
def test_a_kill_between_commit_and_move_takes_nothing_twice_that_the_ledger_knows(tmp_path: Path, point: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.hl7").write_bytes(message(1))
    (folder / "a.hl7.done").touch()

    def run(**environment: str) -> int:
        command = [sys.executable, "-c", textwrap.dedent(RUN), str(folder)]
        return subprocess.run(command, env=os.environ | environment, capture_output=True, check=False).returncode

    assert run(HILUM_CRASH_AT=point) == -9
    assert run() == 0
    assert names(folder / "processed") == ["a.hl7"]
    assert (folder / "processed" / "a.hl7").read_bytes() == message(1)
    taken = (tmp_path / "journal").read_bytes().count(b"MSH")
    assert taken == (2 if point == "files.answered" else 1)  # the journal knows the message of the second time


# -- limits and trouble -------------------------------------------------------------------------------------------


async def test_no_more_files_are_taken_than_may_be_unanswered(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.hl7").write_bytes(message(number))
    async with watching(tmp_path, limits={"unanswered_files": 2}) as watch:
        arrivals = await take(watch, 2)
        assert await is_quiet(watch)
        for _ in range(3):
            for arrival in arrivals:
                arrival.answer(YES)
            if watch.counts["taken"] < 6:
                arrivals = await take(watch, 2)
        await until(lambda: len(names(tmp_path / "processed")) == 6)


async def test_no_more_bytes_are_taken_than_may_be_unanswered(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.hl7").write_bytes(b"%d" % number * 1000)
    async with watching(tmp_path, limits={"unanswered_bytes": 1500}) as watch:
        (arrival,) = await take(watch)
        assert await is_quiet(watch)
        arrival.answer(YES)
        assert len(await take(watch)) == 1


async def test_a_folder_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    async with watching(folder) as watch:
        folder.rename(tmp_path / "gone")
        await until(lambda: watch.counts.get("files-folder-unreachable", 0) > 0)
        (tmp_path / "gone").rename(folder)
        (folder / "a.hl7").write_bytes(message(1))
        assert len(await take(watch)) == 1


async def test_a_name_of_the_longest_kind_can_be_put_away(tmp_path: Path) -> None:
    name = "ä" * 125 + ".hl7"
    async with watching(tmp_path) as watch:
        for number in range(2):
            (tmp_path / name).write_bytes(message(number))
            (await take(watch))[0].answer(Ack("AE"))
            await until(lambda: names(tmp_path) == [])
        await until(lambda: len(names(tmp_path / "failed")) == 4)


async def test_a_fault_of_our_own_reaches_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault of our own")

    monkeypatch.setattr("hilum.intake.disk.look", fail)
    async with watching(tmp_path) as watch:
        with pytest.raises(RuntimeError, match="our own"):
            await asyncio.wait_for(watch.read(), 10)


async def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    async with watching(tmp_path / "inbox") as watch:
        (tmp_path / "inbox" / "a.hl7").write_bytes(message(1))
        assert len(await take(watch)) == 1


async def test_a_path_that_leads_nowhere_is_said_at_once(tmp_path: Path) -> None:
    watch = FolderWatch("lab", FilesSource(folder=tmp_path / "none" / "inbox"))
    assert [finding.code for finding in await watch.probe()] == ["files-folder-unusable"]
    with pytest.raises(ConfigError, match="none"):
        await watch.open()


# -- the ledger ---------------------------------------------------------------------------------------------------


def test_a_torn_line_of_the_ledger_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    digests = [hashlib.sha256(bytes([number])).digest() for number in range(3)]
    ledger = HashLedger(path)
    ledger.open()
    for digest in digests[:2]:
        ledger.add(digest)
    ledger.close()
    path.write_bytes(path.read_bytes()[:-10])
    again = HashLedger(path)
    again.open()
    assert [digest in again for digest in digests] == [True, False, False]
    again.add(digests[2])
    again.close()
    assert path.read_text().splitlines() == [digests[0].hex(), digests[2].hex()]


def test_a_ledger_that_is_something_else_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.write_text("x" * 64 + "\n")
    with pytest.raises(StoreError) as caught:
        HashLedger(path).open()
    assert caught.value.code == "files-ledger-damaged"


def test_a_line_that_could_not_be_written_leaves_the_ledger_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = HashLedger(tmp_path / "taken")
    ledger.open()
    ledger.add(b"\x01" * 32)

    def fill_up(descriptor: int, data: bytes) -> int:
        os.pwrite(descriptor, data[:10], os.fstat(descriptor).st_size)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("hilum.protocols.disk.os.write", fill_up)
        with pytest.raises(OSError, match="No space"):
            ledger.add(b"\x02" * 32)
    assert b"\x02" * 32 not in ledger
    ledger.add(b"\x02" * 32)
    ledger.close()
    assert (tmp_path / "taken").read_text() == "01" * 32 + "\n" + "02" * 32 + "\n"


def test_a_files_source_is_told_by_its_kind() -> None:
    decoded = msgspec.convert({"kind": "files", "folder": "in"}, FilesSource, dec_hook=lambda kind, value: kind(value))
    assert (decoded.folder, decoded.ready) == (Path("in"), "stable")

"""Records as files: whole, on the disk, and there once however often they are sent."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.delivery import FilesDestination, FileWriter
from hilum.delivery.lines import LineFile
from hilum.errors import ConfigError, DeliveryError, Outcome
from hilum.model import Outgoing

pytestmark = pytest.mark.anyio

NOW = 1_764_000_000.0
FILE = "records-2025-11-24.ndjson"


@asynccontextmanager
async def writing(folder: Path, layout: str = "each") -> AsyncIterator[FileWriter]:
    writer = FileWriter("archive", FilesDestination(folder=folder, layout=layout))  # type: ignore[arg-type]
    await writer.open()
    try:
        yield writer
    finally:
        await writer.close()


def record(key: str, payload: bytes = b"{}", content_type: str = "application/fhir+json") -> Outgoing:
    return Outgoing("archive", "", key, payload, content_type)


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir() if one.is_file())


async def test_a_record_is_one_file_named_by_its_idempotency_key(tmp_path: Path) -> None:
    async with writing(tmp_path / "new" / "folder") as writer:
        receipt = await writer.send(record("17-Patient-x", b'{"a":1}'))
        assert receipt.reference == "17-Patient-x.json"
        assert (tmp_path / "new" / "folder" / "17-Patient-x.json").read_bytes() == b'{"a":1}'
        assert (tmp_path / "new" / "folder" / "17-Patient-x.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("key", ["../up", "a/b", "", ".hidden", "x" * 200, "Jane Doe", "ä", "a\x00b"])
async def test_a_key_that_is_no_safe_name_becomes_its_hash(tmp_path: Path, key: str) -> None:
    async with writing(tmp_path) as writer:
        name = (await writer.send(record(key))).reference
        assert names(tmp_path) == [name]
        assert len(name) == 45
        assert name.removesuffix(".json").isalnum()


@pytest.mark.parametrize(
    ("content_type", "suffix"),
    [("application/fhir+json", ".json"), ("x-application/hl7-v2+er7", ".hl7"), ("application/octet-stream", ".bin")],
)
async def test_the_suffix_says_what_is_inside(tmp_path: Path, content_type: str, suffix: str) -> None:
    async with writing(tmp_path) as writer:
        assert (await writer.send(record("k", b"x", content_type))).reference == "k" + suffix


async def test_the_same_record_again_changes_nothing(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.send(record("k", b"one"))
        before = (tmp_path / "k.json").stat().st_mtime_ns
        assert (await writer.send(record("k", b"one"))).reference == "k.json"
        assert (tmp_path / "k.json").stat().st_mtime_ns == before


async def test_another_record_under_the_same_key_is_held(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.send(record("k", b"one"))
        with pytest.raises(DeliveryError) as caught:
            await writer.send(record("k", b"two"))
        assert (caught.value.code, caught.value.outcome) == ("files-conflict", Outcome.HOLD)
        assert (tmp_path / "k.json").read_bytes() == b"one"


async def test_what_a_crash_left_half_written_does_not_disturb(tmp_path: Path) -> None:
    (tmp_path / ".k.json.tmp").write_bytes(b"ha")
    async with writing(tmp_path) as writer:
        await writer.send(record("k", b"whole"))
        assert (tmp_path / "k.json").read_bytes() == b"whole"
        assert names(tmp_path) == ["k.json"]


@pytest.mark.parametrize("layout", ["each", "ndjson"])
async def test_a_full_disk_is_tried_again(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    async with writing(tmp_path, layout) as writer:
        with monkeypatch.context() as patched:
            patched.setattr("hilum.protocols.disk.os.write", full)
            with pytest.raises(DeliveryError) as caught:
                await writer.send(record("k"))
        assert (caught.value.code, caught.value.outcome) == ("files-not-written", Outcome.RETRY)
        name = (await writer.send(record("k"))).reference
        assert (tmp_path / name).read_bytes().strip() == b"{}"


async def test_a_cancelled_send_ends_before_the_next_begins(tmp_path: Path) -> None:
    async with writing(tmp_path, "ndjson") as writer:
        first = asyncio.create_task(writer.send(record("a")))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(*(writer.send(record(str(number))) for number in range(20)), return_exceptions=True)
        await writer.send(record("a"))
        (file,) = (one for one in names(tmp_path) if one.endswith(".ndjson"))
        assert (tmp_path / file).read_bytes() == b"{}\n" * 21


async def test_a_folder_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    writer = FileWriter("archive", FilesDestination(folder=tmp_path / "file"))
    assert [finding.code for finding in await writer.probe()] == ["files-folder-unusable"]
    with pytest.raises(ConfigError):
        await writer.open()


# -- NDJSON -------------------------------------------------------------------------------------------------------


async def test_records_are_lines_of_the_file_of_the_day(tmp_path: Path) -> None:
    async with writing(tmp_path, "ndjson") as writer:
        one = (await writer.send(record("a", b'{\r\n "n": 1\n}\n'))).reference
        assert (await writer.send(record("b", b'{"n":2}'))).reference == one
        assert (tmp_path / one).read_bytes() == b'{   "n": 1 }\n{"n":2}\n'


@pytest.mark.parametrize("payload", [b"MSH|^~\\&|", b"", b"{", b'{"a":"\n"}'])
async def test_only_json_can_be_a_line(tmp_path: Path, payload: bytes) -> None:
    async with writing(tmp_path, "ndjson") as writer:
        with pytest.raises(DeliveryError) as caught:
            await writer.send(record("a", payload))
        assert (caught.value.code, caught.value.outcome) == ("files-not-json", Outcome.HOLD)


async def test_a_record_sent_again_is_not_written_again_also_after_a_restart(tmp_path: Path) -> None:
    for _ in range(3):
        async with writing(tmp_path, "ndjson") as writer:
            for key in ("a", "b"):
                name = (await writer.send(record(key))).reference
    assert (tmp_path / name).read_bytes() == b"{}\n{}\n"


LINES = st.lists(st.binary(min_size=1, max_size=30).filter(lambda line: b"\n" not in line), min_size=1, max_size=5)


@given(LINES, st.data())
def test_a_crash_after_any_byte_leaves_every_line_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], data: st.DataObject
) -> None:
    """The place is synced before the line, so a crash leaves: a torn place and no line, or a place and a torn line."""
    folder = tmp_path_factory.mktemp("lines")
    file = LineFile(folder)
    file.open()
    for number, line in enumerate(lines[:-1]):
        file.append(str(number), line, NOW)
    log, records = folder / ".hilum" / "lines.log", folder / FILE
    log_before = log.stat().st_size
    before = records.stat().st_size if records.exists() else 0
    last = str(len(lines) - 1)
    file.append(last, lines[-1], NOW)
    file.close()
    if data.draw(st.booleans()):
        os.truncate(records, before)
        os.truncate(log, data.draw(st.integers(log_before, log.stat().st_size)))
    else:
        os.truncate(records, data.draw(st.integers(before, records.stat().st_size)))
    again = LineFile(folder)
    again.open()
    again.append(last, lines[-1], NOW)
    again.append("next", b"next", NOW)
    again.close()
    assert records.read_bytes() == b"".join(line + b"\n" for line in [*lines, b"next"])


def test_a_file_that_its_reader_took_away_is_not_written_again(tmp_path: Path) -> None:
    file = LineFile(tmp_path)
    file.open()
    file.append("a", b"1", NOW)
    file.append("b", b"2", NOW)
    file.close()
    (tmp_path / FILE).rename(tmp_path / "taken")
    again = LineFile(tmp_path)
    again.open()
    again.append("b", b"2", NOW)
    again.append("c", b"3", NOW)
    again.close()
    assert (tmp_path / FILE).read_bytes() == b"3\n"


def test_a_damaged_log_is_not_used(tmp_path: Path) -> None:
    (tmp_path / ".hilum").mkdir()
    (tmp_path / ".hilum" / "lines.log").write_text("something else\n")
    with pytest.raises(ConfigError) as caught:
        LineFile(tmp_path).open()
    assert caught.value.code == "files-lines-damaged"

"""The power goes at any moment: what was acknowledged is there, and the chain is whole. Under the encryption layer."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from journal_samples import incoming
from power_loss import PowerLossVFS

from hilum.errors import StoreUnsafe
from hilum.journal import SCHEMA, SqliteJournal
from hilum.store import Store, connection

KEY = bytes(range(32))
SEEDS = 200
CUTS_PER_RUN = 10  # one run of the workload serves several moments, each with a seed of its own
RUNS = range(0, SEEDS, CUTS_PER_RUN)
APPENDS = 40
pytestmark = pytest.mark.anyio

Image = tuple[dict[str, bytes], set[str]]  # files as the disk has them, control ids acknowledged by then


@pytest.fixture(autouse=True)
def short_wal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints must happen within the workload."""
    monkeypatch.setattr("hilum.store.checkpoint.DUE_PAGES", 60)


async def images_of(seed: int, folder: Path) -> list[Image]:
    """Run a workload; cut the power at `CUTS_PER_RUN` moments of it."""
    dice = random.Random(seed)
    acknowledged: set[str] = set()
    images: list[Image] = []
    vfs = PowerLossVFS(f"powerloss-{folder.name}-{seed}")
    vfs.on_cut = lambda files: images.append((files, set(acknowledged)))
    with Store.open(folder / f"run{seed}.db", key=KEY, schemas=[SCHEMA], vfs=vfs.name) as store:
        journal = SqliteJournal(store)
        await journal.append([incoming(0)])
        start = vfs.events
        moments = dice.sample(range(start + 1, start + 10 * APPENDS), CUTS_PER_RUN)
        vfs.cuts = {moment: random.Random(seed + n) for n, moment in enumerate(moments)}
        number = 0
        while number < APPENDS or vfs.cuts:
            batch = [incoming(number + n + 1, text="x" * dice.randrange(3000)) for n in range(dice.randrange(1, 5))]
            number += len(batch)
            await journal.append(batch)
            acknowledged |= {one.envelope.control_id for one in batch}
    vfs.unregister()
    return images


async def lost_of(image: Image, folder: Path) -> set[str]:
    """Open what the disk has left. Returns what was acknowledged and is not there; nothing else may be wrong."""
    files, acknowledged = image
    folder.mkdir()
    for name, content in files.items():
        (folder / Path(name).name).write_bytes(content)
    (path,) = folder.glob("*.db")
    with Store.open(path, key=KEY, schemas=[SCHEMA]) as store:
        journal = SqliteJournal(store)
        last = journal.counts({}).received
        stored = [journal.get(seq) for seq in range(1, last + 1)]
        found = [message.envelope.control_id for message in stored]
        assert len(found) == len(set(found)), "a message was doubled"
        report = await journal.verify()
        assert report.ok or not stored, report.problem
        for message in stored:
            assert message.envelope.control_id.encode() in message.body
        await journal.append([incoming(9_999)])
        assert (await journal.verify()).ok
    return acknowledged - set(found)


@pytest.mark.parametrize("seed", RUNS)
async def test_no_acknowledged_message_is_lost_when_the_power_goes(seed: int, tmp_path: Path) -> None:
    images = await images_of(seed, tmp_path)
    assert len(images) == CUTS_PER_RUN
    for n, image in enumerate(images):
        assert await lost_of(image, tmp_path / f"cut{n}") == set()


async def test_the_same_check_finds_loss_when_commits_are_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SYNCHRONOUS", 1)
    monkeypatch.setattr(connection, "_check_settings", lambda _: None)
    lost = []
    for seed in range(2):
        images = await images_of(seed, tmp_path)
        lost += [await lost_of(image, tmp_path / f"cut{seed}-{n}") for n, image in enumerate(images)]
    assert any(lost), "synchronous=NORMAL must lose acknowledged messages here, or the check finds nothing"


async def test_a_store_that_would_run_unsynced_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SYNCHRONOUS", 1)
    with pytest.raises(StoreUnsafe) as caught:
        await asyncio.to_thread(Store.open, tmp_path / "x.db", key=KEY, schemas=[SCHEMA])
    assert caught.value.code == "store-setting-unsafe"

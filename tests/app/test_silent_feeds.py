"""The items of feeds that went silent: made once, and settled when the sender is heard again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hilum.app.housekeeping import tell_of_silence
from hilum.app.opening import open_folder
from hilum.formats import hl7v2
from hilum.journal import Incoming

HOUR = 3_600_000_000
NOW = 491_000 * HOUR
ADT = b"MSH|^~\\&|EPIC|HOSP|X|Y|20240102030405+0000||ADT^A08|%d|P|2.5.1\rEVN|A08|20240102\rPID|1||7^^^HOSP^MR||Doe^Jo\r"


def heard(number: int, at: int) -> Incoming:
    body = ADT % number
    admitted = hl7v2.admit(body, hl7v2.Rules(), source="ehr", received_at=at)
    return Incoming(admitted.envelope, body, (0,))


def test_a_silence_is_told_once_and_settled_when_it_is_over_also_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "integration.yaml").write_text("use: t\n")
    (tmp_path / "sources" / "ehr.yaml").write_text("kind: mllp\nport: 12575\nowner: registration\n")
    asyncio.run(_goes_silent(tmp_path))
    asyncio.run(_is_heard_again(tmp_path))


async def _goes_silent(folder: Path) -> None:
    with open_folder(folder, create=True) as opened:
        await opened.journal.append([heard(hour, NOW - (40 - hour) * HOUR) for hour in range(30)])
        assert await tell_of_silence(opened, NOW) == 1
        assert await tell_of_silence(opened, NOW + HOUR) == 0
        (item,) = opened.repository.exceptions(code="feed-silent")
        assert item.owner == "registration"
        assert item.message == (
            "EPIC|HOSP has sent no ADT^A08 since 2026-01-04 21:00 UTC; its longest pause in 28 days was 0 hours"
        )


async def _is_heard_again(folder: Path) -> None:
    with open_folder(folder) as opened:
        await opened.journal.append([heard(99, NOW + 2 * HOUR)])
        assert await tell_of_silence(opened, NOW + 2 * HOUR) == 0
        assert opened.repository.exceptions(code="feed-silent") == []
        (item,) = opened.repository.exceptions(code="feed-silent", is_open=None)
        assert (item.settled_by, item.note) == ("hilum", "heard again: the last message came at 2026-01-05 10:00 UTC")
        # The pause is usual now; a longer one is another silence.
        assert await tell_of_silence(opened, NOW + 20 * HOUR) == 0
        assert await tell_of_silence(opened, NOW + 40 * HOUR) == 1

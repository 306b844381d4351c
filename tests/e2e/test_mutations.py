"""Messages damaged at random: each is answered, has a fate, and what is stored of them is JSON and can be explained."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from e2e.harness import ADT, Sender, hilum, open_folder, settled, write_folder
from hilum.app.opening import Opened
from hilum.repository import Query

GOLDEN = sorted((Path(__file__).parents[1] / "mapping" / "golden").glob("*.hl7"))
DEFECTS = {"gate-crashed", "append-failed", "mapping-crashed", "apply-failed"}
NASTY = [
    *(b'""', b"\\", b"\\X0D\\", b"\\F\\", b"~~~~", b"^^^^", b"&&&", b"|" * 50, b"9" * 400, b"-1", b"1e999", b"NaN"),
    *(b"20260230", b"99999999", b"00000000", b"24000000", b"2026-01-01T00:00:00Z", b"0001", b"2.16.840", b"urn:x"),
    *(
        b"\xc3\xa9",
        b"\xff\xfe",
        b"\xe2\x80\xae",
        b"\x00",
        b"\x07",
        b"\xf0\x9f\x98\x80",
        b"\xed\xa0\x80",
        b"\xef\xbf\xbd",
    ),
    *(
        b"'; DROP TABLE message;--",
        b"<script>",
        b"../../x",
        b"\r",
        b"\n",
        b"\rPID|1||",
        b"\rMSH|^~\\&|",
        b"\rOBX|1|NM|",
    ),
    *("1\u0663".encode(), "\u0661\u0669\u0667\u0660\u0660\u0661\u0660\u0661".encode(), b"20260301120000+9999"),
]


def test_damaged_messages_are_all_accounted_for(tmp_path: Path) -> None:
    send_damaged(tmp_path, random.Random(20260301), count=150)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_many_damaged_messages_are_all_accounted_for(seed: int, tmp_path: Path) -> None:
    send_damaged(tmp_path, random.Random(seed), count=10_000)


def send_damaged(tmp_path: Path, dice: random.Random, count: int) -> None:
    folder = write_folder(tmp_path / "folder", {"adt": ADT + "order: pass\n"})
    samples = [path.read_bytes().replace(b"\n", b"\r") for path in GOLDEN]
    assert len(samples) >= 15
    with hilum(folder) as running:
        codes = set()
        with Sender(running.port) as sender:
            for _ in range(count):
                codes.add(sender.send(damaged(dice.choice(samples), dice)).code)
        assert codes == {"AA", "AE", "AR"}
        ledger = settled(folder)
        assert ledger.waiting == 0
        assert ledger.received + ledger.duplicates >= count
        with open_folder(folder) as opened:
            assert not DEFECTS & {code for one in opened.repository.holds(limit=100_000) for code in [one.code]}
            report = opened.journal.verify_now()
            assert report.ok, report.problem
            assert all_resources_are_sound(opened) > count / 10
        assert running.stop() == 0
        assert not [code for code in DEFECTS if code in running.log]


def damaged(message: bytes, dice: random.Random) -> bytes:
    """Up to five injuries: bytes, components, fields, segments changed, doubled, moved, lost, or nasty."""
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(message) + 1)
        separator = dice.choice((b"\r", b"|", b"|", b"^"))
        parts = message.split(separator)
        n = dice.randrange(len(parts))
        match dice.randrange(6):
            case 0:
                message = message[:at] + bytes([dice.randrange(256)]) + message[at + 1 :]
            case 1:
                message = message[:at] + message[at + dice.randrange(1, 30) :]
            case 2:
                message = message[:at] + dice.choice(NASTY) + message[at:]
            case 3:
                parts.insert(dice.randrange(len(parts) + 1), parts[n])
                message = separator.join(parts)
            case 4:
                del parts[n]
                message = separator.join(parts)
            case _:
                parts[n] = dice.choice((*NASTY, parts[dice.randrange(len(parts))]))
                message = separator.join(parts)
    return message.replace(b"\x1c", b"").replace(b"\x0b", b"")


def all_resources_are_sound(opened: Opened) -> int:
    """Every current version is JSON of its own type and id; returns how many there are."""
    seen = 0
    for type_ in opened.repository.type_counts():
        after = ""
        while True:
            page = opened.repository.search(Query(type_, count=500, after=after))
            for one in page.matches:
                resource = json.loads(one.body)
                assert (resource["resourceType"], resource["id"]) == (type_, one.id)
                assert re.fullmatch(r"[a-z2-7]{20}", one.id)
                seen += 1
            after = page.next
            if not after:
                break
    return seen

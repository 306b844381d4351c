"""A copy of a store that is in use; deliveries that were refused or given up."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from hilum.app.cli import main
from hilum.app.opening import open_folder
from hilum.engine import partitions_of
from hilum.journal import Incoming, MessageQuery
from hilum.model import Effects, Envelope, Outgoing


def folder_with_store(tmp_path: Path, messages: int) -> Path:
    folder = tmp_path / "folder"
    (folder / "sources").mkdir(parents=True)
    (folder / "integration.yaml").write_text("use: test\nparams: {zone: UTC}\n")
    (folder / "sources" / "adt.yaml").write_text("kind: mllp\nport: 0\n")
    with open_folder(folder, create=True) as opened:
        for n in range(messages):
            asyncio.run(opened.journal.append([incoming(n)]))
    return folder


def incoming(n: int) -> Incoming:
    envelope = Envelope("adt", 1_000_000 + n, sender="A|B", control_id=f"C{n}", kind="ADT^A08", key=f"{n}|B")
    return Incoming(envelope, b"MSH|^~\\&|A|B\r" + b"x" * 300 + str(n).encode(), partitions_of(envelope))


def restored(folder: Path, copy: Path, tmp_path: Path) -> Path:
    """The copy put where the store was, with the key."""
    fresh = tmp_path / "fresh"
    (fresh / "sources").mkdir(parents=True)
    for name in ("integration.yaml", "sources/adt.yaml"):
        (fresh / name).write_text((folder / name).read_text())
    (fresh / ".hilum").mkdir(mode=0o700)
    for file in copy.iterdir():
        (fresh / ".hilum" / file.name).write_bytes(file.read_bytes())
    key = fresh / ".hilum" / "hilum.key"
    key.write_bytes((folder / ".hilum" / "hilum.key").read_bytes())
    key.chmod(0o600)
    return fresh


def test_a_copy_taken_while_others_write_is_one_moment_of_the_store(tmp_path: Path) -> None:
    folder = folder_with_store(tmp_path, 50)
    stop = threading.Event()
    written = [50]

    def keep_writing() -> None:
        with open_folder(folder) as opened:
            while not stop.is_set():
                asyncio.run(opened.journal.append([incoming(written[0])]))
                written[0] += 1

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        assert main(["backup", str(tmp_path / "copy"), str(folder)]) == 0
    finally:
        stop.set()
        writer.join()
    with open_folder(restored(folder, tmp_path / "copy", tmp_path)) as opened:
        report = opened.journal.verify_now()
        assert report.ok, report.problem
        assert 50 <= report.messages <= written[0]
        newest = opened.journal.messages(MessageQuery(limit=1)).messages[0]
        assert newest.envelope.control_id == f"C{report.messages - 1}"


def test_the_key_is_not_in_the_copy_and_nothing_is_readable_in_it(tmp_path: Path) -> None:
    folder = folder_with_store(tmp_path, 3)
    assert main(["backup", str(tmp_path / "copy"), str(folder), "--json"]) == 0
    assert [file.name for file in (tmp_path / "copy").iterdir()] == ["hilum.db"]
    assert b"MSH|" not in (tmp_path / "copy" / "hilum.db").read_bytes()
    assert (tmp_path / "copy" / "hilum.db").stat().st_mode & 0o077 == 0


def test_a_backup_never_writes_over_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_with_store(tmp_path, 1)
    (tmp_path / "copy").mkdir()
    assert main(["backup", str(tmp_path / "copy"), str(folder)]) == 1
    assert "backup-exists" in capsys.readouterr().err


def test_a_delivery_that_was_given_up_is_listed_and_can_be_sent_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_with_store(tmp_path, 1)
    with open_folder(folder) as opened:
        outgoing = Outgoing("portal", "1|B", "key-1", b"[]")
        asyncio.run(opened.repository.apply([Effects(1, 0, 1, outgoing=(outgoing,))], {}))
        asyncio.run(opened.repository.dead(1, "webhook-refused"))
    assert main(["deliveries", "list", str(folder), "--state", "dead", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["deliveries"]
    assert [(one["delivery"], one["state"], one["code"]) for one in found] == [(1, "dead", "webhook-refused")]
    assert main(["deliveries", "retry", "1", str(folder)]) == 0
    with open_folder(folder) as opened:
        assert [one.id for one in opened.repository.due("portal", 10**18)] == [1]
        assert opened.journal.audits()[-1][1].action == "delivery-retry"
    assert main(["deliveries", "retry", "2", str(folder)]) == 1
    assert "delivery-unknown" in capsys.readouterr().err


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    """Three deliveries to a portal: two held for one code, and one that waits behind the first of them."""
    folder = folder_with_store(tmp_path, 1)
    (folder / "destinations").mkdir(exist_ok=True)
    (folder / "destinations" / "portal.yaml").write_text("kind: files\nfolder: out\nowner: portal-team\n")
    outgoing = tuple(Outgoing("portal", key, f"key-{n}", b"[]") for n, key in enumerate(["1|B", "1|B", "1|C"]))
    with open_folder(folder) as opened:
        asyncio.run(opened.repository.apply([Effects(1, 0, 1, outgoing=outgoing)], {}))
        for id_ in (1, 3):
            asyncio.run(opened.repository.refused(id_, "webhook-refused"))
    return folder


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main([*words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def standing(folder: Path) -> list[str]:
    with open_folder(folder) as opened:
        return [one.state.value for one in opened.repository.deliveries()]


def test_deliveries_that_were_refused_wait_for_their_owner(refused: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (item,) = printed(capsys, "exceptions", "list", str(refused))["exceptions"]
    assert (item["item"], item["count"], item["owner"], item["where"]) == ("D1", 2, "portal-team", "to portal")
    assert printed(capsys, "exceptions", "list", str(refused), "--owner", "somebody")["exceptions"] == []
    assert printed(capsys, "exceptions", "list", str(refused), "--code", "else")["exceptions"] == []
    shown = printed(capsys, "exceptions", "show", "D3", str(refused))
    assert (shown["state"], shown["count"], shown["code"], shown["tries"]) == ("held", 2, "webhook-refused", 1)
    assert main(["exceptions", "show", "D1", str(refused)]) == 0
    assert "hilum deliveries retry 1" in capsys.readouterr().out
    main(["doctor", str(refused)])
    assert "2 held for a person" in capsys.readouterr().out


def test_deliveries_that_are_alike_are_sent_again_together(refused: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "deliveries", "retry", "3", str(refused), "--alike")["deliveries"] == [1, 3]
    assert standing(refused) == ["due", "due", "due"]
    with open_folder(refused) as opened:
        assert [one.id for one in opened.repository.due("portal", 10**18)] == [1, 3], "the second waits for the first"
        told = [event.target for _, event in opened.journal.audits() if event.action == "delivery-retry"]
    assert told == ["delivery/1", "delivery/3"]
    assert printed(capsys, "exceptions", "list", str(refused))["exceptions"] == []


def test_deliveries_to_a_destination_that_the_folder_lost_are_told_and_can_be_discarded(
    refused: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (refused / "destinations" / "portal.yaml").unlink()
    main(["doctor", str(refused)])
    assert "3 deliveries wait for it" in capsys.readouterr().out
    assert main(["deliveries", "discard", "2", str(refused), "--note", "the portal has closed"]) == 0
    assert main(["deliveries", "discard", "1", str(refused), "--note", "the portal has closed", "--alike"]) == 0
    assert standing(refused) == ["discarded"] * 3
    capsys.readouterr()
    main(["doctor", str(refused)])
    assert "deliveries wait for it" not in capsys.readouterr().out


def test_a_person_decides_against_a_delivery_and_says_why(refused: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exceptions", "settle", "D1", str(refused), "--note", "x"]) == 1
    assert "settle-undecided" in capsys.readouterr().err
    assert main(["exceptions", "settle", "D1", str(refused), "--note", "sent by fax", "--discard"]) == 0
    assert standing(refused) == ["discarded", "due", "held"]
    assert main(["deliveries", "discard", "3", str(refused), "--note", "the same", "--alike"]) == 0
    assert standing(refused) == ["discarded", "due", "discarded"]
    assert "discarded and will not be sent" in capsys.readouterr().out
    assert printed(capsys, "deliveries", "retry", "3", str(refused), "--alike")["deliveries"] == [1, 3]
    for wrong in (
        ["deliveries", "discard", "9", str(refused), "--note", "x"],
        ["exceptions", "show", "D9", str(refused)],
    ):
        assert main(wrong) == 1
        assert "delivery-unknown" in capsys.readouterr().err

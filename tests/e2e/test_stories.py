"""What real feeds do: copies, reused ids, late news, merges in chains and back; read again through the FHIR API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.harness import Hilum, Sender, adt, given_names, hilum, open_folder, patients, settled, wait_until, write_folder
from hilum.app.cli import main


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Hilum]:
    with hilum(write_folder(tmp_path / "folder")) as running:
        yield running


def send(running: Hilum, *bodies: bytes) -> None:
    """Each is answered AA; returns when all are applied or held."""
    with Sender(running.port) as sender:
        for body in bodies:
            assert sender.send(body).code == "AA"
    settled(running.folder)


def patient(running: Hilum, number: int) -> dict[str, Any]:
    status, found = running.get(f"Patient?identifier={number}")
    assert status == 200
    (entry,) = found["entry"]
    return dict(entry["resource"])


def given(running: Hilum, number: int) -> str:
    return str(patient(running, number)["name"][0]["given"][0])


def links(running: Hilum, number: int) -> set[tuple[str, str]]:
    ids = {f"Patient/{patient(running, one)['id']}": str(one) for one in range(1, 5) if _is_there(running, one)}
    return {(link["type"], ids[link["other"]["reference"]]) for link in patient(running, number).get("link", [])}


def _is_there(running: Hilum, number: int) -> bool:
    with open_folder(running.folder) as opened:
        return bool(patients(opened, number))


def subjects(running: Hilum) -> set[str]:
    """Who the stored encounters are about."""
    status, found = running.get("Encounter?_count=100")
    assert status == 200
    return {entry["resource"]["subject"]["reference"] for entry in found.get("entry", [])}


def test_a_copy_is_answered_again_and_has_no_second_effect(running: Hilum) -> None:
    one = adt(1, "A", "One")
    with Sender(running.port) as first, Sender(running.port) as second:
        for sender in (first, second, first):
            assert tuple(sender.send(one)) == ("AA", "A")
    ledger = settled(running.folder)
    assert (ledger.received, ledger.applied, ledger.duplicates) == (1, 1, 2)
    assert patient(running, 1)["meta"]["versionId"] == "1"


def test_a_copy_is_known_after_a_restart_too(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    for _ in range(2):
        with hilum(folder) as running:
            send(running, adt(1, "A", "One"))
            running.kill()
    assert settled(folder).duplicates == 1


def test_another_content_under_the_same_control_id_is_applied_and_reported(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    with hilum(folder) as running:
        send(running, adt(1, "SAME", "One", step=1))
        running.kill()
    with hilum(folder) as running:
        send(running, adt(1, "SAME", "Two", step=2), adt(2, "SAME", "Else", step=3), adt(2, "SAME", "Else", step=3))
        assert given(running, 1) == "Two"
        assert settled(folder).duplicates == 1
        with open_folder(folder) as opened:
            (item,) = opened.repository.exceptions(code="control-id-reused")
            assert (item.count, item.samples, item.owner) == (2, (2, 3), "registration")


def test_news_that_come_late_do_not_overwrite_newer_ones(running: Hilum) -> None:
    send(running, adt(1, "NEW", "New", step=100), adt(1, "OLD", "Old", step=50))
    assert given(running, 1) == "New"
    send(running, adt(1, "NEWER", "Newer", step=150))
    assert given(running, 1) == "Newer"
    with open_folder(running.folder) as opened:
        assert given_names(opened, 1)[-1] == "Newer"
        assert "Old" not in given_names(opened, 1)


def test_a_merge_links_both_repoints_what_is_there_and_late_traffic_follows(running: Hilum) -> None:
    send(
        running,
        adt(1, "A", "One", step=1),
        adt(2, "B", "Two", step=2),
        adt(2, "M", "Two", step=3, kind="A40", retired=1),
    )
    assert patient(running, 1)["active"] is False
    assert links(running, 1) == {("replaced-by", "2")}
    assert links(running, 2) == {("replaces", "1")}
    survivor = f"Patient/{patient(running, 2)['id']}"
    assert subjects(running) == {survivor}
    send(running, adt(1, "LATE", "Late", step=4))
    assert subjects(running) == {survivor}
    assert patient(running, 1)["active"] is False


def test_a_chain_of_merges_ends_at_its_last_survivor(running: Hilum) -> None:
    send(running, *(adt(n, f"P{n}", f"N{n}", step=n) for n in (1, 2, 3)))
    send(
        running,
        adt(2, "M1", "N2", step=10, kind="A40", retired=1),
        adt(3, "M2", "N3", step=11, kind="A40", retired=2),
    )
    assert subjects(running) == {f"Patient/{patient(running, 3)['id']}"}
    assert [patient(running, n).get("active") for n in (1, 2)] == [False, False]
    assert patient(running, 3).get("active") is not False


def test_a_reversed_merge_turns_the_link_round(running: Hilum) -> None:
    send(running, adt(1, "A", "One", step=1), adt(2, "B", "Two", step=2))
    send(running, adt(2, "M1", "Two", step=10, kind="A40", retired=1))
    send(running, adt(1, "M2", "One", step=20, kind="A40", retired=2))
    assert links(running, 1) == {("replaces", "2")}
    assert links(running, 2) == {("replaced-by", "1")}
    assert patient(running, 1).get("active") is not False
    assert subjects(running) == {f"Patient/{patient(running, 1)['id']}"}


def test_a_merge_of_patients_that_nobody_knows_is_kept_for_what_comes_later(running: Hilum) -> None:
    send(running, adt(2, "M", "Two", step=10, kind="A40", retired=1))
    send(running, adt(1, "LATE", "One", step=20))
    assert links(running, 1) == {("replaced-by", "2")}
    assert subjects(running) == {f"Patient/{patient(running, 2)['id']}"}


def test_merges_between_all_partitions_under_load_are_applied_in_the_order_of_arrival(running: Hilum) -> None:
    """Each message of a patient names its step; a merge waits for both of its patients, and they wait for it."""
    rounds, numbers = 12, range(1, 9)
    bodies, expected = [], {number: [f"N{number}"] for number in numbers}
    step = 0
    for number in numbers:
        bodies.append(adt(number, f"S{number}", f"N{number}", step=number))
    for turn in range(rounds):
        for number in numbers:
            step += 1
            other = number % len(numbers) + 1
            name = f"T{turn}N{number}"
            bodies.append(adt(number, f"U{turn}N{number}", name, step=100 + step))
            expected[number].append(name)
            if turn == number:
                bodies.append(adt(number, f"M{turn}", name, step=100 + step, kind="A40", retired=other))
    send(running, *bodies)
    ledger = settled(running.folder)
    assert (ledger.received, ledger.applied) == (len(bodies), len(bodies))
    with open_folder(running.folder) as opened:
        for number in numbers:
            names = given_names(opened, number)
            assert list(dict.fromkeys(names)) == expected[number]


def test_what_waits_behind_a_held_message_is_applied_in_order_after_the_replay(tmp_path: Path) -> None:
    """Its source holds such messages, until its rules are changed; those behind it follow by themselves."""
    source = "kind: mllp\nport: 0\nowner: registration\nack: {mode: original}\ntolerances: {version-missing: hold}\n"
    folder = write_folder(tmp_path / "folder", {"adt": source})
    with hilum(folder) as running:
        odd = adt(1, "ODD", "Odd", step=1).replace(b"|P|2.5.1|", b"|P||")
        send(running, odd, adt(1, "B", "B", step=2), adt(1, "C", "C", step=3), adt(2, "D", "D", step=4))
        with open_folder(folder) as opened:
            ledger = opened.ledger()
            assert (ledger.held, ledger.waiting, ledger.applied) == (1, 2, 1)
            (hold,) = [one for one in opened.repository.holds() if not one.behind]
            assert hold.code == "version-missing"
    (folder / "sources" / "adt.yaml").write_text(source.replace("hold}", "warning}"))
    with hilum(folder) as running:
        assert main(["messages", "replay", str(hold.seq), str(folder)]) == 0
        with open_folder(folder) as opened:
            wait_until(lambda: opened.ledger().applied == 4, "what waited is not applied")
            assert given_names(opened, 1) == ["Odd", "B", "C"]
            ledger = opened.ledger()
            assert (ledger.difference, ledger.held, ledger.waiting) == (0, 0, 0)

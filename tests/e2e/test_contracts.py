"""What a yes means, per source: accepted, applied, delivered; original, enhanced and asked-for acknowledgements."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from e2e.harness import (
    Answer,
    Hilum,
    Sender,
    adt,
    frame,
    hilum,
    open_folder,
    patients,
    settled,
    wait_until,
    write_folder,
)
from e2e.sinks import mllp_sink, webhook_sink
from hilum.app.cli import main

HOLDS_ODD_ONES = "tolerances: {version-missing: hold}\n"


def source(mode: str, contract: str, more: str = "") -> dict[str, str]:
    return {"adt": f"kind: mllp\nport: 0\nowner: reg\nack: {{mode: {mode}, contract: {contract}}}\n{more}"}


def odd(patient: int, control_id: str) -> bytes:
    """One that the rules hold."""
    return adt(patient, control_id, "Odd").replace(b"|P|2.5.1|", b"|P||")


def is_applied(running: Hilum, patient: int) -> bool:
    with open_folder(running.folder) as opened:
        return bool(patients(opened, patient))


def test_applied_says_yes_when_the_patient_can_be_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", source("original", "applied"))
    with hilum(folder) as running, Sender(running.port) as sender:
        assert "hilum.db is new, nothing was received yet" in running.log
        for n in range(5):
            assert tuple(sender.send(adt(n, f"A{n}", "One"))) == ("AA", f"A{n}")
            assert is_applied(running, n)
        assert tuple(sender.send(adt(1, "A1", "One"))) == ("AA", "A1"), "a copy"


def test_applied_says_no_of_a_held_message_and_what_waits_behind_it(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", source("original", "applied", HOLDS_ODD_ONES))
    with hilum(folder) as running, Sender(running.port) as sender:
        held = sender.send(odd(1, "A"))
        assert tuple(held) == ("AE", "A")
        assert b"held for a person" in held.body
        assert tuple(sender.send(adt(1, "B", "Behind"))) == ("AE", "B")
        assert tuple(sender.send(adt(1, "B", "Behind"))) == ("AE", "B"), "its copy"
        assert tuple(sender.send(adt(2, "C", "Free"))) == ("AA", "C")
        ledger = settled(folder)
        assert (ledger.received, ledger.applied, ledger.held, ledger.waiting) == (3, 1, 1, 1)


def test_many_senders_of_a_source_that_promises_applied_each_hear_of_their_own(tmp_path: Path) -> None:
    heard: list[Answer] = []

    def send(number: int) -> None:
        with Sender(running.port) as sender:
            heard.extend(sender.send(adt(number, f"P{number}N{n}", f"N{n}", step=n)) for n in range(10))

    with hilum(write_folder(tmp_path / "folder", source("original", "applied"))) as running:
        threads = [threading.Thread(target=send, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(heard) == 60
    assert {answer.code for answer in heard} == {"AA"}


def test_delivered_says_yes_when_the_partner_has_it_and_not_before(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", source("original", "delivered"))
    with webhook_sink() as sink:
        sink.route_to(folder)
        sink.status = 503
        with hilum(folder) as running, Sender(running.port) as sender:
            sender.socket.sendall(b"\x0b" + adt(1, "A", "One") + b"\x1c\r")
            wait_until(lambda: is_applied(running, 1), "it is not applied")
            sender.socket.settimeout(1)
            with pytest.raises(TimeoutError):
                sender.answer()
            assert sink.taken == []
            sender.socket.settimeout(20)
            sink.status = 200
            assert tuple(sender.answer()) == ("AA", "A")
            assert len(sink.taken) == 1
            assert tuple(sender.send(adt(1, "A", "One"))) == ("AA", "A"), "a copy"
            assert len(sink.taken) == 1


def test_delivered_says_no_when_a_delivery_was_given_up(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", source("original", "delivered"))
    with mllp_sink() as sink:
        sink.codes = ["AR"]
        sink.route_to(folder, "answers: {AR: dead_letter}\n")
        with hilum(folder) as running, Sender(running.port) as sender:
            answer = sender.send(adt(1, "A", "One"))
            assert tuple(answer) == ("AE", "A")
            assert b"given up" in answer.body
            assert tuple(sender.send(adt(1, "A", "One"))) == ("AE", "A"), "a copy"
            assert tuple(sender.send(adt(1, "B", "Two", step=1))) == ("AA", "B")
            assert [_name(body) for body in sink.taken] == [b"Family^Two"]
        assert settled(folder).applied == 2


def test_what_a_partner_refused_waits_through_a_kill_and_leaves_in_order_when_a_person_says_so(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", source("original", "delivered"))
    refused, behind, other = adt(1, "A", "One"), adt(1, "B", "Two", step=1), adt(2, "C", "Other")
    with mllp_sink() as sink:
        sink.codes = ["AR"]
        sink.route_to(folder)
        with hilum(folder) as running, Sender(running.port) as sender:
            answer = sender.send(refused)
            assert tuple(answer) == ("AE", "A")
            assert b"delivery-held" in answer.body
            with Sender(running.port) as waiting, open_folder(folder) as opened:
                waiting.socket.sendall(frame(behind))
                wait_until(lambda: len(opened.repository.deliveries()) == 2, "it was not applied")
                assert tuple(sender.send(other)) == ("AA", "C")
            running.kill()
        with hilum(folder), open_folder(folder) as opened:
            assert [one.state.value for one in opened.repository.deliveries()] == ["held", "due", "delivered"]
            assert main(["deliveries", "retry", "1", str(folder)]) == 0
            wait_until(lambda: len(sink.taken) == 3, "it was not sent again")
            assert sink.taken == [other, refused, behind]
            assert opened.repository.stuck_deliveries() == []


def _name(body: bytes) -> bytes:
    return body.split(b"\rPID|")[1].split(b"|")[4]


def test_a_partner_that_speaks_hl7_gets_the_exact_bytes_in_the_order_of_each_patient(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    bodies = [adt(n % 3, f"F{n}", f"N{n}", step=n) for n in range(30)]
    with mllp_sink() as sink:
        sink.codes = ["AA", "CE", "AA", "CE"]
        sink.route_to(folder, "answers: {CE: retry, AE: retry}\n")
        with hilum(folder) as running:
            with Sender(running.port) as sender:
                assert {sender.send(body).code for body in bodies} == {"AA"}
            with open_folder(folder) as opened:
                counts = opened.repository.counts
                wait_until(lambda: counts().deliveries.get("delivered") == 30, "not everything is delivered")
    for n in range(3):
        assert [body for body in sink.taken if body in bodies[n::3]] == bodies[n::3]
    assert sorted(sink.taken) == sorted(bodies)


def test_enhanced_mode_says_ca_when_stored_and_aa_when_applied(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", source("enhanced", "applied"))
    with hilum(folder) as running, Sender(running.port) as sender:
        assert tuple(sender.send(adt(1, "A", "One"))) == ("CA", "A")
        assert tuple(sender.answer()) == ("AA", "A")
        assert is_applied(running, 1)
        refused = sender.send(b"MSH|^~\\&|EHR|HOSP|||20260301||XXX^Y99|B|P|2.5.1\r")
        assert refused.code in ("CR", "CE")


def test_enhanced_mode_without_a_further_promise_says_ca_alone(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", source("enhanced", "accepted"))
    with hilum(folder) as running, Sender(running.port) as sender:
        for n in range(3):
            assert tuple(sender.send(adt(n, f"A{n}", "One"))) == ("CA", f"A{n}")


@pytest.mark.parametrize(
    ("asked", "heard"),
    [
        ("", ["AA"]),
        ("|AL|AL", ["CA", "AA"]),
        ("|AL|NE", ["CA"]),
        ("|NE|AL", ["AA"]),
        ("|ER|ER", []),
        ("|NE|NE", []),
    ],
)
def test_a_sender_hears_what_its_header_asks_for(asked: str, heard: list[str], tmp_path: Path) -> None:
    """MSH-15 and MSH-16; a second message shows that nothing else was said of the first."""
    with hilum(write_folder(tmp_path / "folder", source("auto", "applied"))) as running:
        with Sender(running.port) as sender:
            body = adt(1, "A", "One").replace(b"|2.5.1|||", b"|2.5.1||" + asked.encode())
            sender.socket.sendall(b"\x0b" + body + b"\x1c\r")
            settled(running.folder)
            sender.socket.sendall(b"\x0b" + adt(1, "END", "Two", step=1) + b"\x1c\r")
            answers = []
            while (answer := sender.answer()).control_id != "END":
                answers.append(answer.code)
            assert answers == heard
        assert settled(running.folder).applied == 2

"""Peers as they are: slow, silent, gone, flooding, of another protocol, enormous. A good one is answered meanwhile."""

from __future__ import annotations

import base64
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from e2e.harness import (
    Hilum,
    Sender,
    adt,
    find,
    frame,
    hilum,
    open_folder,
    patients,
    settled,
    update,
    wait_until,
    write_folder,
)

LIMITS = "kind: mllp\nport: 0\nowner: registration\nack: {mode: original}\nlimits: {idle_seconds: 600}\n"
MEGABYTE = 1024 * 1024
FLOOD = 1500  # messages


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Hilum]:
    with hilum(write_folder(tmp_path / "folder", {"adt": LIMITS})) as running:
        yield running


@pytest.fixture
def connections(running: Hilum) -> Iterator[list[socket.socket]]:
    """Sockets that a test opened, closed at its end."""
    opened: list[socket.socket] = []
    yield opened
    for one in opened:
        one.close()


def connect(running: Hilum, connections: list[socket.socket]) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", running.port), timeout=20)
    connections.append(one)
    return one


def result(control_id: str, *segments: str, sender: str = "LAB") -> bytes:
    """An ORU about patient 1 with these segments after OBR."""
    head = (
        f"MSH|^~\\&|{sender}|HOSP|HILUM|X|20260301120000+0000||ORU^R01^ORU_R01|{control_id}|P|2.5.1",
        "PID|1||1^^^HOSP^MR||Family^Given||19700101|F",
        f"OBR|1||{control_id}^LAB|718-7^Hgb^LN|||20260301110000+0000|||||||||||||||20260301115000+0000||LAB|F",
    )
    return ("\r".join((*head, *segments)) + "\r").encode()


def a_good_peer_is_answered(running: Hilum, times: int = 5) -> None:
    """Each answer within seconds, not after the others' time limits."""
    with Sender(running.port, seconds=5) as sender:
        for n in range(times):
            control_id = f"GOOD{n}"
            assert tuple(sender.send(adt(900 + n, control_id, "Good"))) == ("AA", control_id)


def test_a_good_peer_is_answered_while_others_are_slow_silent_or_do_not_listen(
    running: Hilum, connections: list[socket.socket]
) -> None:
    silent = connect(running, connections)
    slow = connect(running, connections)
    half = connect(running, connections)
    deaf = connect(running, connections)
    half.sendall(frame(update(1, 1)[1])[:40])
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sent = flood(deaf)
    block = frame(update(2, 1)[1])
    for byte in block[:-1]:
        slow.sendall(bytes([byte]))
    a_good_peer_is_answered(running)
    slow.sendall(block[-1:])
    assert b"MSA|AA|P2S1" in slow.recv(4096)
    deaf.settimeout(20)
    answers = read_answers(deaf, sent)
    assert answers == [f"F{n}" for n in range(sent)]
    silent.sendall(frame(update(3, 1)[1]))
    assert b"MSA|AA|P3S1" in silent.recv(4096)
    ledger = settled(running.folder)
    assert ledger.applied == sent + 5 + 2


def flood(peer: socket.socket) -> int:
    """Send messages and read no answer, until nothing more can be sent or there are enough; returns how many."""
    peer.settimeout(1)
    sent = 0
    with suppress(TimeoutError):
        while sent < FLOOD:
            peer.sendall(frame(adt(5, f"F{sent}", f"N{sent}", step=sent)))
            sent += 1
    if sent < FLOOD:  # the last one may be on its way in part
        peer.close()
        pytest.fail("the flood was stopped in the middle of a message: raise the number of connections")
    return sent


def read_answers(peer: socket.socket, count: int) -> list[str]:
    rest, ids = b"", []
    while len(ids) < count:
        rest += peer.recv(65_536)
        *whole, rest = rest.split(b"\x1c\r")
        for one in whole:
            code, control_id = one.split(b"\rMSA|")[1].strip().split(b"|")[:2]
            assert code == b"AA"
            ids.append(control_id.decode())
    return ids


def test_thousands_of_pipelined_messages_are_answered_in_order_and_applied_in_order(running: Hilum) -> None:
    count = 1500
    blocks = [frame(adt(n % 7, f"F{n}", f"N{n:04d}", step=n)) for n in range(count)]
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as peer:
        writer = threading.Thread(target=peer.sendall, args=(b"".join(blocks),))
        writer.start()
        assert read_answers(peer, count) == [f"F{n}" for n in range(count)]
        writer.join()
    ledger = settled(running.folder)
    assert (ledger.received, ledger.applied) == (count, count)
    with open_folder(running.folder) as opened:
        (one,) = patients(opened, 3)
        versions = opened.repository.history("Patient", one.id, limit=1000)
        assert [one.seq for one in versions] == sorted((one.seq for one in versions), reverse=True)
        assert len(versions) == len(range(3, count, 7))


def test_a_message_cut_off_by_a_vanished_or_resetting_peer_is_never_applied(
    running: Hilum, connections: list[socket.socket]
) -> None:
    for n, leave in enumerate((socket.socket.close, reset)):
        peer = connect(running, connections)
        peer.sendall(frame(adt(1, f"HALF{n}", "Half"))[:-20])
        leave(peer)
    glued = connect(running, connections)
    glued.sendall(frame(adt(2, "WHOLE", "Whole")) + frame(adt(2, "CUT", "Cut"))[:-9])
    assert b"MSA|AA|WHOLE" in glued.recv(4096)
    reset(glued)
    a_good_peer_is_answered(running, 1)
    with open_folder(running.folder) as opened:
        wait_until(lambda: opened.ledger().applied == 2, "the whole ones are not applied")
        assert [find(opened, one) for one in ("HALF0", "HALF1", "CUT")] == [(), (), ()]
        assert len(patients(opened, 1)) == 0
    ledger = settled(running.folder)
    assert ledger.received == ledger.applied + ledger.rejected


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def test_what_is_not_mllp_gets_no_yes_and_harms_nobody(running: Hilum, connections: list[socket.socket]) -> None:
    for noise in (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(300),
        b"\x0b" + os.urandom(3000).replace(b"\x1c", b"x") + b"\x1c\r",
        b"\x0b\x1c\r" * 50,
        b"\x1c\r" * 50,
        adt(1, "BARE", "NoFrame"),
    ):
        peer = connect(running, connections)
        peer.sendall(noise)
        peer.shutdown(socket.SHUT_WR)
        said = b""
        with suppress(ConnectionError):
            while chunk := peer.recv(65_536):
                said += chunk
        assert b"MSA|AA" not in said
        assert b"MSA|CA" not in said
    a_good_peer_is_answered(running)
    ledger = settled(running.folder)
    assert ledger.applied == 5
    assert ledger.received == ledger.applied + ledger.rejected


def test_a_10_mb_document_is_accepted_applied_and_served_again(running: Hilum) -> None:
    document = base64.b64encode(os.urandom(10 * MEGABYTE * 3 // 4)).decode()
    body = result("DOC", f"OBX|1|ED|PDF^Report^L||LAB^AP^PDF^Base64^{document}||||||F")
    assert len(body) > 10 * MEGABYTE
    with Sender(running.port, seconds=30) as sender:
        assert tuple(sender.send(body)) == ("AA", "DOC")
    assert settled(running.folder).applied == 1
    status, found = running.get("DiagnosticReport?_count=10")
    assert status == 200
    (entry,) = found["entry"]
    (form,) = entry["resource"]["presentedForm"]
    assert form["contentType"] == "application/pdf"
    assert form["data"] == document
    with open_folder(running.folder) as opened:
        assert opened.journal.get(1).body == body


def test_a_good_peer_is_answered_while_enormous_messages_come_in(
    running: Hilum, connections: list[socket.socket]
) -> None:
    document = base64.b64encode(bytes(10 * MEGABYTE * 3 // 4)).decode()
    done = threading.Event()

    def send_some() -> None:
        with Sender(running.port, seconds=60) as sender:
            for n in range(3):
                body = result(f"DOC{n}", f"OBX|1|ED|PDF^Report^L||LAB^AP^PDF^Base64^{document}||||||F")
                assert sender.send(body).code == "AA"
        done.set()

    thread = threading.Thread(target=send_some)
    thread.start()
    with Sender(running.port, seconds=5) as sender:
        n = 0
        while not done.is_set():
            assert sender.send(adt(900, f"G{n}", "Good", step=n)).code == "AA"
            n += 1
    thread.join()
    assert settled(running.folder).applied == n + 3


def test_a_message_above_the_limit_is_refused_and_kept_in_part(tmp_path: Path) -> None:
    small = LIMITS + "limits: {message_bytes: 4096}\n"
    small = small.replace("limits: {idle_seconds: 600}\n", "", 1)
    with hilum(write_folder(tmp_path / "folder", {"adt": small})) as running:
        with Sender(running.port) as sender:
            answer = sender.send(result("BIG", f"OBX|1|TX|59776-5^Findings^LN||{'x' * 10_000}||||||F"))
            assert answer.code == "AR"
        a_good_peer_is_answered(running, 1)
        ledger = settled(running.folder)
        assert (ledger.received, ledger.rejected, ledger.applied) == (2, 1, 1)


def test_a_message_of_5000_results_is_applied(running: Hilum) -> None:
    segments = [
        f"OBX|{n}|NM|{n}-{n % 10}^Test {n}^LN||{n}.50|mg/dL^mg/dL^UCUM|1-2|N|||F|||20260301110000+0000"
        for n in range(1, 5001)
    ]
    with Sender(running.port, seconds=30) as sender:
        assert tuple(sender.send(result("MANY", *segments))) == ("AA", "MANY")
    ledger = settled(running.folder)
    assert ledger.applied == 1
    status, found = running.get("Observation?_summary=count")
    assert (status, found["total"]) == (200, 5000)
    status, found = running.get("Observation?code=http://loinc.org|77-7")
    assert [entry["resource"]["valueQuantity"]["value"] for entry in found["entry"]] == [77.5]

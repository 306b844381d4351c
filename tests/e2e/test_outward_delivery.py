"""A message comes in over MLLP, its resources are stored, and HL7 v2 made of them goes to another system."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.harness import Sender, hilum, moment, open_folder, wait_until, write_destination, write_folder
from hilum.formats import hl7v2
from hilum.repository import DeliveryState

QUICK = "retry: {first_seconds: 0.05, jitter: 0}\nbreaker: {failures: 1000}\n"
AS = "sent_as: {application: LAB, facility: NORTH, sending_facility: HOSP}\n"


class MllpSink:
    """A receiver that takes every message once it is `ready`; before, it answers that it cannot."""

    def __init__(self) -> None:
        self.taken: list[hl7v2.Hl7Message] = []
        self.raw: list[bytes] = []
        self.ready = True
        sink = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                waiting = b""
                while data := self.request.recv(65536):
                    waiting += data
                    while b"\x1c\r" in waiting:
                        frame, waiting = waiting.split(b"\x1c\r", 1)
                        self.request.sendall(b"\x0b" + sink.take(frame.lstrip(b"\x0b")) + b"\x1c\r")

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_: object) -> None:
                return  # a killed sender

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def take(self, frame: bytes) -> bytes:
        message = hl7v2.parse(frame)
        self.raw.append(frame)
        if self.ready:
            self.taken.append(message)
        return hl7v2.acknowledge(message, "AA" if self.ready else "AE", now=0)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def sink() -> Iterator[MllpSink]:
    found = MllpSink()
    yield found
    found.close()


def folder_to(sink: MllpSink, tmp_path: Path, more: str = "") -> Path:
    folder = write_folder(tmp_path / "folder")
    text = f"kind: mllp\nhost: 127.0.0.1\nport: {sink.port}\nsend: ADT^A08\n{AS}{more}{QUICK}"
    write_destination(folder, "lab", text)
    return folder


def admission(control_id: str, step: float, *, phone: str = "(919)555-0118") -> bytes:
    segments = (
        f"MSH|^~\\&|EHR|HOSP|HILUM|X|{moment(step)}||ADT^A01^ADT_A01|{control_id}|P|2.5.1||||||UNICODE UTF-8",
        f"EVN|A01|{moment(step)}",
        "PID|1||7^^^HOSP^MR||O\\S\\Neil^Jürgen^^^^^L~Sato^Misaki^^^^^D||19700101|F|||"
        f"1 Hill \\T\\ Dale^^Portland^OR^97279^USA^H||{phone}|||M||V9^^^HOSP^AN",
        "NK1|1|Doe^Robin^^^^^L|SPO^Spouse^HL70063",
        "PV1|1|I|3E^321^A^HOSP|R|||1000^Abernathy^Rose^^^^^^HOSP||||||||||||V9^^^HOSP^VN"
        + "|" * 25
        + "20260202060127-0500",
        "AL1|1|DA|70618^Penicillin^RXNORM|SV|Hives",
    )
    return ("\r".join(segments) + "\r").encode()


def values(message: hl7v2.Hl7Message, segment: str) -> list[str]:
    (found,) = [one for one in message.segments if one.name == segment]
    return found.fields


def test_an_admission_leaves_as_an_update_that_says_the_same(sink: MllpSink, tmp_path: Path) -> None:
    folder = folder_to(sink, tmp_path)
    with hilum(folder) as running, Sender(running.port) as sender:
        sender.send(admission("A1", 0))
        wait_until(lambda: len(sink.taken) == 1, "it did not leave")
    message, came = sink.taken[0], hl7v2.parse(admission("A1", 0))
    assert message.kind == "ADT^A08"
    assert message.header[3:7] == ["HILUM", "HOSP", "LAB", "NORTH"]
    for number in (3, 5, 7, 8, 11, 16, 18):
        assert values(message, "PID")[number] == values(came, "PID")[number]
    assert values(message, "PID")[13].split("^")[0] == "(919)555-0118"
    for segment, numbers in {"NK1": (2, 3), "PV1": (2, 3, 4, 7, 19), "AL1": (2, 3, 4, 5)}.items():
        for number in numbers:
            assert values(message, segment)[number] == values(came, segment)[number], (segment, number)
    assert values(message, "PV1")[44] == values(came, "PV1")[44]


def test_what_was_removed_is_deleted_at_the_receiver_and_what_says_nothing_new_is_not_sent(
    sink: MllpSink, tmp_path: Path
) -> None:
    folder = folder_to(sink, tmp_path)
    with hilum(folder) as running, Sender(running.port) as sender:
        sender.send(admission("A1", 0))
        sender.send(admission("A2", 1, phone='""'))
        sender.send(admission("A3", -60))  # older than what is stored: changes nothing
        sender.send(admission("A4", 2, phone="555-0199"))
        wait_until(lambda: len(sink.taken) == 3, "it did not leave")
    assert [values(one, "PID")[13].split("^")[0] for one in sink.taken] == ["(919)555-0118", '""', "555-0199"]
    assert len({one.header[10] for one in sink.taken}) == 3


def test_a_message_that_was_refused_is_sent_again_with_the_same_bytes(sink: MllpSink, tmp_path: Path) -> None:
    folder = folder_to(sink, tmp_path, "answers: {AE: retry}\n")
    sink.ready = False
    with hilum(folder) as running, Sender(running.port) as sender:
        sender.send(admission("A1", 0))
        wait_until(lambda: len(sink.raw) > 2, "it did not leave")
        sink.ready = True
        wait_until(lambda: len(sink.taken) == 1, "it did not leave")
    assert len(set(sink.raw)) == 1
    assert sink.taken[0].header[10].startswith("H")
    assert len(sink.taken[0].header[10]) == 20


def test_what_cannot_be_said_in_the_receivers_charset_is_held_and_nothing_is_sent(
    sink: MllpSink, tmp_path: Path
) -> None:
    folder = folder_to(sink, tmp_path)
    config = folder / "destinations" / "lab.yaml"
    config.write_text(config.read_text().replace("sending_facility: HOSP", "sending_facility: HOSP, charset: ASCII"))
    with hilum(folder) as running, Sender(running.port) as sender, open_folder(folder, None) as opened:
        sender.send(admission("A1", 0))
        wait_until(lambda: opened.repository.deliveries("lab", state=DeliveryState.HELD), "it was not held")
        (held,) = opened.repository.deliveries("lab", state=DeliveryState.HELD)
    assert held.code == "charset-inexpressible"
    assert sink.raw == []


def test_a_kill_between_sending_and_writing_it_down_sends_the_same_bytes_again(sink: MllpSink, tmp_path: Path) -> None:
    folder = folder_to(sink, tmp_path)
    with hilum(folder, crash_at="engine.after_send") as running, Sender(running.port) as sender:
        sender.send(admission("A1", 0))
        assert running.wait_for_death() == -9, "the point was never reached"
    assert len(sink.raw) == 1
    with hilum(folder), open_folder(folder, None) as opened:
        wait_until(
            lambda: opened.repository.deliveries("lab", state=DeliveryState.DELIVERED), "it was not sent after the kill"
        )
    assert len(sink.raw) == 2
    assert sink.raw[0] == sink.raw[1]

"""Parsing: messages per second on one core, against the two best known Python parsers, in the same run.

The work is the same for all: parse, read 22 fields, read code, value, units and status of every OBX.
CPU time, best of the rounds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from bench.samples import messages

from hilum.formats.hl7v2 import Rules, admit, compile_path, parse

FIELDS = (
    *("MSH-3.1", "MSH-4.1", "MSH-7", "MSH-9.1", "MSH-9.2", "MSH-10", "MSH-12"),
    *("PID-3.1", "PID-3.4.1", "PID-3.5", "PID-5.1", "PID-5.2", "PID-7", "PID-8", "PID-11.1", "PID-11.3", "PID-18.1"),
    *("PV1-2", "PV1-3.1", "PV1-7.1", "PV1-19.1", "PV1-44"),
)
RESULTS = (3, 5, 6, 11)
PATHS = tuple(compile_path(field) for field in FIELDS)


def run() -> dict[str, object]:
    """Figures in messages per second of CPU time, and the ratios to the peers."""
    sample = messages(600, seed=7)
    own = _rate(_own, sample, rounds=15)
    peer = _rate(_hl7, sample[:120], rounds=3)
    other = _rate(_hl7apy, sample[:30], rounds=1)
    rules = Rules()
    gate = _rate(lambda raw: admit(raw, rules, source="bench", received_at=0), sample, rounds=15)
    return {
        "average_bytes": round(sum(map(len, sample)) / len(sample)),
        "fields_read": len(FIELDS),
        "messages_per_second": round(own),
        "gate_messages_per_second": round(gate),
        "peers": {"hl7": round(peer, 1), "hl7apy": round(other, 1)},
        "times_faster": {"hl7": round(own / peer, 1), "hl7apy": round(own / other, 1)},
        "five_thousand_obx_ms": round(_five_thousand() * 1000, 1),
        "ten_megabyte_obx_ms": round(_ten_megabytes() * 1000, 1),
    }


def _own(raw: bytes) -> list[str]:
    message = parse(raw)
    get = message.get
    values = [get(path) for path in PATHS]
    unescape = message.unescape
    for segment in message.each("OBX"):
        fields = segment.fields
        for number in RESULTS:
            if number < len(fields):
                values.append(unescape(fields[number]))
    return values


def _hl7(raw: bytes) -> list[str]:
    import hl7

    message = hl7.parse(raw.decode())
    values = []
    for path in PATHS:
        try:
            value = message.extract_field(path.segment, 1, path.field, 1, path.component or 1, path.subcomponent or 1)
        except (LookupError, KeyError):
            value = ""
        values.append(message.unescape(str(value)))
    for segment in message:
        if str(segment[0]) == "OBX":
            values += [message.unescape(str(segment[number])) for number in RESULTS if number < len(segment)]
    return values


def _hl7apy(raw: bytes) -> list[str]:
    from hl7apy.parser import parse_message

    message = parse_message(raw.decode(), find_groups=False)
    values = []
    for path in PATHS:
        segment = next((child for child in message.children if child.name == path.segment), None)
        values.append("" if segment is None else _hl7apy_field(segment, path.field))
    for segment in message.children:
        if segment.name == "OBX":
            values += [_hl7apy_field(segment, number) for number in RESULTS]
    return values


def _hl7apy_field(segment: object, number: int) -> str:
    field = getattr(segment, f"{segment.name.lower()}_{number}")  # type: ignore[attr-defined]
    return str(field.value) if field else ""


def _rate(work: Callable[[bytes], object], sample: list[bytes], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for raw in sample:
            work(raw)
        best = min(best, time.process_time() - start)
    return len(sample) / best


def _five_thousand() -> float:
    """CPU seconds to parse a message of 5,000 OBX and touch a field of each."""
    line = "OBX|{}|NM|718-7^Hemoglobin^LN||13.2|g/dL^g/dL^UCUM|12-16|N|||F|||20260301080000-0500"
    raw = "\r".join([_HEAD, *(line.format(i) for i in range(1, 5001)), ""]).encode()

    def work() -> None:
        found = [segment.fields[5] for segment in parse(raw).each("OBX")]
        assert len(found) == 5000

    return _seconds(work)


def _ten_megabytes() -> float:
    """CPU seconds to pass the gate with an OBX-5 of 10 MB in Base64, and to read it."""
    data = "QUJD" * (10 * 1024 * 1024 // 4)
    raw = f"{_HEAD}\rOBX|1|ED|PDF^Report^L||LAB^application^pdf^Base64^{data}||||||F\r".encode()

    def work() -> None:
        message = admit(raw, Rules(), source="bench", received_at=0).message
        assert message is not None
        assert len(message.get("OBX-5.5")) == len(data)

    return _seconds(work)


def _seconds(work: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


_HEAD = (
    "MSH|^~\\&|LAB|GENHOSP|HILUM|CLIN|20260301101500-0500||ORU^R01^ORU_R01|B1|P|2.5.1\r"
    "PID|1||100200^^^GENHOSP^MR||Testcase^Una\r"
    "OBR|1|P1|F1|718-7^Hemoglobin^LN"
)

if __name__ == "__main__":
    print(json.dumps(run(), indent=2))

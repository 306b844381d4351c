"""Small messages made for the tests. Nobody in them exists."""

from __future__ import annotations

__all__ = ["ADT", "NOW", "ORU", "SIU", "lines", "message"]

NOW = 1_772_360_100_000_000  # 2026-03-01T10:15:00Z

ADT = (
    b"MSH|^~\\&|EHR|HOSP|HILUM|CLIN|20260301101500-0500||ADT^A01^ADT_A01|C1|P|2.5.1||||||UNICODE UTF-8\r"
    b"EVN|A01|20260301101500-0500\r"
    b"PID|1||100^^^HOSP&1.2.3&ISO^MR~200^^^SSA^SS||Testcase^Una^Q||19790228|M|||1 Elm St^^Springfield\r"
    b"PV1|1|I|4W^412^B\r"
)
ORU = (
    b"MSH|^~\\&|LAB|HOSP|HILUM|CLIN|20260301101500-0500||ORU^R01^ORU_R01|C2|P|2.5.1\r"
    b"PID|1||100^^^HOSP||Testcase^Una\r"
    b"ORC|RE|P1|F1\r"
    b"OBR|1|P1|F1|718-7^Hemoglobin^LN\r"
    b"NTE|1||on the order\r"
    b"OBX|1|NM|718-7^Hemoglobin^LN||13.2|g/dL|12-16|N|||F\r"
    b"NTE|1||on the result\r"
)
SIU = (
    b"MSH|^~\\&|EHR|HOSP|HILUM|CLIN|20260301101500-0500||SIU^S12^SIU_S12|C3|P|2.5.1\r"
    b"SCH|A1^EHR|A1^SCHED|||||CHECK||||^^30^20260401090000-0500^20260401093000-0500\r"
    b"PID|1||100^^^HOSP||Testcase^Una\r"
)


def lines(raw: bytes) -> list[str]:
    """The segments of a message as text."""
    return raw.decode().split("\r")[:-1]


def message(kind: str, *segments: str) -> bytes:
    """A message of that kind with these segments after a complete header."""
    header = f"MSH|^~\\&|EHR|HOSP|HILUM|CLIN|20260301101500-0500||{kind}|C9|P|2.5.1"
    return "\r".join([header, *segments, ""]).encode()

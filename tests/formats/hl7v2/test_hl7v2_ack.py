"""Answers: mirrored headers, both modes, ERR without patient data, an answer to anything."""

from __future__ import annotations

import pytest
from hl7v2_samples import ADT, NOW, message
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.hl7v2 import AckMode, Rules, acknowledge, admit, parse, wants
from hilum.model import Finding


def test_an_answer_mirrors_the_header() -> None:
    answer = parse(acknowledge(parse(ADT), "AA", now=NOW))
    assert answer.names == ("MSH", "MSA")
    assert [answer.get(f"MSH-{n}") for n in (3, 4, 5, 6)] == ["HILUM", "CLIN", "EHR", "HOSP"]
    assert answer.get("MSH-7") == "20260301101500.000+0000"
    assert answer.get("MSH-9") == "ACK^A01^ACK"
    assert (answer.get("MSH-11"), answer.get("MSH-12"), answer.get("MSH-18")) == ("P", "2.5.1", "UNICODE UTF-8")
    assert (answer.get("MSA-1"), answer.get("MSA-2")) == ("AA", "C1")


def test_every_answer_has_a_control_id_of_its_own() -> None:
    ids = {parse(acknowledge(ADT, "AA", now=NOW)).control_id for _ in range(100)}
    assert len(ids) == 100
    assert all(0 < len(control_id) <= 20 for control_id in ids)


def test_answers_use_the_delimiters_and_the_charset_of_the_sender() -> None:
    raw = "MSH#*!%@#Zoë#HOSP#X#Y#20260301##ADT*A01#C%F%1#P#2.5.1######8859/1\rPID#1##1\r".encode("latin-1")
    answer = acknowledge(parse(raw), "AE", text="a#b", now=NOW)
    assert "Zoë".encode("latin-1") in answer
    again = parse(answer)
    assert again.get("MSA-3") == "a#b"
    assert again.segments[1].fields[2] == "C%F%1"


def test_a_finding_becomes_an_err_segment() -> None:
    finding = Finding("patient-id-missing", "PID-3 holds no identifier", "PID[2]-3[1].4")
    answer = parse(acknowledge(parse(ADT), "AE", finding=finding, now=NOW))
    assert answer.get("ERR-2") == "PID^2^3^1^4"
    assert answer.get("ERR-3") == "101^Required field missing^HL70357"
    assert answer.get("ERR-4") == "E"
    assert answer.get("ERR-5.1") == "patient-id-missing"
    assert answer.get("ERR-8") == "PID-3 holds no identifier"
    assert answer.get("MSA-3") == "PID-3 holds no identifier"


def test_before_version_2_5_the_error_stands_in_err_1() -> None:
    finding = Finding("event-unsupported", "unknown", "MSH-9")
    answer = parse(acknowledge(ADT.replace(b"|2.5.1|", b"|2.3|"), "AR", finding=finding, now=NOW))
    assert answer.get("ERR-1") == "MSH^1^9^201&Unsupported event code&HL70357"
    assert answer.get("ERR-2") == ""


@pytest.mark.parametrize(
    ("fifteen", "sixteen", "mode", "wanted"),
    [
        ("", "", AckMode.ORIGINAL, {"AA", "AE", "AR"}),
        ("AL", "NE", AckMode.ENHANCED, {"CA", "CE", "CR"}),
        ("AL", "AL", AckMode.ENHANCED, {"CA", "CE", "CR", "AA", "AE", "AR"}),
        ("ER", "SU", AckMode.ENHANCED, {"CE", "CR", "AA"}),
        ("NE", "ER", AckMode.ENHANCED, {"AE", "AR"}),
        ("", "AL", AckMode.ENHANCED, {"AA", "AE", "AR"}),
        ("NE", "NE", AckMode.ENHANCED, set()),
        ("al", "??", AckMode.ENHANCED, {"CA", "CE", "CR", "AA", "AE", "AR"}),
    ],
)
def test_the_header_says_which_answers_are_wanted(fifteen: str, sixteen: str, mode: AckMode, wanted: set[str]) -> None:
    raw = ADT.replace(b"2.5.1||||||", f"2.5.1|||{fifteen}|{sixteen}||".encode())
    found = wants(parse(raw))
    assert found.mode is mode
    assert {code for code in ("AA", "AE", "AR", "CA", "CE", "CR") if found.is_wanted(code)} == wanted
    assert wants(raw) == found


@pytest.mark.parametrize("raw", [b"", b"GET / HTTP/1.1", b"\xff\xfe", b"MSH", b"MSH|", b"MSH|^^^^|a|b", b"\x00" * 50])
def test_anything_can_be_refused(raw: bytes) -> None:
    answer = parse(acknowledge(raw, "AR", text="no", now=NOW))
    assert (answer.get("MSH-9"), answer.get("MSA-1"), answer.get("MSA-2")) == ("ACK", "AR", "")
    assert wants(raw).mode is AckMode.ORIGINAL


def test_an_undecodable_message_is_refused_by_its_control_id() -> None:
    raw = ADT.replace(b"Una", b"\xff")
    finding = admit(raw, Rules(), source="adt", received_at=NOW).worst
    answer = parse(acknowledge(raw, "AE", finding=finding, now=NOW))
    assert answer.get("MSA-2") == "C1"
    assert answer.get("ERR-5.1") == "charset-undecodable"


def test_control_characters_in_a_header_cannot_break_the_frame() -> None:
    answer = acknowledge(ADT.replace(b"|C1|", b"|C\x1c1\x0b|"), "AA", now=NOW)
    assert b"\x1c" not in answer
    assert b"\x0b" not in answer


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(ValueError, match="XX"):
        acknowledge(ADT, "XX", now=NOW)


def test_answers_hold_nothing_of_the_patient() -> None:
    raw = message("ADT^A01", "PID|1||^^^Secret||Secret^Una")
    finding = admit(raw, Rules(), source="adt", received_at=NOW).worst
    assert b"Secret" not in acknowledge(raw, "AE", finding=finding, now=NOW)


@given(st.binary(max_size=200), st.sampled_from(["AA", "AE", "AR", "CA", "CE", "CR"]))
def test_every_answer_is_a_message(noise: bytes, code: str) -> None:
    finding = Finding("frame-not-hl7", "this is | not ^ HL7", "byte 1")
    for raw in (noise, b"MSH|^~\\&|" + noise, ADT[:40] + noise):
        answer = acknowledge(raw, code, finding=finding, now=NOW)
        again = parse(answer, default_charset="latin-1")
        assert again.names == ("MSH", "MSA", "ERR")
        assert again.get("MSA-1") == code

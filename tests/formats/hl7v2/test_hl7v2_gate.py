"""The gate: dispositions, codes, places, keys."""

from __future__ import annotations

import json

import pytest
from hl7v2_samples import ADT, NOW, ORU, SIU, message
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConfigError
from hilum.formats.hl7v2 import CODES, Admission, Rules, admit, is_batch, split_batch
from hilum.model import Disposition, Severity
from shared_data import SHARED, needs_shared


def gate(raw: bytes, rules: Rules | None = None) -> Admission:
    return admit(raw, rules or Rules(), source="adt", received_at=NOW)


def said(raw: bytes) -> list[tuple[str, str]]:
    return [(item.code, item.location) for item in gate(raw).findings]


@pytest.mark.parametrize("raw", [ADT, ORU, SIU])
def test_a_clean_message_is_accepted_without_a_word(raw: bytes) -> None:
    admission = gate(raw)
    assert admission.disposition is Disposition.ACCEPT
    assert admission.findings == ()
    assert admission.message is not None


def test_the_envelope_holds_what_is_known_without_mapping() -> None:
    envelope = gate(ADT).envelope
    assert (envelope.source, envelope.received_at) == ("adt", NOW)
    assert (envelope.sender, envelope.control_id, envelope.kind) == ("EHR|HOSP", "C1", "ADT^A01")
    assert (envelope.key, envelope.other_key) == ("100|HOSP", "")
    assert envelope.sent_at == NOW + 5 * 3600 * 1_000_000
    assert (envelope.charset, envelope.codes) == ("utf-8", ())


@pytest.mark.parametrize(
    ("kind", "segments", "keys"),
    [
        ("ADT^A40", ("PID|1||100^^^HOSP", "MRG|200^^^HOSP"), ("100|HOSP", "200|HOSP")),
        ("ADT^A40", ("PID|1||100^^^HOSP", "MRG|100^^^HOSP"), ("100|HOSP", "")),
        ("ADT^A24", ("PID|1||100^^^HOSP", "PID|2||200^^^CLINIC"), ("100|HOSP", "200|CLINIC")),
        ("ADT^A01", ("PID|1||A\\T\\B^^^HOSP&1.2&ISO",), ("A&B|HOSP", "")),
        ("ADT^A01", ("PID|1||^^^HOSP~7^^^X",), ("", "")),
        ("ADT^A01", ("PID|1||7",), ("7|", "")),
        ("MFN^M02", ("MFI|PRA",), ("", "")),
    ],
)
def test_the_key_is_the_first_identifier_with_its_authority(
    kind: str, segments: tuple[str, ...], keys: tuple[str, str]
) -> None:
    envelope = gate(message(kind, *segments)).envelope
    assert (envelope.key, envelope.other_key) == keys


def test_the_key_can_be_another_identifier() -> None:
    raw = message("ADT^A01", "PID|1||1^^^HOSP~2^^^SSA", "PV1|1|I|||||||||||||||||V5^^^HOSP")
    assert gate(raw, Rules(key="PID-3[2]")).envelope.key == "2|SSA"
    assert gate(raw, Rules(key="PV1-19")).envelope.key == "V5|HOSP"
    assert gate(raw, Rules(key="PID-3[9]")).envelope.key == ""


@pytest.mark.parametrize(
    ("raw", "disposition", "code", "location"),
    [
        (b"", "AR", "frame-empty", ""),
        (b"GET / HTTP/1.1\r\n\r\n", "AR", "frame-not-hl7", ""),
        (b"MSH|^^\\&|X\r", "AR", "delimiters-duplicate", "MSH-2"),
        (ADT.replace(b"Una", b"\xff"), "AE", "charset-undecodable", "byte 178"),
        (ADT.replace(b"ADT^A01^ADT_A01", b"ADT"), "AE", "type-missing", "MSH-9"),
        (ADT.replace(b"ADT^A01^ADT_A01", b""), "AE", "type-missing", "MSH-9"),
        (ADT.replace(b"ADT^A01^ADT_A01", b"^A01"), "AE", "type-missing", "MSH-9"),
        (ADT.replace(b"ADT^A01^ADT_A01", b"ADT^A99"), "AR", "event-unsupported", "MSH-9"),
        (ADT.replace(b"ADT^A01^ADT_A01", b"adt^A01"), "AR", "type-unsupported", "MSH-9"),
        (ADT.replace(b"ADT^A01^ADT_A01", b"ZDT^Z01"), "warning", "event-local", "MSH-9"),
        (ADT.replace(b"|C1|", b"||"), "warning", "control-id-missing", "MSH-10"),
        (ADT.replace(b"|2.5.1|", b"||"), "warning", "version-missing", "MSH-12"),
        (ADT.replace(b"|2.5.1|", b"|3.0|"), "warning", "version-unknown", "MSH-12"),
        (ADT.replace(b"|P|", b"||"), "warning", "processing-id-missing", "MSH-11"),
        (ADT.replace(b"|P|", b"|Q|"), "warning", "processing-id-unknown", "MSH-11"),
        (ADT.replace(b"|20260301101500-0500||", b"|||"), "warning", "sent-time-missing", "MSH-7"),
        (ADT.replace(b"|20260301101500-0500||", b"|yesterday||"), "warning", "sent-time-invalid", "MSH-7"),
        (ADT.replace(b"|20260301101500-0500||", b"|20261301||"), "warning", "sent-time-invalid", "MSH-7"),
        (ADT.replace(b"|20260301101500-0500||", b"|20260301101500||"), "warning", "zone-missing", "MSH-7"),
        (b"\xef\xbb\xbf" + ADT, "warning", "byte-order-mark", "MSH"),
        (b"\r\n" + ADT, "warning", "leading-blank", "MSH"),
        (ADT.replace(b"\r", b"\n"), "warning", "terminator-not-cr", ""),
        (ADT.replace(b"\r", b"\r\n", 1), "warning", "terminators-mixed", ""),
        (ADT.replace(b"UNICODE UTF-8", b"KLINGON"), "warning", "charset-unknown", "MSH-18"),
        (ADT.replace(b"UNICODE UTF-8", b"UNICODE UTF-16"), "warning", "charset-unknown", "MSH-18"),
        (ADT.replace(b"UNICODE UTF-8", b"utf-8~X"), "warning", "charset-alias", "MSH-18"),
        (ADT.replace(b"UNICODE UTF-8", b"").replace(b"Una", "Zoë".encode()), "warning", "charset-undeclared", "MSH-18"),
        (ADT.replace(b"Una", "Zo\ufffd".encode()), "warning", "character-replaced", ""),
        (ADT.replace(b"Una", b"U\0a"), "warning", "character-control", ""),
        (ADT.replace(b"Una", b"U\x0ca"), "warning", "character-control", ""),
        (ADT.replace(b"Una", b"\x1b$B;3ED\x1b(B"), "AE", "charset-switched", ""),
        (ADT.replace(b"Una", b"C:\\temp"), "warning", "escape-stray", "PID-5"),
        (ADT.replace(b"~\\&|", b"~\\&#|").replace(b"^Una^Q|", b"^Un#|"), "warning", "value-truncated", "PID-5"),
        (ADT.replace(b"\rPV1|", b"\rPV12|"), "warning", "segment-name-long", "segment 4"),
        (ADT.replace(b"Una", b"Un\ra"), "hold", "line-break-in-field", "segment 4"),
        (message("ADT^A01", "PV1|1|I", "PID|1||1"), "warning", "segment-order", "PID"),
        (message("ADT^A01", "PID|1||1", "PID|2||2"), "warning", "patients-several", "PID[2]"),
        (message("ADT^A01", "PID|1"), "AE", "patient-id-missing", "PID-3"),
        (message("ADT^A01", 'PID|1||""'), "AE", "patient-id-missing", "PID-3"),
        (message("ADT^A01", "PID|1||^^^HOSP"), "AE", "patient-id-missing", "PID-3"),
        (message("ADT^A24", "PID|1||1", "PID|2|"), "AE", "patient-id-missing", "PID[2]-3"),
        (message("ADT^A01", "PID|1||1||||20990101"), "warning", "birth-date-future", "PID-7"),
        (message("ADT^A01", f"PID|1||{'~'.join(map(str, range(500)))}"), "warning", "repetitions-many", "PID-3"),
        (message("ADT^A40", "PID|1||1"), "AE", "merge-id-missing", "MRG-1"),
        (message("ADT^A40", "PID|1||1", "MRG|^^^HOSP"), "AE", "merge-id-missing", "MRG-1"),
        (message("SIU^S12", "SCH|A1", "PID|1||1"), "AE", "appointment-time-missing", "SCH-11"),
        (message("SIU^S12", "SCH|A1||||||||||^^30"), "AE", "appointment-time-missing", "SCH-11"),
        (message("ORU^R01", "OBX|1|ED|a||L^application^pdf^Base64^@@@@"), "AE", "data-not-base64", "OBX-5"),
        (message("ORU^R01", "OBX|1|ED|a||L^application^pdf^Base64^QUJ"), "AE", "data-not-base64", "OBX-5"),
        (message("ORU^R01", "OBX|1|ED|a||L^application^x^Hex^4G"), "AE", "data-not-base64", "OBX-5"),
        (message("ORU^R01", "OBX|1|NM|a||1", "OBX|2|NM|b||1.0E2"), "warning", "number-not-plain", "OBX[2]-5"),
        (ADT + ADT, "AE", "messages-several", "MSH[2]"),
        (b"BHS|^~\\&|X\r" + ADT, "AE", "batch-unexpected", "1"),
    ],
)  # fmt: skip
def test_each_code_has_its_disposition_and_place(raw: bytes, disposition: str, code: str, location: str) -> None:
    admission = gate(raw)
    assert (code, location) in [(item.code, item.location) for item in admission.findings]
    assert admission.disposition == disposition == admission.envelope.disposition
    assert code in admission.envelope.codes


@pytest.mark.parametrize(
    "raw",
    [
        ADT.rstrip(b"\r"),
        message("ACK"),
        message("ACK^A01^ACK"),
        message("SIU^S15", "SCH|A1"),
        message("SIU^S12", "SCH|A1", "TQ1|1||||||20260401090000"),
        message("SIU^S12", "SCH|A1", "RGS|1", "AIS|1|A|CHECK|20260401090000"),
        message("SIU^S12", "SCH|A1", "RGS|1", "AIP|1|A|DR|||20260401090000"),
        message("ORU^R01", "OBX|1|ED|a||L^application^pdf^Base64^QU\\.br\\JD"),
        message("ORU^R01", "OBX|1|ED|a||L^text^plain^A^@@@@"),
        message("ORU^R01", "OBX|1|NM|a||-0.10~+7~.5~", 'OBX|2|NM|b||""', "OBX|3|NM|c"),
        message("ADT^A01", "OBX|1|TX|a||x\\X0D\\y", "PID|1||1"),
        message("ADT^A01", "PID|1||~7^^^X"),
        message("ORU^R01", "PID|1||1", "OBX|1|NA|a||" + "~".join("1" * 300)),
        message("ADT^A17", "PID|1||1", "PV1|1", "PID|2||2", "PV1|1"),
        ADT.replace(b"|P|", b"|T|"),
        ADT.replace(b"\rPID", b"\rZPI|1\rPID"),
    ],
)
def test_what_is_allowed_is_accepted_without_a_word(raw: bytes) -> None:
    assert said(raw) == []


def test_the_worst_finding_comes_first_and_decides() -> None:
    admission = gate(message("ADT^A01", "PV1|1|I", "PID|1").replace(b"-0500", b""))
    assert [item.code for item in admission.findings] == ["patient-id-missing", "zone-missing", "segment-order"]
    assert admission.worst is not None
    assert admission.worst.severity is Severity.ERROR
    assert admission.disposition is Disposition.AE


@pytest.mark.parametrize("policy", list(Disposition))
def test_every_tolerance_can_be_overridden(policy: Disposition) -> None:
    raw = ADT.replace(b"-0500||ADT", b"||ADT")
    admission = gate(raw, Rules(tolerances={"zone-missing": policy}))
    assert admission.disposition is policy
    assert [item.code for item in admission.findings] == ([] if policy is Disposition.ACCEPT else ["zone-missing"])


def test_a_test_message_can_be_kept_out_of_production() -> None:
    raw = ADT.replace(b"|P|", b"|T|")
    assert gate(raw, Rules(tolerances={"processing-id-test": Disposition.AR})).disposition is Disposition.AR


def test_what_cannot_be_read_can_be_held_but_never_let_through() -> None:
    raw = ADT.replace(b"Una", b"\xff")
    admission = gate(raw, Rules(tolerances={"charset-undecodable": Disposition.HOLD}))
    assert admission.disposition is Disposition.HOLD
    assert admission.message is None
    assert admission.envelope.control_id == "C1"
    with pytest.raises(ConfigError) as caught:
        Rules(tolerances={"charset-undecodable": Disposition.WARNING})
    assert caught.value.findings[0].code == "tolerance-impossible"


def test_rules_that_cannot_be_used_say_everything_that_is_wrong() -> None:
    with pytest.raises(ConfigError) as caught:
        Rules("klingon", "PID3", {"zone-mising": Disposition.AE})
    assert [item.code for item in caught.value.findings] == ["charset-not-a-codec", "path-invalid", "tolerance-unknown"]
    assert caught.value.findings[2].hint == "did you mean `zone-missing`?"


def test_one_code_is_told_for_ten_places_at_most() -> None:
    broken = message("ORU^R01", *["garbage"] * 5000, *[f"OBX|{i}|NM|a||1e{i}" for i in range(5000)])
    codes = [item.code for item in gate(broken).findings]
    assert codes == ["line-break-in-field"] * 10 + ["number-not-plain"] * 10


def test_findings_hold_no_values() -> None:
    raw = message("ADT^A01", "PV1|1", "PID|1||Secret^^^^||C:\\Secret||20990101", "Secret line", "SECR|1")
    for item in gate(raw).findings:
        assert "Secret" not in f"{item.message}{item.location}{item.hint}"


@given(st.binary(max_size=300), st.integers(0, 200))
def test_no_bytes_make_the_gate_fail(noise: bytes, at: int) -> None:
    for raw in (noise, ADT[:at] + noise + ADT[at:], b"MSH|^~\\&|" + noise):
        admission = gate(raw)
        assert all(item.code in CODES for item in admission.findings)
        assert (admission.message is None) <= (admission.disposition >= Disposition.AE or bool(admission.findings))


@needs_shared
def test_the_hostile_messages_get_the_stated_disposition() -> None:
    """Those that only the mapping can decide are told in tests/app."""
    folder = SHARED / "hl7v2" / "hostile"
    meant = {
        "accept": "accept",
        "accept+warning": "warning",
        "quarantine": "hold",
        "reject AE": "AE",
        "reject AR": "AR",
    }
    by_mapping = {"064_unknown_class.hl7", "088_oru_status_R.hl7", "091_oru_status_B.hl7"}
    entries = json.loads((folder / "MANIFEST.json").read_text())
    for entry in entries:
        raw = (folder / entry["file"]).read_bytes()
        found = split_batch(raw).disposition if is_batch(raw) else gate(raw).disposition
        expected = "accept" if entry["file"] in by_mapping else meant[entry["expect"]]
        assert found == expected, entry["file"]
    assert len(entries) == 40


@needs_shared
def test_every_sample_passes_or_is_refused_with_a_documented_code() -> None:
    seen = 0
    for file in sorted((SHARED / "hl7v2").rglob("*.hl7")):
        raw = file.read_bytes()
        for body in split_batch(raw).messages if is_batch(raw) else (raw,):
            admission = gate(body)
            assert set(admission.envelope.codes) <= CODES.keys(), file.name
            seen += 1
    assert seen > 1600

"""The simulated hospital: repeatable, varied, and honest about what should become of each message."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice

import pytest

from hilum.formats import hl7v2
from hilum.simulator import Expect, Hospital, SimMessage
from hilum.simulator.names import _POOLS, draw_name
from hilum.simulator.wire import ADT, LAB, SCHED, segment

RECEIVED_AT = 1_800_000_000_000_000
RULES = {"adt": hl7v2.Rules(), "lab": hl7v2.Rules(default_charset="iso-8859-1"), "sched": hl7v2.Rules()}


def draw(seed: int, count: int = 4000, broken: float = 0.05) -> list[SimMessage]:
    return list(islice(Hospital(seed, broken=broken).stream(), count))


def admitted(message: SimMessage) -> hl7v2.Admission:
    return hl7v2.admit(message.body, RULES[message.source], source=message.source, received_at=RECEIVED_AT)


def test_the_same_seed_gives_the_same_bytes() -> None:
    digest = sha256(b"".join(message.body for message in draw(1, 300))).hexdigest()
    assert digest == sha256(b"".join(message.body for message in draw(1, 300))).hexdigest()
    assert digest != sha256(b"".join(message.body for message in draw(2, 300))).hexdigest()


def test_every_kind_of_message_occurs() -> None:
    kinds = Counter(message.kind for message in draw(7))
    adt = {f"ADT^{event}" for event in ["A01", "A02", "A03", "A04", "A08", "A11", "A13", "A28", "A31", "A40"]}
    siu = {f"SIU^{event}" for event in ["S12", "S13", "S14", "S15", "S17", "S26"]}
    assert adt | siu | {"ORU^R01", ""} == set(kinds)


def test_every_fault_and_every_speciality_occurs() -> None:
    notes = {message.note for message in draw(7, 12_000)}
    assert len(notes) >= 19
    assert {"chain of merges", "corrected result", "telephone deleted", "sent again"} <= notes
    assert set(Expect) == {message.expect for message in draw(7)}


def test_the_gate_agrees_with_what_is_expected() -> None:
    wrong = [message.note for message in draw(11) if str(admitted(message).disposition) not in allowed(message)]
    assert not wrong


def allowed(message: SimMessage) -> tuple[str, ...]:
    """Dispositions at the gate; what only the mapping holds passes there."""
    if message.expect in (Expect.AE, Expect.AR):
        return (message.expect.value,)
    return ("accept", "warning", "hold") if message.expect is Expect.HOLD else ("accept", "warning")


def test_control_ids_are_read_back_and_reused_only_where_it_says_so() -> None:
    seen: set[tuple[str, str]] = set()
    for message in draw(5):
        assert admitted(message).envelope.control_id == message.control_id
        identity = (message.source, message.control_id)
        if message.control_id and message.note not in ("sent again", "control id of an earlier message"):
            assert identity not in seen
        seen.add(identity)


def test_without_faults_everything_is_accepted() -> None:
    assert {message.expect for message in draw(5, 1000, broken=0)} == {Expect.ACCEPT}


def test_what_is_held_belongs_to_nobody_else() -> None:
    messages = draw(9, 8000)
    held = {message.patient for message in messages if message.expect is Expect.HOLD}
    assert len(held) > 10
    others = {message.patient for message in messages if message.expect is Expect.ACCEPT}
    assert not held & others


def test_a_duplicate_has_the_bytes_of_an_accepted_message_before_it() -> None:
    before: set[bytes] = set()
    copies = 0
    for message in draw(3):
        if message.expect is Expect.DUPLICATE:
            assert message.body in before
            copies += 1
        elif message.expect is Expect.ACCEPT:
            before.add(message.body)
    assert copies > 10


def test_messages_of_one_human_have_one_lane_and_a_merge_stays_in_it() -> None:
    hospital = Hospital(4, broken=0)
    merges = 0
    for message in islice(hospital.stream(), 4000):
        assert hospital.patients[message.patient].human == message.lane
        if message.kind == "ADT^A40":
            retired = hl7v2.parse(message.body).get("MRG-1.1")
            assert hospital.patients[retired].human == message.lane
            merges += 1
    assert merges > 10


def test_applications_differ_in_delimiters_line_ends_and_charset() -> None:
    first = {message.source: message for message in reversed(draw(6, 500, broken=0))}
    assert first["adt"].body.startswith(b"MSH|^~\\&|HIS|GENERAL")
    assert first["sched"].body.startswith(b"MSH|$*\\@|SCHED|CLINICS")
    assert b"\r\n" in first["lab"].body
    assert b"\n" not in first["adt"].body
    assert any(b"\xf1" in m.body or b"\xfc" in m.body for m in draw(6, 1000, broken=0) if m.source == "lab")


def test_names_come_in_several_scripts_and_the_laboratory_gets_latin_ones() -> None:
    names = [hl7v2.parse(m.body).get("PID-5[1].1") for m in draw(2, 2000, broken=0) if m.kind == "ADT^A04"]
    scripts = {chr(ord(name[0]) & ~0xFF) for name in names if name}
    assert len(scripts) >= 5
    for pool in _POOLS:
        for entry in " ".join(pool).split(" "):
            (entry.partition("/")[2] or entry).encode("iso-8859-1")


def test_results_have_three_to_twelve_values_with_loinc_and_ucum() -> None:
    counts = set()
    for message in draw(8, 3000, broken=0):
        if message.kind == "ORU^R01":
            record = hl7v2.parse(message.body, default_charset="iso-8859-1")
            counts.add(record.names.count("OBX"))
            assert record.get("OBX-3.3") == "LN"
            assert record.get("OBX-6.3") == "UCUM"
    assert min(counts) == 3
    assert max(counts) == 12


def test_a_value_that_holds_a_delimiter_is_escaped_and_read_back() -> None:
    text = "a|b^c~d\\e&f$g*h@i\rj"
    for dialect in (ADT, LAB, SCHED):
        line = segment(dialect, "NTE", {3: (text, "x")})
        header = dialect.header("ADT^A01", "ADT_A01", "1", datetime(2026, 1, 1, tzinfo=UTC))
        record = hl7v2.parse((header + "\r" + line + "\r").encode())
        assert record.get("NTE-3.1") == text


def test_a_hospital_needs_a_zone_and_a_share() -> None:
    with pytest.raises(ValueError, match="zone"):
        Hospital(1, start=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="share"):
        Hospital(1, broken=2)


def test_every_draw_of_a_name_has_both_parts() -> None:
    from random import Random

    random = Random(1)
    for sex in "FMOU" * 50:
        name = draw_name(random, sex)
        assert all((name.family, name.given, name.latin_family, name.latin_given))

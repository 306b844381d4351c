"""Every valued field has exactly one fate, for any message whatever."""

import engine_kit as kit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum import mapping
from hilum.errors import HilumError
from hilum.formats import hl7v2
from shared_data import SHARED, needs_shared

ENC = "enc-key,ADT^A01,PV1,PV1-19[1],CX,,Encounter.id,key,,skip,,,reg,,"
ROWS = (
    "sex,,PID,PID-8,IS,,Patient.gender,code,Sex,,exception,,reg,,",
    "suffix,,PID,PID-5.2,ST,,Patient.maritalStatus.text,text,,,,,reg,,",
    'dead,,PID,PID-29,DTM,"PID-30 = ""Y""",Patient.deceasedDateTime,datetime(zone=param.zone),,,,,reg,,',
)


def fates(*segments: str, rows: tuple[str, ...] = ROWS) -> tuple[tuple[int, int, int, int], list[tuple[str, str]]]:
    mapped = kit.run(kit.plan(*rows), *segments)
    counts = mapped.accounting
    items = [(item.code, item.location) for item in mapped.exceptions]
    return (counts.valued, counts.mapped, counts.ignored, counts.exceptions), items


MSH = 9  # valued fields of the kit's MSH, all ignored on purpose


def test_a_field_is_mapped_ignored_or_an_exception() -> None:
    assert fates("PID|1||7^^^HOSP|||||F|x") == (
        (MSH + 4, 2, MSH + 1, 1),
        [("field-unmapped", "PID-9")],
    )


def test_a_field_whose_rows_wrote_nothing_is_an_exception_of_its_own_code() -> None:
    assert fates("PID|||7^^^HOSP||DOE")[1] == [("field-unused", "PID-5")]
    assert fates("PID|||7^^^HOSP" + "|" * 26 + "2024|N")[1] == [
        ("field-unused", "PID-29"),
        ("field-unmapped", "PID-30"),
    ]


def test_a_condition_that_decided_is_a_use_of_its_field() -> None:
    counts, items = fates("PID|||7^^^HOSP" + "|" * 26 + "2024|Y")
    assert items == []
    assert counts == (MSH + 3, 3, MSH, 0)


def test_a_field_with_an_item_of_its_row_is_told_once() -> None:
    counts, items = fates("PID|||7^^^HOSP|||||Q")
    assert items == [("code-unmapped", "PID-8")]
    assert counts[3] == 1


def test_delimiters_alone_are_no_value() -> None:
    assert fates("PID|||7^^^HOSP||^^^|~|&^|||") == ((MSH + 1, 1, MSH, 0), [])


def test_segments_of_the_site_and_in_strange_places_are_accounted_for() -> None:
    counts, items = fates("PV1|1|I", "ZPI|1|two||four", "PID|||7^^^HOSP", "pid|lower", "", "A very long name|x")
    assert counts[0] == MSH + 2 + 3 + 1 + 1 + 1
    assert [location for _, location in items] == ["PV1-1", "PV1-2", "ZPI-1", "ZPI-2", "ZPI-4", "???-1"]
    assert not any("long name" in item for pair in items for item in pair)


def test_unmapped_fields_are_grouped_by_sender_and_field() -> None:
    mapped = kit.run(kit.plan(), kit.PID + "|x", "ZPI|1", "ZPI|2")
    assert [item.group for item in mapped.exceptions] == [
        "field-unmapped|APP|FAC|PID-4",
        "field-unmapped|APP|FAC|ZPI-1",
    ]
    assert mapped.accounting.exceptions == 3


@pytest.mark.parametrize(
    ("line", "ignored"),
    [
        ("ZPI-1,,,why", 1),
        ("ZPI-*,,,why", 2),
        ("ZPI-1,ADT^A01|A04,,why", 1),
        ("ZPI-1,ORU^*,,why", 0),
        ("ZPI-*,,OTHER|*,why", 0),
        ("ZPI-2,ADT,APP|FAC,why", 1),
    ],
)
def test_an_ignore_holds_for_its_kinds_and_senders(line: str, ignored: int) -> None:
    compiled = kit.plan(ignores=f"field,applies,sender,reason\nMSH-*,,,x\n{line}\n")
    mapped = kit.run(compiled, "PID|||7^^^HOSP", "ZPI|1|2")
    assert mapped.accounting.ignored == MSH + ignored


def valued(record: hl7v2.Hl7Message) -> int:
    marks = record.delimiters.component + record.delimiters.repetition + record.delimiters.subcomponent
    count = 0
    for segment in record.segments:
        first = 3 if segment.name in ("MSH", "FHS", "BHS") else 1
        count += sum(bool(text.strip(marks)) for text in segment.fields[first:])
    return count


BASE = mapping.compile_workbook(mapping.load_base())
_NAMES_WORDS = "PID PD1 NK1 PV1 PV2 OBR OBX NTE SPM ORC AL1 DG1 IN1 GT1 MRG SCH AIS AIP AIL AIG TQ1 EVN ZZZ"
NAMES = st.sampled_from(_NAMES_WORDS.split())
CELLS = st.sampled_from(
    [
        "",
        "",
        "",
        '""',
        "1",
        "Y",
        "20240102",
        "202401020304",
        "a^b^c",
        "1^^^HOSP^MR",
        "x~y",
        "^",
        "~",
        "F",
        "NM",
        "\\T\\",
        "12.5",
        "a&b",
    ]
)
SEGMENTS = st.tuples(NAMES, st.lists(CELLS, max_size=50)).map(lambda pair: "|".join((pair[0], *pair[1])))
KINDS = st.sampled_from(["ADT^A01", "ADT^A08", "ADT^A40", "ORU^R01", "SIU^S12", "MDM^T02", "ACK"])


@settings(max_examples=150)
@given(KINDS, st.lists(SEGMENTS, max_size=8), st.booleans())
def test_any_message_adds_up_and_maps_the_same_again_and_when_watched(
    kind: str, segments: list[str], patient: bool
) -> None:
    record = kit.message(*(["PID|||7^^^HOSP^MR"] if patient else []), *segments, kind=kind)
    context = kit.context(record)
    first = BASE.run(record, context)
    assert first.accounting.valued == valued(record)
    assert first.accounting.adds_up
    assert BASE.run(record, context) == first
    BASE.trace(record, context)
    assert BASE.run(record, context) == first
    assert all(not one.message.startswith("Traceback") for one in first.exceptions)


def bodies() -> list[bytes]:
    found = []
    for path in sorted((SHARED / "hl7v2").rglob("*.hl7")):
        raw = path.read_bytes()
        found.extend(hl7v2.split_batch(raw).messages if hl7v2.is_batch(raw) else [raw])
    return found


@needs_shared
def test_no_valued_field_of_any_sample_message_is_unaccounted_for() -> None:
    seen = 0
    for body in bodies():
        try:
            record = hl7v2.parse(body)
        except HilumError:
            continue  # refused at the door, never mapped
        mapped = BASE.run(record, kit.context(record))
        assert mapped.accounting.valued == valued(record)
        assert mapped.accounting.adds_up
        seen += 1
    assert seen > 1000

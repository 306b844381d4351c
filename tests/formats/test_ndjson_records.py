"""FHIR resources as lines of NDJSON: their kinds, keys and times, and what is held."""

from __future__ import annotations

from io import BytesIO

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hilum.errors import FormatError
from hilum.formats import records

PATIENT = b'{"resourceType":"Patient","id":"p1","meta":{"lastUpdated":"2026-03-01T08:00:00.250Z"},"x":1.50}'
LAB = b'{"resourceType":"Observation","id":"o1","subject":{"reference":"https://x.example/fhir/Patient/p1/_history/2"}}'
PLACE = b'{"resourceType":"Location","id":"l1"}'


def found(content: bytes, **settings: object) -> list[records.Found]:
    return list(records.read_records(BytesIO(content), records.Ndjson(**settings)))  # type: ignore[arg-type]


def test_each_line_is_a_record_of_its_type_ordered_by_its_patient() -> None:
    lines = found(b"\n".join([PATIENT, b"", LAB, PLACE]))
    told = [(one.line, one.kind, one.key) for one in lines]
    assert told == [
        (1, "fhir:Patient", "Patient/p1"),
        (3, "fhir:Observation", "Patient/p1"),
        (4, "fhir:Location", "Location/l1"),
    ]
    assert (lines[0].at, lines[1].at) == (1_772_352_000_250_000, 0)
    record = records.read(lines[0].body)
    assert isinstance(record, records.ResourceRecord)
    assert (record.kind, str(record.resource["x"]), record.deletes) == ("fhir:Patient", "1.50", False)


def test_the_key_can_be_a_path_and_have_an_authority() -> None:
    raw = b'{"resourceType":"Patient","id":"1","identifier":[{"system":"urn:mrn","value":"77"}]}'
    key = ("identifier.where(system = 'urn:mrn').value", "subject.identifier.value")
    assert found(raw, key=key, authority="HOSP")[0].key == "77|HOSP"
    (held,) = found(PLACE, key=key)
    assert held.finding is not None
    assert (held.finding.code, held.key) == ("record-key-empty", "")
    with pytest.raises((msgspec.ValidationError, ValueError), match="key"):
        records.Ndjson(key=("identifier.where(",))


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "record-json"),
        (b"[1]", "record-json"),
        (b'{"resourceType":"Patient","id":"1","id":"2"}', "record-json"),
        (b'{"resourceType":"Patient","id":"1","name":[{"family":"A","text":"\\":","family" : "B"}]}', "record-json"),
        (b'{"resourceType":"Patient","x":"\xff"}', "record-json"),
        (b'{"resourceType":"Patient","id":"1","x":' + b"[" * 200 + b"]" * 200 + b"}", "record-json"),
        (b'{"resourceType":"Patient","id":"1","x":' + b"[" * 90_000 + b"]" * 90_000 + b"}", "record-json"),
        (b'{"id":"1"}', "record-type"),
        (b'{"resourceType":"csv:x","id":"1"}', "record-type"),
        (b'{"resourceType":"Patient"}', "record-key-empty"),
    ],
)
def test_a_line_that_is_no_resource_is_held_and_the_next_one_goes_on(line: bytes, code: str) -> None:
    first, second = found(line + b"\r\n" + PLACE)
    assert first.finding is not None
    assert (first.finding.code, first.finding.location, first.key) == (code, "line 1", "")
    assert (second.line, second.kind, second.finding) == (2, "fhir:Location", None)


@given(st.binary(max_size=200))
def test_no_bytes_stop_the_reader(content: bytes) -> None:
    try:
        lines = found(content)
    except FormatError:  # it is UTF-16, or no text
        return
    for one in lines:
        assert (one.finding is None) == bool(one.key)


@example([["", '"'], ['"', '1"'], ["", '"']], 4, "\n")
@given(
    st.lists(st.lists(st.text(alphabet='ab1;\n"\r', max_size=5), min_size=2, max_size=2), max_size=30),
    st.integers(1, 60),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_parts_of_a_file_hold_the_records_of_the_whole(rows: list[list[str]], size: int, end: str) -> None:
    text = "ID;X" + end + "".join(";".join(row) + end for row in rows)
    format_ = records.Delimited(record="people", key=("ID",), delimiter=";")
    try:
        whole = list(records.read_records(BytesIO(text.encode()), format_))
    except FormatError as error:  # the first line ends where the drawn cells say: it may open a quote
        with pytest.raises(FormatError, match=error.message):
            list(records.split_records(BytesIO(text.encode()), format_, "tag", size))
        return
    parts = list(records.split_records(BytesIO(text.encode()), format_, "tag", size))
    assert [one for part, body in parts for one in records.read_part(part, body, format_)] == whole
    assert all(part.tag == "tag" for part, _ in parts)


def test_parts_keep_the_lines_of_fixed_columns_and_of_ndjson() -> None:
    fixed = records.FixedWidth(
        record="people", key=("ID",), layout=(records.Column(name="ID", start=1, length=3),), header=1
    )
    for format_, content in ((fixed, b"head\n001\n\n002\n003"), (records.Ndjson(), b"\n".join([PATIENT, b"{", PLACE]))):
        whole = list(records.read_records(BytesIO(content), format_))
        parts = records.split_records(BytesIO(content), format_, "t", 1)
        assert [one for part, body in parts for one in records.read_part(part, body, format_)] == whole
        assert len(whole) == 3


def test_a_control_character_in_a_text_holds_its_resource() -> None:
    lines = [rb'{"resourceType":"Basic","id":"1","x":"%b"}' % text for text in (rb"\u0000", rb"a\b", rb"\\\u001F")]
    kept = [rb'{"resourceType":"Basic","id":"1","x":"%b"}' % text for text in (rb"\u0009\n", rb"\\b", rb"\\u0001")]
    assert [one.finding and one.finding.code for one in found(b"\n".join(lines))] == ["record-json"] * 3
    assert [one.finding for one in found(b"\n".join(kept))] == [None] * 3


@pytest.mark.parametrize(
    "raw", [b'{\n "resourceType": "Patient"\n}\n', b"\n[" + PATIENT + b",\n" + PLACE + b"]", b"[\n"]
)
def test_one_document_on_many_lines_is_refused_whole(raw: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        found(raw)
    assert caught.value.code == "records-json"

"""Paths: reading and writing one value."""

from __future__ import annotations

import pytest
from hl7v2_samples import ADT, ORU, message
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import FormatError
from hilum.formats.hl7v2 import Path, compile_path, parse


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("PID-3", "100^^^HOSP&1.2.3&ISO^MR"),
        ("PID-3[1]", "100^^^HOSP&1.2.3&ISO^MR"),
        ("PID-3.1", "100"),
        ("PID-3[2].1", "200"),
        ("PID-3[2].4", "SSA"),
        ("PID-3[1].4", "HOSP&1.2.3&ISO"),
        ("PID-3[1].4.2", "1.2.3"),
        ("PID-3[3].1", ""),
        ("PID-8", "M"),
        ("PID-8.1", "M"),
        ("PID-8.1.1", "M"),
        ("PID-8.2", ""),
        ("PID-8.1.2", ""),
        ("PID-99", ""),
        ("NK1-2", ""),
        ("PID[2]-3", ""),
        ("MSH-1", "|"),
        ("MSH-2", "^~\\&"),
        ("MSH-9.2", "A01"),
    ],
)
def test_get_reads_what_the_path_says(path: str, value: str) -> None:
    assert parse(ADT).get(path) == value


def test_all_reads_every_place_that_a_star_covers() -> None:
    record = parse(message("ORU^R01", "OBX|1|ST|a||x~y~", "OBX|2|ST|b||", "OBX|3|ST|c||z\\T\\z"))
    assert record.all("OBX[*]-5[*]") == ["x", "y", "", "z&z"]
    assert record.all("OBX[*]-3") == ["a", "b", "c"]
    assert record.all("OBX-5[*]") == ["x", "y", ""]
    assert record.all("OBX[2]-5[*]") == []
    assert record.get("OBX[*]-5[2]") == "y"
    assert record.all("MSH-2") == ["^~\\&"]


@pytest.mark.parametrize(
    "text", ["", "PID", "PID-0", "PID-3[0]", "pid-3", "PID-3.", "PID-3.1.1.1", "P-3", "PID-3[a]", "PIDX-1"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="path"):
        compile_path(text)


@given(
    st.builds(
        Path,
        st.from_regex(r"[A-Z][A-Z0-9]{2}", fullmatch=True),
        st.integers(0, 999),
        st.integers(1, 99),
        st.integers(0, 999),
        st.integers(1, 99),
        st.integers(0, 99),
    )
)
def test_a_path_is_written_as_it_is_read(path: Path) -> None:
    assert compile_path(str(path)) == path


def test_set_leaves_every_other_byte_alone() -> None:
    record = parse(ADT)
    record.set("PID-5.2", "Ida")
    assert record.to_bytes() == ADT.replace(b"Una", b"Ida")


def test_set_makes_what_is_missing_on_the_way() -> None:
    record = parse(message("ADT^A01", "PID|1"))
    record.set("PID-3[2].4.2", "1.2.3")
    assert record.to_bytes().endswith(b"PID|1||~^^^&1.2.3\r")
    record.set("PID-5", "A^B", escaped=True)
    assert record.get("PID-5.2") == "B"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("PID-3[*].1", "path-invalid"),
        ("OBX[*]-5", "path-invalid"),
        ("MSH-2", "path-read-only"),
        ("MSH-18", "path-read-only"),
        ("NK1-2", "segment-missing"),
    ],
)
def test_set_refuses_what_it_cannot_write(path: str, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse(ORU + b"OBX|2\r").set(path, "x")
    assert caught.value.code == code


def test_set_refuses_a_value_that_the_charset_cannot_hold() -> None:
    record = parse(ADT.replace(b"UNICODE UTF-8", b"ASCII"))
    with pytest.raises(FormatError) as caught:
        record.set("PID-5.2", "Zoë")
    assert caught.value.code == "charset-cannot-encode"
    assert record.to_bytes() == ADT.replace(b"UNICODE UTF-8", b"ASCII")


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(1, 40),
    st.integers(1, 4),
    st.integers(0, 4),
    st.integers(0, 3),
)
def test_get_gives_back_what_set_was_given(value: str, field: int, repetition: int, component: int, sub: int) -> None:
    path = Path("PID", 1, field, repetition, component, sub if component else 0)
    record = parse(ADT)
    record.set(path, value)
    assert record.get(path) == value
    again = parse(record.to_bytes())
    assert again.get(path) == value
    assert [s.raw for s in again.segments if s.name != "PID"] == [s.raw for s in parse(ADT).segments if s.name != "PID"]

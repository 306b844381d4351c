"""Reading and writing back: bytes, charsets, terminators, lazy cutting."""

from __future__ import annotations

import pytest
from hl7v2_samples import ADT, ORU, lines
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import FormatError
from hilum.formats.hl7v2 import Hl7Message, is_batch, parse, split_batch
from hilum.formats.hl7v2.codes import UNREADABLE
from shared_data import SHARED, needs_shared


def read(raw: bytes) -> Hl7Message | None:
    """The message, or None when it is refused with one of the known codes. Anything else that is raised is a defect."""
    try:
        return parse(raw)
    except FormatError as error:
        if error.code not in UNREADABLE:
            raise
        return None


def test_an_untouched_message_goes_out_as_it_came_in() -> None:
    assert parse(ADT).to_bytes() == ADT
    assert parse(ADT).rebuilt() == ADT


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_segments_may_end_in_any_line_break(end: str) -> None:
    raw = end.join([*lines(ADT), ""]).encode()
    message = parse(raw)
    assert message.names == ("MSH", "EVN", "PID", "PV1")
    assert message.terminator == end
    assert message.rebuilt() == raw


@pytest.mark.parametrize(
    "glue",
    [
        ("\r", "\n", "\r\n", ""),
        ("\r\r", "\r\n\r\n", "\n", "\r"),
        ("\r", "\r", "\r", "\r\n"),
        ("\r", "\r", "\r", "\r \x1c\r"),
    ],
)
def test_mixed_terminators_and_blank_lines_are_kept(glue: tuple[str, ...]) -> None:
    raw = "".join(a + b for a, b in zip(lines(ADT), glue, strict=True)).encode()
    message = parse(raw)
    assert message.names == ("MSH", "EVN", "PID", "PV1")
    message.set("PID-8", "F")
    assert message.to_bytes() == raw.replace(b"|M|", b"|F|")


def test_fields_are_numbered_as_the_standard_numbers_them() -> None:
    message = parse(ADT)
    header, _, patient, _ = message.segments
    assert header.fields[1:4] == ["|", "^~\\&", "EHR"]
    assert header.fields[10] == "C1"
    assert patient.fields[0] == "PID"
    assert patient.fields[3] == "100^^^HOSP&1.2.3&ISO^MR~200^^^SSA^SS"
    assert (message.kind, message.control_id, message.sender, message.version) == ("ADT^A01", "C1", "EHR|HOSP", "2.5.1")


def test_any_delimiters_will_do() -> None:
    raw = b"MSH#*!%@#EHR#HOSP###20260301##ADT*A01#C1#P#2.5\rPID#1##100***HOSP@1.2#x#A*B!C*D\r"
    message = parse(raw)
    assert message.kind == "ADT^A01"
    assert message.get("PID-3.4.2") == "1.2"
    assert message.all("PID-5[*].1") == ["A", "C"]
    message.set("PID-5.1", "#*!%@|^")
    assert message.get("PID-5.1") == "#*!%@|^"
    assert parse(message.to_bytes()).get("PID-5.1") == "#*!%@|^"


def test_a_truncation_character_is_a_delimiter_from_version_2_7_on() -> None:
    message = parse(b"MSH|^~\\&#|EHR\rPID|1||1#\r")
    assert message.delimiters.truncation == "#"
    message.set("PID-5.1", "a#b")
    assert b"a\\P\\b" in message.to_bytes()


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ("UNICODE UTF-8", "utf-8"),
        ("8859/1", "latin-1"),
        ("8859/15", "iso8859-15"),
        ("8859/5", "iso8859-5"),
        ("GB 18030-2000", "gb18030"),
        ("BIG-5", "big5"),
        ("KS X 1001", "euc_kr"),
        ("ISO IR87", "iso2022_jp_1"),
    ],
)
def test_the_charset_is_read_from_msh_18(declared: str, codec: str) -> None:
    name = {"gb18030": "王", "big5": "王", "euc_kr": "김", "iso2022_jp_1": "山田", "iso8859-5": "Иван"}.get(
        codec, "Zoë"
    )
    text = ADT.decode().replace("UNICODE UTF-8", declared).replace("Una", name)
    raw = text.encode(codec)
    message = parse(raw)
    assert message.get("PID-5.2") == name
    assert message.notes == ()
    assert message.rebuilt() == raw
    message.set("PID-8", "F")
    assert message.to_bytes() == text.replace("|M|", "|F|").encode(codec)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_utf_16_and_utf_32_are_seen_in_the_bytes(codec: str, mark: str) -> None:
    raw = (mark + ADT.decode().replace("Una", "Zoë")).encode(codec)
    message = parse(raw)
    assert message.get("PID-5.2") == "Zoë"
    message.set("PID-8", "F")
    assert message.to_bytes() == (mark + ADT.decode().replace("Una", "Zoë").replace("|M|", "|F|")).encode(codec)


def test_undecodable_bytes_are_refused_with_their_offset() -> None:
    raw = ADT.replace(b"Una", b"Zo\xeb")
    with pytest.raises(FormatError) as caught:
        parse(raw)
    assert caught.value.code == "charset-undecodable"
    assert caught.value.location == f"byte {raw.index(0xEB)}"
    assert "\ufffd" not in str(caught.value)


def test_the_default_of_the_source_serves_where_msh_18_is_empty_or_unknown() -> None:
    raw = ADT.replace(b"Una", b"Zo\xeb")
    for declared, notes in ((b"", ("charset-undeclared",)), (b"KLINGON", ("charset-unknown",))):
        message = parse(raw.replace(b"UNICODE UTF-8", declared), default_charset="latin-1")
        assert message.get("PID-5.2") == "Zoë"
        assert message.notes == notes


def test_utf_8_read_as_latin_1_is_suspected() -> None:
    raw = ADT.replace(b"UNICODE UTF-8", b"").replace(b"Una", "Zoë".encode())
    assert parse(raw, default_charset="latin-1").notes == ("charset-undeclared", "charset-suspect")


def test_a_codec_that_writes_delimiters_differently_is_no_default() -> None:
    for codec in ("utf-16", "cp037", "no-such-codec"):
        with pytest.raises(LookupError):
            parse(ADT.replace(b"UNICODE UTF-8", b""), default_charset=codec)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "frame-empty"),
        (b" \r\n\x0b", "frame-empty"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "frame-not-hl7"),
        (b"\x16\x03\x01\x02\x00", "frame-not-hl7"),
        (b"{}", "frame-not-hl7"),
        (b"\xff\xfe\x00", "frame-not-hl7"),
        (b"PID|1||1\r", "header-missing"),
        (b"BHS|^~\\&|X\r", "batch-unexpected"),
        (b"MSH", "delimiters-missing"),
        (b"MSH|", "delimiters-missing"),
        (b"MSH|\rPID|1", "delimiters-missing"),
        (b"MSH|^~|X\r", "delimiters-missing"),
        (b"MSH|^^\\&|X\r", "delimiters-duplicate"),
        (b"MSH|^~\\||X\r", "delimiters-missing"),
        (b"MSHA^~\\&AX\r", "delimiters-invalid"),
        (b"MSH|^~\\&#$|X\r", "delimiters-invalid"),
    ],
)
def test_what_is_no_message_is_refused_with_a_code(raw: bytes, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse(raw)
    assert caught.value.code == code


def test_a_byte_order_mark_and_blanks_before_msh_are_kept_and_said() -> None:
    raw = b"\xef\xbb\xbf\r\n" + ADT
    message = parse(raw)
    assert message.notes == ("byte-order-mark", "leading-blank")
    assert message.to_bytes() == raw
    message.set("PID-8", "F")
    assert message.to_bytes() == raw.replace(b"|M|", b"|F|")


def test_a_representation_never_shows_values() -> None:
    assert "Una" not in repr(parse(ADT).segments)


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_with_a_code_or_read_and_written_back(noise: bytes) -> None:
    for raw in (noise, b"MSH|^~\\&|" + noise, ADT + noise, ORU[:60] + noise + ORU[60:]):
        message = read(raw)
        if message is not None:
            assert message.to_bytes() == raw
            assert message.rebuilt() == raw
            assert len(message.parents) == len(message.names) == len(message.segments)


@needs_shared
def test_every_sample_is_refused_with_a_code_or_read_and_written_back() -> None:
    files = sorted((SHARED / "hl7v2").rglob("*.hl7"))
    count = 0
    for file in files:
        raw = file.read_bytes()
        for body in split_batch(raw).messages if is_batch(raw) else (raw,):
            message = read(body)
            if message is not None:
                assert message.rebuilt() == body, file.name
                count += 1
    assert len(files) > 1600
    assert count > 1600


@pytest.mark.parametrize("declared", ["~ISO IR87", "ASCII~ISO IR87", "ISO IR6~ISO IR87~ISO IR159", "ISO IR14~ISO IR87"])
def test_a_japanese_set_that_ascii_switches_to_is_read(declared: str) -> None:
    raw = ADT.decode().replace("UNICODE UTF-8", declared).replace("Una", "跳弾山田").encode("iso2022_jp_1")
    message = parse(raw)
    assert message.get("PID-5.2") == "跳弾山田"
    assert message.notes == ()
    assert message.to_bytes() == message.rebuilt() == raw


@pytest.mark.parametrize("declared", ["8859/1~UNICODE UTF-8", "UNICODE UTF-8~8859/1", "8859/1~ISO IR87"])
def test_the_first_of_other_sets_is_the_one(declared: str) -> None:
    codec = "latin-1" if declared.startswith("8859/1") else "utf-8"
    raw = ADT.decode().replace("UNICODE UTF-8", declared).replace("Una", "Zoë").encode(codec)
    assert parse(raw).get("PID-5.2") == "Zoë"

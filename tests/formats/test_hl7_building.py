"""Messages written from values: escapes, delimiters and character sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import FormatError
from hilum.formats import hl7v2

HEADER = ("MSH", {9: [{(1, 1): "ADT", (2, 1): "A08"}], 12: [{(1, 1): "2.5.1"}], 18: [{(1, 1): "UNICODE UTF-8"}]})
TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1)
MARKS = [hl7v2.STANDARD, hl7v2.Delimiters("|", "$", "*", "\\", "@"), hl7v2.Delimiters("|", "^", "~", "\\", "&", "#")]


@given(st.dictionaries(st.tuples(st.integers(1, 4), st.integers(1, 3)), TEXTS), st.sampled_from(MARKS))
def test_every_text_comes_back_from_between_any_delimiters(
    repetition: dict[tuple[int, int], str], marks: hl7v2.Delimiters
) -> None:
    raw = hl7v2.build([HEADER, ("PID", {3: [{(1, 1): "x"}, repetition]})], delimiters=marks, charset="UNICODE UTF-8")
    message = hl7v2.parse(raw)
    repetitions = [*message.segments[1].field(3).split(marks.repetition), ""]
    pieces = repetitions[1].split(marks.component)
    for (component, sub), text in repetition.items():
        piece = pieces[component - 1].split(marks.subcomponent)[sub - 1]
        assert message.unescape(piece) == text


def test_a_component_with_a_caret_is_escaped_and_not_cut() -> None:
    raw = hl7v2.build([HEADER, ("PID", {3: [{(1, 1): "A^B", (4, 1): "X&Y"}]})])
    assert b"PID|||A\\S\\B^^^X\\T\\Y\r" in raw


def test_a_line_break_is_a_formatting_command() -> None:
    raw = hl7v2.build([HEADER, ("NTE", {3: [{(1, 1): "one\ntwo\r\nthree"}]})])
    assert b"NTE|||one\\.br\\two\\.br\\three\r" in raw


def test_delete_is_two_quotes_and_a_text_of_two_quotes_is_not() -> None:
    raw = hl7v2.build([HEADER, ("PID", {5: [hl7v2.DELETE], 9: [{(1, 1): '""'}]})])
    assert b'PID|||||""||||\\X22\\\\X22\\\r' in raw


def test_the_header_names_the_delimiters() -> None:
    raw = hl7v2.build([HEADER], delimiters=hl7v2.Delimiters("!", "$", "*", "?", "@"))
    assert raw.startswith(b"MSH!$*?@!!!!!!!ADT$A08!!!2.5.1!!!!!!UNICODE UTF-8\r")


def test_a_character_that_the_charset_lacks_is_refused_with_its_place_and_without_its_text() -> None:
    with pytest.raises(FormatError) as caught:
        hl7v2.build([HEADER, ("PID", {5: [{(1, 1): "Ok"}, {(1, 1): "Ok", (2, 1): "美咲"}]})], charset="8859/1")
    assert (caught.value.code, caught.value.location) == ("charset-inexpressible", "PID-5[2].2")
    assert "美" not in str(caught.value)


def test_latin_letters_are_written_in_latin_1() -> None:
    raw = hl7v2.build([HEADER, ("PID", {5: [{(1, 1): "Müller"}]})], charset="8859/1")
    assert "PID|||||Müller\r".encode("latin-1") in raw


def test_without_a_charset_only_ascii_can_be_said() -> None:
    with pytest.raises(FormatError, match="ASCII"):
        hl7v2.build([("PID", {5: [{(1, 1): "Müller"}]})])


@pytest.mark.parametrize("name", ["UNICODE UTF-16", "NO SUCH SET"])
def test_a_charset_that_cannot_be_written_is_refused(name: str) -> None:
    with pytest.raises(FormatError) as caught:
        hl7v2.build([HEADER], charset=name)
    assert caught.value.code == "charset-unusable"

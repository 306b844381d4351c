"""Which codec a message is written in: MSH-18 by HL7 table 0211, else what the source says."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["WIDE", "canonical", "codec_of", "switching_codec"]

_JAPANESE = "iso2022_jp_1"

# HL7 table 0211 (v2.5.1 and v2.8.2), names as they are written in MSH-18.
TABLE_0211 = {
    "ASCII": "ascii",
    "8859/1": "latin-1",
    "8859/2": "iso8859-2",
    "8859/3": "iso8859-3",
    "8859/4": "iso8859-4",
    "8859/5": "iso8859-5",
    "8859/6": "iso8859-6",
    "8859/7": "iso8859-7",
    "8859/8": "iso8859-8",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "UNICODE UTF-32": "utf-32",
    "ISO IR6": "ascii",
    "ISO IR14": _JAPANESE,
    "ISO IR87": _JAPANESE,
    "ISO IR159": _JAPANESE,
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "CNS 11643-1992": "euc_tw",
    "BIG-5": "big5",
}

# Names that senders write instead; understood, with a warning.
ALIASES = {
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE UTF8": "utf-8",
    "UTF-16": "utf-16",
    "US-ASCII": "ascii",
    "ISO-8859-1": "latin-1",
    "ISO8859-1": "latin-1",
    "8859-1": "latin-1",
    "8859/10": "iso8859-10",
    "8859/11": "iso8859-11",
    "8859/13": "iso8859-13",
    "8859/14": "iso8859-14",
    "ISO-8859-15": "iso8859-15",
    "ISO-8859-2": "iso8859-2",
    "LATIN1": "latin-1",
    "WINDOWS-1252": "cp1252",
    "CP1252": "cp1252",
    "WINDOWS-1250": "cp1250",
    "WINDOWS-1251": "cp1251",
    "GB18030": "gb18030",
    "GB2312": "gb2312",
    "GBK": "gbk",
    "BIG5": "big5",
    "EUC-KR": "euc_kr",
    "SHIFT_JIS": "shift_jis",
    "SHIFT-JIS": "shift_jis",
    "EUC-JP": "euc_jp",
}

# Codecs whose bytes below 0x80 are not always ASCII text, so that delimiters cannot be looked for in the bytes.
WIDE = frozenset({"utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"})


@lru_cache(maxsize=256)
def codec_of(declared: str) -> tuple[str, bool]:
    """The Python codec for MSH-18 as sent, and whether table 0211 knows the name; ("", False) when nobody does.

    UNICODE alone is read as UTF-8: a message in UTF-16 could not have been read as far as MSH-18.
    """
    name = " ".join(declared.split()).upper()
    codec = TABLE_0211.get(name)
    if codec is not None:
        return _usable(codec), True
    return _usable(ALIASES.get(name, "")), False


def switching_codec(first: str, others: Sequence[str]) -> str:
    """The codec where a Japanese set is an alternate of ASCII, reached by ISO 2022 escape sequences; "" where none is.

    HL7 v2.5.1, section 2.15.9.18: the first repetition of MSH-18 is the default set, the others are switched to.
    Senders in Japan write `~ISO IR87` or `ASCII~ISO IR87`.
    """
    basic = not first or codec_of(first)[0] in ("ascii", _JAPANESE)
    return _JAPANESE if basic and any(codec_of(one)[0] == _JAPANESE for one in others) else ""


def _usable(codec: str) -> str:
    """The codec, or "" where this Python does not have it (CNS 11643 has none)."""
    try:
        return codec if codec and codecs.lookup(codec) else ""
    except LookupError:
        return ""


@lru_cache(maxsize=64)
def canonical(codec: str) -> str:
    """The codec's own short name where it is one of the fast ones.

    Raises LookupError when Python does not know it, or when it does not write delimiters as ASCII does.
    """
    probe = "MSH|^~\\&\r"
    if probe.encode(codec) != probe.encode("ascii"):
        raise LookupError(f"{codec} does not write ASCII as ASCII")
    name = codecs.lookup(codec).name
    return {"iso8859-1": "latin-1"}.get(name, name)

"""Functions of texts (FHIRPath N1, 5.6), encodings and escapes."""

from __future__ import annotations

import base64
import binascii
import html
import re
from typing import TYPE_CHECKING, Any

import msgspec

from hilum.fhirpath.code import Applied, Items
from hilum.fhirpath.failure import fail
from hilum.fhirpath.frame import Frame
from hilum.fhirpath.functions.building import Build, expect, of_texts, one, refuse_parts
from hilum.fhirpath.functions.regexes import matcher, replacer
from hilum.fhirpath.operators import LONGEST_TEXT
from hilum.fhirpath.shapes import STRING, Shape
from hilum.fhirpath.syntax import Call

if TYPE_CHECKING:
    from hilum.fhirpath.compiler import Compiler, Scope

__all__ = ["TEXTS"]


def _given(value: Any, kind: type, what: str) -> Any:
    if type(value) is not kind:
        raise fail(f"an argument that is no {what}", "fhirpath-type")
    return value


def _index_of(text: str, part: Any) -> int:
    return text.find(_given(part, str, "text"))


def _last_index_of(text: str, part: Any) -> int:
    return text.rfind(_given(part, str, "text"))


def _substring(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    """`substring(start, length)`; an empty length counts as none given."""
    arguments = [compiler.system(compiler.node(part, scope)) for part in expect(node, 1, 2)]
    refuse_parts(compiler, node, shape)
    values, at = compiler.values(shape), node.at

    def step(items: Items, this: Items, frame: Frame) -> Items:
        text = one(values(items), "substring", at)
        start, *length = [one(run(this, frame), "substring", at) for run in arguments]
        if text is None or start is None:
            return []
        text, start = _given(text, str, "text"), _given(start, int, "whole number")
        if not 0 <= start < len(text):
            return []
        if not length or length[0] is None:
            return [text[start:]]
        return [text[start : start + max(_given(length[0], int, "whole number"), 0)]]

    return Applied(step, STRING)


def _starts_with(text: str, part: Any) -> bool:
    return text.startswith(_given(part, str, "text"))


def _ends_with(text: str, part: Any) -> bool:
    return text.endswith(_given(part, str, "text"))


def _contains(text: str, part: Any) -> bool:
    return _given(part, str, "text") in text


def _matches(text: str, pattern: Any) -> bool:
    return matcher(_given(pattern, str, "text"), whole=False)(text)


def _matches_full(text: str, pattern: Any) -> bool:
    return matcher(_given(pattern, str, "text"), whole=True)(text)


def _replace(text: str, old: Any, new: Any) -> str:
    old, new = _given(old, str, "text"), _given(new, str, "text")
    if len(text) + (text.count(old) if old else len(text)) * len(new) > LONGEST_TEXT:
        raise fail(f"a text of more than {LONGEST_TEXT:,} characters", "fhirpath-too-much")
    return text.replace(old, new)


def _replace_matches(text: str, pattern: Any, new: Any) -> str:
    """`$1` and `${name}` in the replacement stand for groups, `$$` for a dollar; an empty pattern changes nothing."""
    if not _given(pattern, str, "text"):
        return text
    template, found = _given(new, str, "text"), replacer(pattern, len(text))
    if (len(text) + 1) * (len(template) + 1) > LONGEST_TEXT:
        raise fail(f"replaceMatches() may build a text of more than {LONGEST_TEXT:,} characters", "fhirpath-too-much")

    def fill(match: re.Match[str]) -> str:
        def group(one: re.Match[str]) -> str:
            name = one[1] or one[2]
            if name is None:
                return "$"
            try:
                return match[int(name) if name.isdigit() else name] or ""
            except IndexError:
                raise fail(f"the pattern has no group `{name}`", "fhirpath-regex") from None

        return re.sub(r"\$\$|\$(\d)|\$\{(\w+)\}", group, template)

    return found.sub(fill, text)


def _split(text: str, separator: Any) -> list[str]:
    separator = _given(separator, str, "text")
    return text.split(separator) if separator else list(text)


def _join(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    """All texts of the input in one; nothing becomes an empty text, as SQL on FHIR has it."""
    arguments = expect(node, 0, 1)
    run = compiler.system(compiler.node(arguments[0], scope)) if arguments else None
    refuse_parts(compiler, node, shape)
    values, at = compiler.values(shape), node.at

    def step(items: Items, this: Items, frame: Frame) -> Items:
        separator = "" if run is None else one(run(this, frame), "join", at)
        found = values(items)
        if separator is None:
            return []
        if not all(type(part) is str for part in (separator, *found)):
            raise fail("join() takes texts", "fhirpath-type", at)
        return [separator.join(found)]

    return Applied(step, STRING)


def _encode(text: str, form: Any) -> str | None:
    raw = text.encode()
    if form == "hex":
        return raw.hex()
    if form == "base64":
        return base64.b64encode(raw).decode()
    return base64.urlsafe_b64encode(raw).decode() if form == "urlbase64" else None


def _decode(text: str, form: Any) -> str | None:
    """None for what is not encoded so, and for an encoding that is not known."""
    try:
        if form == "hex":
            return bytes.fromhex(text).decode()
        if form == "base64":
            return base64.b64decode(text, validate=True).decode()
        return base64.urlsafe_b64decode(text).decode() if form == "urlbase64" else None
    except (ValueError, binascii.Error):
        return None


def _escape(text: str, form: Any) -> str | None:
    if form == "html":
        return html.escape(text, quote=True)
    return msgspec.json.encode(text).decode()[1:-1] if form == "json" else None


def _unescape(text: str, form: Any) -> str | None:
    if form == "html":
        return html.unescape(text)
    if form != "json":
        return None
    # Quotes that were never escaped are taken as they are.
    quoted = re.sub(r'(\\.)|"', lambda match: match[1] or '\\"', text, flags=re.DOTALL)
    try:
        return msgspec.json.decode(f'"{quoted}"', type=str)
    except msgspec.DecodeError:
        return None


TEXTS: dict[str, Build] = {
    "indexOf": of_texts(1, 1, _index_of, "Integer"),
    "lastIndexOf": of_texts(1, 1, _last_index_of, "Integer"),
    "substring": _substring,
    "startsWith": of_texts(1, 1, _starts_with, "Boolean"),
    "endsWith": of_texts(1, 1, _ends_with, "Boolean"),
    "contains": of_texts(1, 1, _contains, "Boolean"),
    "upper": of_texts(0, 0, str.upper),
    "lower": of_texts(0, 0, str.lower),
    "trim": of_texts(0, 0, str.strip),
    "replace": of_texts(2, 2, _replace),
    "matches": of_texts(1, 1, _matches, "Boolean"),
    "matchesFull": of_texts(1, 1, _matches_full, "Boolean"),
    "replaceMatches": of_texts(2, 2, _replace_matches),
    "length": of_texts(0, 0, len, "Integer"),
    "toChars": of_texts(0, 0, list),
    "split": of_texts(1, 1, _split),
    "join": _join,
    "encode": of_texts(1, 1, _encode),
    "decode": of_texts(1, 1, _decode),
    "escape": of_texts(1, 1, _escape),
    "unescape": of_texts(1, 1, _unescape),
}

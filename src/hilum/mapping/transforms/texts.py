"""ST, TX and FT as text and notes, HD as URI, ED and RP as Attachment, TQ and RI as Timing, OBX-5 as value[x]."""

from __future__ import annotations

import base64
import binascii
import re

from msgspec import structs

from hilum.mapping.lookup import universal_uri
from hilum.mapping.transforms.codes import codeable
from hilum.mapping.transforms.frame import NOTHING, Env, Evaluator, Spec, Typed, json_text, register
from hilum.mapping.transforms.numbers import PLAIN_NUMBER, as_quantity, decimal_text, quantity_json, structured
from hilum.mapping.transforms.people import words_of
from hilum.mapping.transforms.times import as_datetime, as_time, moment, periods

__all__ = ["encoded_text"]

_LINES = re.compile(r"\\\.(br|sp\d*|ce|fi|nf|in[+-]?\d*|ti[+-]?\d*|sk\d*)\\?", re.IGNORECASE)


def _formatted(env: Env, raw: str) -> str:
    """Text of FT and TX: `\\.br\\`, `\\.sp\\`, `\\.ce\\` become line breaks, other formatting goes (v2.9, 2.7.6)."""
    if "\\." in raw and env.escapes_formatting:
        raw = _LINES.sub(lambda match: "\n" if match[1][:2].lower() in ("br", "sp", "ce") else "", raw)
    return env.text(raw)


@register("text", "ST", "TX", "FT")
def as_text(spec: Spec, env: Env) -> Evaluator:
    """String."""
    if spec.type in ("FT", "TX", "ST", ""):
        # A component delimiter inside a text type was not escaped by the sender; the text is kept whole.
        def whole(raw: str, *_: str) -> bytes:
            text = _formatted(env, raw)
            return json_text(text) if text else NOTHING

        return whole
    words = words_of(spec, env)

    def evaluate(raw: str, *_: str) -> bytes:
        text = words(raw)
        return json_text(text) if text else NOTHING

    return evaluate


def encoded_text(text: str) -> str:
    """Base64 of the text in UTF-8, as `Attachment.data` has it."""
    return base64.b64encode(text.encode()).decode()


@register("data")
def as_data(spec: Spec, env: Env) -> Evaluator:
    """Base64 of a text; with `join=` the texts, which are joined before they are encoded."""
    text = as_text(spec, env)
    if spec.has("join"):
        return text

    def evaluate(raw: str, *_: str) -> bytes:
        found = _formatted(env, raw)
        return json_text(encoded_text(found)) if found else NOTHING

    return evaluate


@register("note")
def as_note(spec: Spec, env: Env) -> Evaluator:
    """Annotation {text}, with `time=` and `author=` (as text)."""
    words = words_of(spec, env)
    plain = spec.type in ("FT", "TX", "ST", "")
    names = spec.path_arguments()
    make = moment(env, spec, whole=False)

    def evaluate(raw: str, *extra: str) -> bytes:
        text = _formatted(env, raw) if plain else words(raw)
        if not text:
            return NOTHING
        parts = []
        for name, value in zip(names, extra, strict=True):
            if name == "author" and (author := env.first(value)):
                parts.append(b'"authorString":' + json_text(author))
            if name == "time" and value:
                when = make(value)
                parts += [b'"time":' + json_text(when)] if when else []
        return b"{%b}" % b",".join((*parts, b'"text":' + json_text(text)))

    return evaluate


@register("uri", "url", "oid")
def as_uri(spec: Spec, env: Env) -> Evaluator:
    """URI text: that of an HD, an OID with its prefix, or the text itself."""

    def evaluate(raw: str, *_: str) -> bytes:
        if spec.type == "HD":
            found = universal_uri(*(env.text(part) for part in env.parts(raw, 3)[1:3]))
            return json_text(found) if found else NOTHING
        text = env.first(raw)
        if spec.transform == "oid" and text and not text.startswith("urn:"):
            text = f"urn:oid:{text}"
        return json_text(text) if text else NOTHING

    return evaluate


_TYPES = {
    "PDF": "application/pdf",
    "TEXT": "text/plain",
    "TXT": "text/plain",
    "RTF": "application/rtf",
    "XML": "application/xml",
}
_MAJOR = {
    "IM": "image",
    "IMAGE": "image",
    "AU": "audio",
    "AUDIO": "audio",
    "VIDEO": "video",
    "TEXT": "text",
    "TX": "text",
    "FT": "text",
}
_BINARY, _PLAIN = b"application/octet-stream", b"text/plain"
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def _content_type(major: str, minor: str) -> str:
    if minor.upper() in _TYPES:
        return _TYPES[minor.upper()]
    if "/" in minor:
        return minor.lower()
    if major.upper() in _MAJOR and minor:
        return f"{_MAJOR[major.upper()]}/{minor.lower()}"
    return f"application/{minor.lower()}" if major.upper() in ("AP", "APPLICATION") and minor else ""


def _data(spec: Spec, env: Env, encoding: str, raw: str) -> bytes:
    kind = encoding.upper()
    if kind == "BASE64":
        text = re.sub(r"\s|\\\.br\\|\\X0[AD]\\", "", raw)
        if len(text) % 4 == 0 and _BASE64.fullmatch(text):
            return text.encode()
    elif kind == "HEX":
        try:
            return base64.b64encode(binascii.unhexlify("".join(raw.split())))
        except (ValueError, binascii.Error):
            pass  # reported below, as any other data that cannot be decoded
    elif kind in ("A", ""):
        return base64.b64encode(_formatted(env, raw).encode())
    env.report(spec, "data-undecodable", f"the data is not what its encoding ({encoding or 'none'}) says")
    return NOTHING


@register("attachment", "ED", "RP")
def as_attachment(spec: Spec, env: Env) -> Evaluator:
    """Attachment {contentType, data} of an ED (its type alone when it is empty), {contentType, url} of an RP."""
    pointer = spec.type == "RP" or (spec.transform == "RP" and spec.type != "ED")
    title = env.constant(spec, "title")

    def evaluate(raw: str, *_: str) -> bytes:
        parts = env.parts(raw, 5)
        major, minor = (env.text(parts[at]) for at in ((2, 3) if pointer else (1, 2)))
        content = _content_type(major, minor)
        pairs = [b'"contentType":' + json_text(content)] if content else []
        if pointer:
            address = env.text(parts[0].split(env.subcomponent, 1)[0])
            if not address:
                return NOTHING
            pairs.append(b'"url":' + json_text(address))
        elif parts[4]:
            encoding = env.text(parts[3])
            data = _data(spec, env, encoding, parts[4])
            if not data:
                return NOTHING
            if not pairs:  # R4 (att-1) wants the type of data
                pairs.append(b'"contentType":"%b"' % (_BINARY if encoding else _PLAIN))
            pairs.append(b'"data":"%b"' % data)
        if not pairs:
            return NOTHING
        if title:
            pairs.append(b'"title":' + json_text(title))
        return b"{%b}" % b",".join(pairs)

    return evaluate


_PERIODS = frozenset({"s", "min", "h", "d", "wk", "mo", "a"})  # R4 units-of-time


def _pattern(spec: Spec, env: Env) -> Evaluator:
    """Timing {repeat.period, repeat.periodUnit, code} of an RPT (HL7 v2.9, 2A.2.66)."""
    code = codeable(structs.replace(spec, type="CWE"), env)

    def evaluate(raw: str, *_: str) -> bytes:
        parts = env.parts(raw, 6)
        number, unit = decimal_text(env.text(parts[4])), env.text(parts[5]).lower()
        said = code(parts[0].replace(env.subcomponent, env.component)) if parts[0] else b""
        pairs = []
        if number and unit in _PERIODS and not number.startswith("-"):
            pairs.append(b'"repeat":{"period":%b,"periodUnit":"%b"}' % (number.encode(), unit.encode()))
        if said:
            pairs.append(b'"code":' + said)
        return b"{%b}" % b",".join(pairs) if pairs else NOTHING

    return evaluate


@register("timing", "TQ", "RI", "RPT")
def as_timing(spec: Spec, env: Env) -> Evaluator:
    """Timing {repeat.boundsPeriod, code.text} of a TQ or an RI, that of an RPT with its period."""
    if spec.type == "RPT":
        return _pattern(spec, env)
    period = periods(env, spec)
    interval = spec.type == "RI"

    def evaluate(raw: str, *_: str) -> bytes:
        parts = env.parts(raw, 5)
        words = (parts[0], parts[1]) if interval else tuple((*parts[1].split(env.subcomponent), "")[:2])
        text = " ".join(word for word in (env.text(words[0]), env.text(words[1])) if word)
        start, end = ("", "") if interval else (parts[3], parts[4])
        bounds = period(start, end)
        pairs = [b'"repeat":{"boundsPeriod":%b}' % bounds] if bounds else []
        if text:
            pairs.append(b'"code":{"text":%b}' % json_text(text))
        return b"{%b}" % b",".join(pairs) if pairs else NOTHING

    return evaluate


_CODED = frozenset(["CWE", "CE", "CNE", "CF", "IS", "ID"])
_TIMES = frozenset(["DT", "DTM", "TS"])


@register("value")
def as_value(spec: Spec, env: Env) -> Evaluator:
    """Value[x] by the datatype that `type=` names (OBX-2): what is no number, time or code stays a string."""
    names = spec.path_arguments()
    at_type = names.index("type") if "type" in names else -1
    at_unit = names.index("unit") if "unit" in names else -1
    numeric, coded, moment_, clock = (
        as_quantity(spec, env),
        codeable(_without_map(spec), env),
        as_datetime(spec, env),
        as_time(spec, env),
    )
    text_ = as_text(spec, env)

    def plain(raw: str) -> Typed:
        return "String", text_(raw)

    def number(raw: str, unit: str) -> Typed:
        if not quantity_json(env.text(raw.split(env.component, 1)[0]), b""):
            return plain(raw)
        return "Quantity", numeric(raw, unit)

    def evaluate(raw: str, *extra: str) -> Typed:
        kind = extra[at_type] if at_type >= 0 else spec.type
        unit = extra[at_unit] if at_unit >= 0 else ""
        if kind == "NM":
            return ("Quantity", numeric(raw, unit)) if PLAIN_NUMBER(raw) else number(raw, unit)
        if kind == "CQ":
            return number(raw, unit)
        if kind == "SN":
            return structured(env, raw, _unit_of(numeric, unit)) or plain(" ".join(raw.split(env.component)).strip())
        if kind in _CODED:
            return "CodeableConcept", coded(raw)
        if kind in _TIMES:
            return "DateTime", moment_(raw)
        return ("Time", clock(raw)) if kind == "TM" else plain(raw)

    return evaluate


def _unit_of(numeric: Evaluator, unit: str) -> bytes:
    """The unit's part of a Quantity: what `numeric` adds to the number one."""
    made: bytes = numeric("1", unit)
    return made[len(b'{"value":1') : -1]


def _without_map(spec: Spec) -> Spec:
    """The map of a `value` row is that of its units; its coded values are kept as they are."""
    return Spec(spec.row_id, spec.owner, spec.location, "CWE", "CWE", element=spec.element, resource=spec.resource)

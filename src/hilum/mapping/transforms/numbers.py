"""NM, SN, SI, CQ, MO and CP: numbers whose text survives (`0.10` stays `0.10`, `1.0E2` stays `1.0E2`)."""

from __future__ import annotations

import re

from hilum.mapping.lookup import local_uri
from hilum.mapping.ordering import quantities_reversed
from hilum.mapping.transforms.frame import NOTHING, Env, Evaluator, Spec, Typed, json_text, register

__all__ = ["PLAIN_NUMBER", "decimal_text", "quantity_json", "structured"]

# Bounded: readers of JSON keep numbers of this size, and R4 asks for 18 digits. ASCII: other digits are no JSON.
PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,39})(?:\.\d{1,40})?(?:[eE][-+]?\d{1,2})?", re.ASCII).fullmatch
_LOOSE = re.compile(r"([-+]?)(\d{0,40})(?:\.(\d{0,40}))?([eE][-+]?\d{1,2})?", re.ASCII).fullmatch
_COMPARED = re.compile(r"(<=|>=|<|>)\s*(\S.*)").fullmatch
_UCUM = b"http://unitsofmeasure.org"
_LOCAL = local_uri("cs")


def decimal_text(text: str) -> str:
    """The JSON number that says the same digits; "" when it is no number. Only `+`, bare dots and leading zeros go."""
    if PLAIN_NUMBER(text):
        return text
    match = _LOOSE(text)
    if match is None or not (match[2] or match[3]):
        return ""
    whole = match[2].lstrip("0") or "0"
    fraction = f".{match[3]}" if match[3] else ""
    return f"{'-' if match[1] == '-' else ''}{whole}{fraction}{match[4] or ''}"


def _unit_json(spec: Spec, env: Env, raw: str) -> bytes:
    """`,"unit":..,"system":..,"code":..` of a unit's CWE; UCUM when the map or the coding system says so.

    A code of another system that is known (a tablet in SNOMED CT) keeps its system beside its words.
    """
    code, words, system = (env.text(part) for part in env.parts(raw, 3)[:3])
    shown = code or env.first(env.parts(raw, 2)[1])
    if not shown:
        return b""
    entry = env.mapped(spec.map, code) if spec.map and code else None
    if entry is not None and entry.target:
        uri = (entry.system or _UCUM.decode()).encode()
        return b',"unit":%b,"system":"%b","code":%b' % (json_text(entry.display or shown), uri, json_text(entry.target))
    if spec.map and entry is None and spec.unmapped in ("exception", "reject"):
        message = f"the unit `{code}` is not in the map {spec.map}"
        env.report(spec, "unit-unmapped", message, f"{spec.map}|{code}", hold=spec.unmapped == "reject", warn=True)
    named, known = env.codesystems.find(system) if system else ("", False)
    if named == _UCUM.decode():
        return b',"unit":%b,"system":"%b","code":%b' % (json_text(shown), _UCUM, json_text(code))
    if code and words and known and not named.startswith(_LOCAL):
        return b',"unit":%b,"system":%b,"code":%b' % (json_text(words), json_text(named), json_text(code))
    return b',"unit":' + json_text(shown)


class _Units:
    """Fragments of units, remembered: a laboratory uses few."""

    def __init__(self, spec: Spec, env: Env) -> None:
        self._spec, self._env = spec, env
        self.known: dict[str, bytes] = {"": b"", '""': b""}

    def get(self, raw: str) -> bytes:
        found = self.known.get(raw)
        if found is None:
            before = len(self._env.pending)
            found = _unit_json(self._spec, self._env, raw)
            if len(self._env.pending) == before and self._env.entries is None and len(self.known) < 4096:
                self.known[raw] = found
        return found


def quantity_json(text: str, unit: bytes) -> bytes:
    """Quantity of `98.2`, `>200` or `<= 0.5`; NOTHING when it is no number."""
    if PLAIN_NUMBER(text):
        return b'{"value":%b%b}' % (text.encode(), unit)
    compared = _COMPARED(text)
    number = decimal_text(compared[2] if compared else text)
    if not number:
        return NOTHING
    comparator = b',"comparator":"%b"' % compared[1].encode() if compared else b""
    return b'{"value":%b%b%b}' % (number.encode(), comparator, unit)


def structured(env: Env, raw: str, unit: bytes) -> Typed | None:
    """An SN: comparator^number^separator^number (HL7 v2.9 section 2A.2.71); None when FHIR has no such value."""
    comparator, first, separator, second = (env.text(part) for part in env.parts(raw, 4)[:4])
    comparator = "" if comparator == "=" else comparator
    low, high = decimal_text(first), decimal_text(second)
    if low and not separator and not second:
        found = quantity_json(f"{comparator}{low}", unit)
        return ("Quantity", found) if found else None
    if comparator or not low or not high:
        return None
    ends = quantity_json(low, unit), quantity_json(high, unit)
    if separator == "-" and quantities_reversed(*ends):
        return None
    if separator == "-":
        return "Range", b'{"low":%b,"high":%b}' % ends
    if separator in (":", "/"):
        return "Ratio", b'{"numerator":%b,"denominator":%b}' % (ends if separator == "/" else _plain(low, high))
    return None


def _plain(low: str, high: str) -> tuple[bytes, bytes]:
    return quantity_json(low, b""), quantity_json(high, b"")  # a titre 1:128 has no unit


def _not_numeric(spec: Spec, env: Env) -> bytes:
    env.report(spec, "value-not-numeric", "is not a number")
    return NOTHING


@register("quantity", "CQ")
def as_quantity(spec: Spec, env: Env) -> Evaluator:
    """Quantity from NM, SN, CQ or ST; the unit from `unit=` or from CQ.2."""
    units = _Units(spec, env)
    composite = spec.type == "CQ"
    ordered = spec.type == "SN"
    fixed = env.constant(spec, "unit")
    has_unit = "unit" in spec.path_arguments()
    known = units.known

    def evaluate(raw: str, *extra: str) -> bytes:
        unit_raw = extra[-1] if has_unit else fixed
        unit = known.get(unit_raw)
        if unit is None:
            unit = units.get(unit_raw)
        if PLAIN_NUMBER(raw):
            return b'{"value":%b%b}' % (raw.encode(), unit)
        if ordered:
            found = structured(env, raw, unit)
            return found[1] if found and found[0] == "Quantity" else _not_numeric(spec, env)
        if composite:
            parts = raw.split(env.component, 1)
            if len(parts) > 1 and not unit:
                unit = units.get(parts[1].replace(env.subcomponent, env.component))
        text = env.first(raw)
        if not text:
            return NOTHING
        if spec.simple and text[0] in "<>" and quantity_json(text, unit):
            env.report(spec, "comparator-forbidden", "is more or less than a number, which R4 cannot say here")
            return NOTHING
        return quantity_json(text, unit) or _not_numeric(spec, env)

    return evaluate


@register("SN")
def as_structured(spec: Spec, env: Env) -> Evaluator:
    """Quantity, Range or Ratio of an SN, else its text as string: for a target `value[x]`."""
    units = _Units(spec, env)
    has_unit = "unit" in spec.path_arguments()

    def evaluate(raw: str, *extra: str) -> Typed:
        found = structured(env, raw, units.get(extra[-1]) if has_unit else b"")
        if found is None:
            text = " ".join(text for text in map(env.text, raw.split(env.component)) if text)
            return "String", json_text(text) if text else NOTHING
        return found

    return evaluate


_SPAN = re.compile(r"([-+]?[0-9.]+)\s*(-|:|/)\s*([-+]?[0-9.]+)", re.ASCII).fullmatch


def _structured_as(wanted: str, spec: Spec, env: Env) -> Evaluator:
    """A Range or a Ratio: of an SN, an NR (HL7 v2.9, 2A.2.50) or a text such as `1-5` and `1:128`."""
    units = _Units(spec, env)
    has_unit = "unit" in spec.path_arguments()
    sign = "-" if wanted == "Range" else ":"

    def evaluate(raw: str, *extra: str) -> bytes:
        if spec.type == "NR" and wanted == "Range":
            low, high = env.parts(raw, 2)[:2]
            raw = env.component.join(("", low, sign, high))
        elif env.component not in raw:
            match = _SPAN(env.text(raw))
            raw = env.component.join(("", *match.groups())) if match else raw
        found = structured(env, raw, units.get(extra[-1]) if has_unit else b"")
        if found is not None and found[0] == wanted:
            return found[1]
        return _not_numeric(spec, env) if env.text(raw) else NOTHING

    return evaluate


@register("Range")
def as_range(spec: Spec, env: Env) -> Evaluator:
    """Range {low, high}."""
    return _structured_as("Range", spec, env)


@register("Ratio")
def as_ratio(spec: Spec, env: Env) -> Evaluator:
    """Ratio {numerator, denominator}."""
    return _structured_as("Ratio", spec, env)


@register("decimal", "NM")
def as_decimal(spec: Spec, env: Env) -> Evaluator:
    """A number, digits as written."""

    def evaluate(raw: str, *_: str) -> bytes:
        text = env.first(raw)
        return decimal_text(text).encode() or (_not_numeric(spec, env) if text else NOTHING)

    return evaluate


@register("integer", "SI")
def as_integer(spec: Spec, env: Env) -> Evaluator:
    """A whole number of 32 bits, as R4 has them."""

    def evaluate(raw: str, *_: str) -> bytes:
        text = env.first(raw)
        number = decimal_text(text)
        if not re.fullmatch(r"-?\d+", number) or not -(2**31) <= int(number) < 2**31:
            return _not_numeric(spec, env) if text else NOTHING
        return number.encode()

    return evaluate


@register("MO", "CP")
def as_money(spec: Spec, env: Env) -> Evaluator:
    """Money {value, currency} of an MO, or of the MO inside a CP."""
    nested = spec.type == "CP"

    def evaluate(raw: str, *_: str) -> bytes:
        inner = raw.split(env.component, 1)[0].split(env.subcomponent) if nested else raw.split(env.component)
        amount, currency = env.text(inner[0]), env.text(inner[1]) if len(inner) > 1 else ""
        number = decimal_text(amount)
        if not number:
            return _not_numeric(spec, env) if amount else NOTHING
        tail = b',"currency":' + json_text(currency) if currency else b""
        return b'{"value":%b%b}' % (number.encode(), tail)

    return evaluate


_NUMBER = r"([-+]?\d{0,20}\.?\d{1,20})"
_RANGE = re.compile(rf"\[?\s*{_NUMBER}\s*(?:-|to|–)\s*{_NUMBER}\s*\]?", re.IGNORECASE | re.ASCII)
_BOUND = re.compile(rf"\[?\s*(<=|>=|<|>)\s*{_NUMBER}\s*\]?", re.ASCII)


@register("range")
def as_reference_range(spec: Spec, env: Env) -> Evaluator:
    """ReferenceRange {low, high, text} of `3.5-5.0`, `<200`, `>=10`; other words stay text."""
    units = _Units(spec, env)
    has_unit = "unit" in spec.path_arguments()

    def evaluate(raw: str, *extra: str) -> bytes:
        text = env.text(raw) if env.component not in raw else env.first(raw)
        if not text:
            return NOTHING
        unit = units.get(extra[-1]) if has_unit else b""
        words = b'"text":' + json_text(text)
        both, bound = _RANGE.fullmatch(text), _BOUND.fullmatch(text)
        if both:
            ends = quantity_json(decimal_text(both[1]), unit), quantity_json(decimal_text(both[2]), unit)
            return b"{%b}" % words if quantities_reversed(*ends) else b'{"low":%b,"high":%b,%b}' % (*ends, words)
        if bound:
            name = b"high" if bound[1].startswith("<") else b"low"
            return b'{"%b":%b,%b}' % (name, quantity_json(decimal_text(bound[2]), unit), words)
        return b"{%b}" % words

    return evaluate

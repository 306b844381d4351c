"""Elements of FHIR as they are: for rows from FHIR to FHIR."""

from __future__ import annotations

import re

import msgspec

from hilum.mapping.transforms.frame import NOTHING, Env, Evaluator, Spec, json_text, register

__all__: list[str] = []

# https://hl7.org/fhir/R4/datatypes.html#primitive: those whose JSON is no text
_NUMBERS = frozenset({"integer", "decimal", "positiveInt", "unsignedInt"})
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@register("copy")
def as_it_is(spec: Spec, env: Env) -> Evaluator:
    """The same JSON. `spec.type` is the R4 type of the source, which the row's path says."""
    type_ = spec.type

    def evaluate(raw: str, *_: str) -> bytes:
        text = env.unescape(raw)
        found = _primitive(type_, text) if type_[:1].islower() else _members(text)
        if not found:
            env.report(spec, "element-invalid", f"this is no {type_} of FHIR")
        return found

    return evaluate


def _primitive(type_: str, text: str) -> bytes:
    if type_ == "boolean":
        return text.encode() if text in ("true", "false") else NOTHING
    if type_ in _NUMBERS:
        return text.encode() if _NUMBER.fullmatch(text) else NOTHING
    return json_text(text)


def _members(text: str) -> bytes:
    try:
        _decode(text)
    except msgspec.DecodeError:
        return NOTHING
    return text.encode()

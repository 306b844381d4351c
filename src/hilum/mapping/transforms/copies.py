"""Elements of FHIR as they are: for rows from FHIR to FHIR."""

from __future__ import annotations

import re

import msgspec

from hilum.mapping.transforms.frame import NOTHING, Env, Evaluator, Spec, json_text, register

__all__: list[str] = []

# https://hl7.org/fhir/R4/datatypes.html#primitive: those whose JSON is no text
_NUMBERS = {
    "decimal": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?",
    "integer": r"-?(0|[1-9][0-9]*)",
    "positiveInt": r"[1-9][0-9]*",
    "unsignedInt": r"0|[1-9][0-9]*",
}
# The same page: those whose texts have a form of their own.
_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_MOMENT = rf"{_DATE}T{_TIME}(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])"
_SHORT = rf"[0-9]{{4}}(-(0[1-9]|1[0-2]))?|{_DATE}"
_TEXTS = {
    "code": r"\S+(\s\S+)*",
    "date": _SHORT,
    "dateTime": rf"{_SHORT}|{_MOMENT}",
    "id": r"[A-Za-z0-9.-]{1,64}",
    "instant": _MOMENT,
    "time": _TIME,
    **dict.fromkeys(("uri", "url", "canonical", "oid", "uuid"), r"\S+"),
}
_FORMS = {name: re.compile(form, re.ASCII).fullmatch for name, form in (_NUMBERS | _TEXTS).items()}
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
    form = _FORMS.get(type_)
    if form is not None and not form(text):
        return NOTHING
    return text.encode() if type_ in _NUMBERS else json_text(text)


def _members(text: str) -> bytes:
    try:
        _decode(text)
    except msgspec.DecodeError:
        return NOTHING
    return text.encode()

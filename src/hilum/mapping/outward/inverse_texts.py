"""Strings, notes, attachments, references without a resource, and value[x] with its OBX-2."""

from __future__ import annotations

import base64

from hilum.mapping.outward.frame import Inverted, Out, Parts, inverts, one
from hilum.mapping.outward.inverse_codes import concept_parts
from hilum.mapping.outward.inverse_numbers import structured
from hilum.mapping.outward.inverse_times import dtm
from hilum.mapping.outward.resources import View
from hilum.mapping.transforms.frame import Spec

__all__ = ["words_parts"]


def words_parts(text: str, type_: str) -> Parts:
    """Where the words of a datatype stand: the family name of a person, the text of a code, the description of a PL."""
    if type_ in ("XCN", "CNN", "CWE", "CE", "CNE", "CF"):
        return {(2, 1): text}
    return {(9, 1): text} if type_ == "PL" else {(1, 1): text}


@inverts("text", "ST", "TX", "FT")
def string(view: View, spec: Spec, out: Out) -> Inverted | None:
    """The text; where the row joins repetitions, one repetition for each part."""
    text = view.text()
    if not text:
        return None
    separator = out.constant(spec, "join")
    if separator:
        return Inverted([words_parts(part, spec.type) for part in text.split(separator)])
    return Inverted([words_parts(text, spec.type)])


@inverts("note")
def note(view: View, spec: Spec, _out: Out) -> Inverted | None:
    """The text of an Annotation; its time and author in the fields of `time=` and `author=`."""
    text = view.text("text")
    if not text:
        return None
    names, extra = spec.path_arguments(), {}
    if "time" in names and view.peek("time"):
        extra["time"] = {(1, 1): dtm(view.text("time"))}
    if "author" in names and view.peek("authorString"):
        extra["author"] = {(1, 1): view.text("authorString")}
    return Inverted([words_parts(text, spec.type)], extra)


@inverts("display", "location")
def display(view: View, spec: Spec, _out: Out) -> Inverted | None:
    """The words of a Reference that names no resource."""
    text = "" if view.peek("reference") else view.text("display")
    return Inverted([words_parts(text, spec.type)]) if text else None


@inverts("uri", "url", "oid")
def uri(view: View, spec: Spec, out: Out) -> Inverted | None:
    """An HD, an OID without its prefix, or the text itself."""
    text = view.text()
    if spec.type == "HD":
        _, universal, kind = out.authorities.find(text)
        return Inverted([{(2, 1): universal, (3, 1): kind}]) if universal else None
    return one(text.removeprefix("urn:oid:") if spec.transform == "oid" else text)


_MAJOR = {"application": "AP", "image": "IM", "audio": "AU", "text": "TEXT", "video": "VIDEO"}  # HL7 table 0191


@inverts("attachment", "ED", "RP")
def attachment(view: View, _spec: Spec, _out: Out) -> Inverted | None:
    """An ED with its data in base64, or an RP with its address; `type` says which (for OBX-2)."""
    major, _, minor = view.text("contentType").partition("/")
    kind = _MAJOR.get(major, "")
    view.text("title")
    data, address = view.text("data"), view.text("url")
    if data:
        parts: Parts = {(2, 1): kind, (3, 1): minor.upper(), (4, 1): "Base64", (5, 1): data}
        return Inverted([parts], {"type": {(1, 1): "ED"}})
    if address:
        return Inverted([{(1, 1): address, (3, 1): kind, (4, 1): minor.upper()}], {"type": {(1, 1): "RP"}})
    return None


@inverts("data")
def data(view: View, spec: Spec, out: Out) -> Inverted | None:
    """The lines of a text in base64, one repetition each; None for data that is no UTF-8 text."""
    try:
        text = base64.b64decode(view.peek(), validate=True).decode()
    except (ValueError, UnicodeDecodeError):
        return None
    view.text()
    return Inverted([{(1, 1): line} for line in text.split(out.constant(spec, "join") or "\n")])


@inverts("value")
def value(view: View, spec: Spec, out: Out) -> Inverted | None:
    """OBX-5 with the datatype in the field of `type=` (OBX-2) and the unit in that of `unit=`.

    A number with a comparator, a range and a ratio are SN. None for a value that OBX-5 has no form for.
    """
    kind = view.path.rpartition("value")[2]
    if kind in ("Quantity", "Range", "Ratio"):
        return _measured(view, kind, spec, out)
    if kind == "CodeableConcept":
        bare = Spec(spec.row_id, spec.owner, spec.location, "CWE", "CWE")
        parts = concept_parts(view, bare, out)
        return _typed("CWE", parts) if any(parts.values()) else None
    if kind in ("String", "Integer", "Boolean"):
        return _typed({"String": "ST", "Integer": "NM"}.get(kind, "ID"), {(1, 1): _plain(view, kind)})
    if kind == "DateTime":
        return _typed("DTM" if "T" in view.peek() else "DT", {(1, 1): dtm(view.text())})
    if kind == "Time":
        return _typed("TM", {(1, 1): view.text().replace(":", "")})
    if kind == "Period":
        return _typed("DR", {(1, 1): dtm(view.text("start")), (2, 1): dtm(view.text("end"))})
    return None


def _plain(view: View, kind: str) -> str:
    text = view.text()
    return text if kind != "Boolean" else "Y" if text == "true" else "N"


def _typed(type_: str, parts: Parts) -> Inverted:
    return Inverted([parts], {"type": {(1, 1): type_}})


def _measured(view: View, kind: str, spec: Spec, out: Out) -> Inverted | None:
    parts, unit = structured(view, kind, spec, out)
    if not any(parts.values()):
        return None
    plain = kind == "Quantity" and not parts.get((1, 1))
    found = _typed("NM", {(1, 1): parts[2, 1]}) if plain else _typed("SN", parts)
    if unit:
        found.extra["unit"] = unit
    return found

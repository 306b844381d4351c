"""Identifier as CX, EI, EIP, XON, XCN, CNN, PL, DLN and plain text. Its system becomes the assigning authority."""

from __future__ import annotations

from urllib.parse import unquote

from hilum.mapping.lookup import local_uri
from hilum.mapping.outward.frame import Inverted, Out, Parts, inverts, one
from hilum.mapping.outward.inverse_times import dtm
from hilum.mapping.outward.resources import View
from hilum.mapping.transforms.frame import Spec
from hilum.mapping.transforms.identifiers import _FIPS, _LICENCE

__all__: list[str] = []

_TYPE_SYSTEM = "http://terminology.hl7.org/CodeSystem/v2-0203"
_STATES = {_LICENCE + number: state for state, number in _FIPS.items()}


def _hd(parts: Parts, authority: tuple[str, str, str], component: int) -> None:
    """An HD inside a component."""
    for sub, text in enumerate(authority, 1):
        parts[component, sub] = text


def _type(view: View, spec: Spec, out: Out) -> str:
    """The identifier type code (table 0203), by the row's map; a type known as text is that text."""
    type_ = view.get("type")
    if type_ is None:
        return ""
    text = type_.text("text")
    for coding in type_.items("coding"):
        code, system = coding.text("code"), coding.text("system")
        coding.text("display")
        if code and spec.map and out.codes.knows(spec.map, code, system):
            return out.code(spec, code, system)
        if code and system in (_TYPE_SYSTEM, ""):
            return code
    return text


def _checks(view: View) -> tuple[str, str]:
    """Check digit and its scheme."""
    found = {"identifier-checkDigit": "", "namingsystem-checkDigit": ""}
    for item in view.items("extension"):
        name = item.peek("url").rpartition("/")[2]
        if name in found:
            item.text("url")
            found[name] = item.text("valueString")
    return found["identifier-checkDigit"], found["namingsystem-checkDigit"]


@inverts("CX", "XON_ID", "XCN_ID", "EI", "EIP")
def identifier(view: View, spec: Spec, out: Out) -> Inverted | None:
    """The identifier's components of the datatype that the row names. None without a value or an authority."""
    value = view.text("value")
    if not value:
        return None
    authority = out.authority(spec, view.text("system"))
    if not any(authority):
        return None
    kind, parts = spec.transform.removesuffix("_ID"), Parts()
    type_ = _type(view, spec, out)
    if kind in ("EI", "EIP"):
        part = int(out.constant(spec, "part") or 1)
        places = [(part, sub) for sub in (1, 2, 3, 4)] if kind == "EIP" else [(at, 1) for at in (1, 2, 3, 4)]
        return Inverted([dict(zip(places, (value, *authority), strict=True))])
    if kind == "XON":
        parts[10, 1], parts[7, 1] = value, type_
        _hd(parts, authority, 6)
    elif spec.type == "CNN":
        parts = {(1, 1): value, (9, 1): authority[0], (10, 1): authority[1], (11, 1): authority[2]}
    elif kind == "XCN":
        parts[1, 1], parts[13, 1] = value, type_
        parts[11, 1], parts[12, 1] = _checks(view)
        _hd(parts, authority, 9)
    else:
        parts[1, 1], parts[5, 1] = value, type_
        parts[2, 1], parts[3, 1] = _checks(view)
        _hd(parts, authority, 4)
        period = view.get("period")
        if period is not None:
            parts[7, 1], parts[8, 1] = dtm(period.text("start"))[:8], dtm(period.text("end"))[:8]
    return Inverted([parts])


@inverts("DLN")
def licence(view: View, _spec: Spec, _out: Out) -> Inverted | None:
    """A driver's licence number with the state whose OID its system is; None for any other system."""
    state = _STATES.get(view.peek("system"))
    if state is None:
        return None
    view.take()
    return Inverted([{(1, 1): view.text("value"), (2, 1): state, (3, 1): dtm(view.text("period", "end"))}])


@inverts("identifier")
def plain_identifier(view: View, spec: Spec, out: Out) -> Inverted | None:
    """The value; its system and type are what the row says."""
    if view.peek("system") != out.constant(spec, "system"):
        return None
    view.take()
    return one(view.text("value"))


@inverts("HD")
def universal(view: View, spec: Spec, out: Out) -> Inverted | None:
    """The universal id of an HD and its type. None for what is no OID, UUID or URI."""
    if view.peek("system") != "urn:ietf:rfc:3986":
        return None
    view.take()
    _, text, type_ = out.authority(spec, view.text("value"))
    return Inverted([{(2, 1): text, (3, 1): type_}]) if text else None


_PLACE = local_uri("pl") + ":"


@inverts("PL_ID")
def place(view: View, spec: Spec, out: Out) -> Inverted | None:
    """A PL from the key that was made of one: point of care, room, bed, building and floor.

    The facility is written where it is not the one that sends. A place that others numbered keeps its number in PL.10.
    """
    system, value = view.text("system"), view.text("value")
    if not system.startswith(_PLACE):
        authority = out.authority(spec, system)
        if not value or not any(authority):
            return None
        parts: Parts = {(10, 1): value}
        _hd(parts, authority, 11)
        return Inverted([parts])
    facility = unquote(system.removeprefix(_PLACE))
    texts = value.split("|")
    if len(texts) == 1 and value == facility:
        return Inverted([{(4, 1): facility}])
    parts = {(at, 1): text for at, text in zip((1, 2, 3, 7, 8), texts, strict=False)}
    if facility != out.receiver.sending_facility:
        parts[4, 1] = facility
    return Inverted([parts])

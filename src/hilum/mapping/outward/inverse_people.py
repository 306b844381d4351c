"""HumanName as XPN, XCN and CNN; Address as XAD; ContactPoint as XTN."""

from __future__ import annotations

import re

from hilum.mapping.outward.frame import Inverted, Out, Parts, inverts
from hilum.mapping.outward.inverse_times import dtm
from hilum.mapping.outward.resources import View
from hilum.mapping.transforms.frame import Spec

__all__: list[str] = []

# FHIR use to HL7 tables 0200, 0190 and 0201, where the row names no map.
_NAME_TYPES = {"official": "L", "usual": "D", "maiden": "M", "nickname": "N", "anonymous": "S", "temp": "TEMP"}
_ADDRESS_TYPES = {"home": "H", "work": "B", "temp": "C", "old": "BA", "billing": "BI"}


def _use(view: View, spec: Spec, out: Out, table: dict[str, str]) -> str:
    """The v2 code of `use`; "" (and an item) when there is none."""
    use = view.text("use")
    if not use:
        return ""
    return out.code(spec, use) if spec.map else table.get(use, "")


_EXTENSION = "http://hl7.org/fhir/StructureDefinition/"
_SURNAMES = ("own-prefix", "own-name", "partner-prefix", "partner-name")  # FN.2 to FN.5


def _extension(view: View | None, name: str, value: str = "valueString") -> str:
    """The text of an extension by its short name."""
    for item in view.items("extension") if view is not None else []:
        if item.peek("url") == _EXTENSION + name:
            item.text("url")
            return item.text(value)
    return ""


def _period(view: View, start: int, end: int) -> Parts:
    period = view.get("period")
    if period is None:
        return {}
    return {(start, 1): dtm(period.text("start")), (end, 1): dtm(period.text("end"))}


@inverts("XPN", "XCN", "CNN")
def human_name(view: View, spec: Spec, out: Out) -> Inverted | None:
    """The name components of an XPN, or (one later) of an XCN or CNN. A name known as text only is a family name."""
    person = spec.type in ("XCN", "CNN") or (spec.transform in ("XCN", "CNN") and spec.type != "XPN")
    at = 1 if person else 0
    given = [item.text() for item in view.items("given")]
    suffixes = [item.text() for item in view.items("suffix")]
    text = view.text("text")
    parts: Parts = {
        (at + 1, 1): view.text("family") or ("" if given else text),
        (at + 2, 1): given[0] if given else "",
        (at + 3, 1): " ".join(given[1:]),
        (at + 4, 1): suffixes[0] if suffixes else "",
        (at + 5, 1): " ".join(item.text() for item in view.items("prefix")),
        (at + 6, 1): suffixes[1] if len(suffixes) > 1 else "",
    }
    if not any(parts.values()):
        return None
    for sub, name in enumerate(_SURNAMES, 2):
        parts[at + 1, sub] = _extension(view.get("_family"), f"humanname-{name}")
    parts[(10 if person else 7), 1] = _use(view, spec, out, _NAME_TYPES)
    parts[(18 if person else 11), 1] = _extension(view, "humanname-assembly-order", "valueCode")
    parts[(21 if person else 14), 1] = " ".join(suffixes[2:])
    return Inverted([parts | (_period(view, 19, 20) if person else _period(view, 12, 13))])


@inverts("XAD", "SAD")
def address(view: View, spec: Spec, out: Out) -> Inverted | None:
    """An XAD. Lines after the second stand in its second component; an address known as text only in its first."""
    lines = [item.text() for item in view.items("line")]
    parts: Parts = {
        (1, 1): lines[0] if lines else "",
        (2, 1): ", ".join(lines[1:]),
        (3, 1): view.text("city"),
        (4, 1): view.text("state"),
        (5, 1): view.text("postalCode"),
        (6, 1): view.text("country"),
        (9, 1): view.text("district"),
    }
    text = view.text("text")
    if not any(parts.values()):
        parts[1, 1] = text
    if not any(parts.values()):
        return None
    code = _use(view, spec, out, _ADDRESS_TYPES)
    if not code and view.peek("type") == "postal":
        code = "M"
    if code == "M" or view.peek("type") != "postal":
        view.text("type")
    parts[7, 1], parts[10, 1] = code, _extension(view, "iso21090-ADXP-censusTract")
    return Inverted([parts | _period(view, 13, 14)])


_EQUIPMENT = {"phone": "PH", "fax": "FX", "pager": "BP", "email": "Internet"}
_CODES = {"home": "PRN", "work": "WPN", "temp": "VHN"}
_NUMBER = re.compile(r"\+(\d{1,3}) (\d{1,5}) ([\d-]{4,})(?: ext\. (\w+))?")


@inverts("XTN")
def contact_point(view: View, spec: Spec, out: Out) -> Inverted | None:
    """An XTN: the number as text (.1), and its parts (.5 to .8) where they are known or it is written `+1 555 5550100`.

    None for what an XTN cannot say: a system other than phone, fax, pager and e-mail, and the use `old`, as a number
    that is no longer in use would be taken for one that is.
    """
    system, use = view.peek("system") or "phone", view.peek("use")
    value = view.peek("value")
    if system not in _EQUIPMENT or use == "old" or not value:
        return None
    for name in ("system", "use", "value"):
        view.text(name)
    kind = "" if use == "mobile" else _CODES.get(use, "")
    more: Parts = {(9, 1): _extension(view, "contactpoint-comment"), (18, 1): view.text("rank")} | _period(view, 13, 14)
    if system == "email":
        stated = use == out.constant(spec, "use") or not kind
        return Inverted([{(2, 1): "NET" if stated else kind, (3, 1): "Internet", (4, 1): value} | more])
    parts: Parts = more | {(1, 1): value, (2, 1): kind or ("PRN" if use else ""), (3, 1): _EQUIPMENT[system]}
    if use == "mobile" and system == "phone":
        parts[3, 1] = "CP"
    return Inverted([parts | _number_parts(view, value)])


_NUMBER_PARTS = {5: "country", 6: "area", 7: "local", 8: "extension"}


def _number_parts(view: View, value: str) -> Parts:
    """XTN.5 to .8 as extensions say them, with the number as it is dialled in .12; else read from the number itself."""
    stated = {(at, 1): _extension(view, f"contactpoint-{name}") for at, name in _NUMBER_PARTS.items()}
    if any(stated.values()):
        return stated | {(12, 1): value}
    found = _NUMBER.fullmatch(value)
    return {(at, 1): found[at - 4] or "" for at in (5, 6, 7, 8)} if found else {}

"""Quantity, Range, Ratio, Money and numbers as NM, SN, CQ, MO and CP: digits as they are."""

from __future__ import annotations

from hilum.mapping.outward.frame import Inverted, Out, Parts, inverts, one
from hilum.mapping.outward.resources import View
from hilum.mapping.transforms.frame import Spec

__all__ = ["quantity_parts", "structured", "unit_parts"]

_UCUM = "http://unitsofmeasure.org"


def unit_parts(view: View, spec: Spec, out: Out) -> Parts:
    """The CWE of a quantity's unit; a UCUM code stands beside the unit's own text where the two differ."""
    unit, system, code = view.text("unit"), view.text("system"), view.text("code")
    if not code:
        return {(1, 1): unit} if unit else {}
    name = out.systems.find(system)
    if not unit or unit == code:
        return {(1, 1): code, (3, 1): name}
    entry = out.codes.forward(spec.map, unit) if spec.map else None
    if entry is not None and entry.target == code:
        return {(1, 1): unit, (4, 1): code, (6, 1): name}
    return {(1, 1): code, (2, 1): unit, (3, 1): name}


def quantity_parts(view: View, spec: Spec, out: Out) -> tuple[str, str, Parts]:
    """(comparator, number, unit) of a Quantity."""
    return view.text("comparator"), view.text("value"), unit_parts(view, spec, out)


@inverts("quantity", "CQ")
def quantity(view: View, spec: Spec, out: Out) -> Inverted | None:
    """The number (after its comparator), its unit in the field of `unit=`, or in CQ.2."""
    comparator, number, unit = quantity_parts(view, spec, out)
    if not number:
        return None
    if spec.type == "SN":
        return Inverted([{(1, 1): comparator, (2, 1): number}], {"unit": unit} if unit else {})
    if spec.type == "CQ":
        return Inverted([{(1, 1): comparator + number, **{(2, at): text for (at, _), text in unit.items()}}])
    return one(comparator + number, {"unit": unit} if unit and "unit" in spec.path_arguments() else {})


def structured(view: View, kind: str, spec: Spec, out: Out) -> tuple[Parts, Parts]:
    """An SN and its unit: comparator^number^separator^number (HL7 v2.9, section 2A.2.71)."""
    if kind == "Quantity":
        comparator, number, unit = quantity_parts(view, spec, out)
        return {(1, 1): comparator, (2, 1): number}, unit
    names, separator = (("low", "high"), "-") if kind == "Range" else (("numerator", "denominator"), ":")
    texts, unit = [], Parts()
    for name in names:
        inner = view.get(name)
        texts.append(inner.text("value") if inner is not None else "")
        unit = unit_parts(inner, spec, out) or unit if inner is not None else unit
    if kind == "Ratio" and unit:
        separator = "/"
    if not all(texts):
        return {}, {}
    return {(2, 1): texts[0], (3, 1): separator, (4, 1): texts[1]}, unit


@inverts("SN")
def structured_number(view: View, spec: Spec, out: Out) -> Inverted | None:
    """An SN; a text that it once was is left to the rows for texts."""
    kind = view.path.rpartition("value")[2]
    if kind not in ("Quantity", "Range", "Ratio"):
        return None
    parts, unit = structured(view, kind, spec, out)
    return Inverted([parts], {"unit": unit} if unit else {}) if parts else None


@inverts("decimal", "NM", "integer", "SI")
def number(view: View, _spec: Spec, _out: Out) -> Inverted | None:
    """The digits."""
    return one(view.text())


@inverts("minutes")
def minutes(view: View, spec: Spec, _out: Out) -> Inverted | None:
    """Minutes, and `MIN` in the field of `unit=`."""
    text = view.text()
    return one(text, {"unit": {(1, 1): "MIN"}} if text and "unit" in spec.path_arguments() else {})


@inverts("MO", "CP")
def money(view: View, spec: Spec, _out: Out) -> Inverted | None:
    """An MO, or a CP with one."""
    value, currency = view.text("value"), view.text("currency")
    if not value:
        return None
    if spec.type == "CP":
        return Inverted([{(1, 1): value, (1, 2): currency}])
    return Inverted([{(1, 1): value, (2, 1): currency}])


@inverts("range")
def reference_range(view: View, spec: Spec, out: Out) -> Inverted | None:
    """The text of a reference range, or `low-high`, `>=low`, `<=high` where it has none."""
    text = view.text("text")
    ends = []
    unit = Parts()
    for name in ("low", "high"):
        inner = view.get(name)
        ends.append(inner.text("value") if inner is not None else "")
        unit = unit_parts(inner, spec, out) or unit if inner is not None else unit
    low, high = ends
    if not text and low and high:
        text = f"{low}-{high}"
    text = text or (f">={low}" if low else f"<={high}" if high else "")
    return one(text, {"unit": unit} if unit and "unit" in spec.path_arguments() else {})

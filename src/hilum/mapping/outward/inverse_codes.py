"""CodeableConcept, Coding, code and boolean as CWE, CE, IS and ID; code maps read backwards.

A code that the sender wrote, kept beside the mapped one, goes out as it came. A mapped code without it goes out as the
v2 code of the map. A code that no map knows keeps its own system in CWE, and is refused where v2 wants a code of its
table (`unmapped` of the row: `exception`, `reject`, or a transform `code`).
"""

from __future__ import annotations

from msgspec import Struct

from hilum.mapping.outward.frame import INVERTIBLE_CODES, Inverted, Out, Parts, inverts, one
from hilum.mapping.outward.resources import View
from hilum.mapping.syntax import Word
from hilum.mapping.transforms.frame import Spec

__all__ = ["concept_parts"]

_SIMPLE = frozenset({"IS", "ID", "ST", "JCC", ""})


class Triple(Struct):
    """One coding as CWE writes it."""

    code: str
    text: str = ""
    system: str = ""
    version: str = ""
    by_map: bool = False  # the code that a map gives back, and no coding of the sender


def _own(coding: View, out: Out) -> Triple:
    return Triple(
        coding.text("code"), coding.text("display"), out.systems.find(coding.text("system")), coding.text("version")
    )


def _triples(codings: list[View], spec: Spec, out: Out) -> list[Triple] | None:
    """At most three codings for one CWE; None when one of them must not be sent."""
    mapped = [
        coding
        for coding in codings
        if spec.map and out.codes.knows(spec.map, coding.peek("code"), coding.peek("system"))
    ]
    found: list[Triple] = []
    for coding in codings:
        if coding in mapped:
            continue
        entry = out.codes.forward(spec.map, coding.peek("code")) if spec.map else None
        if entry is not None and any(entry.target == other.peek("code") for other in mapped):
            found.insert(0, _own(coding, out))  # what the sender wrote, and the mapped code says again
            for other in mapped:
                other.take()
            mapped = []
        else:
            found.append(_own(coding, out))
    for coding in mapped:
        target, system = coding.peek("code"), coding.peek("system")
        code = out.code(spec, target, system, quiet=spec.unmapped not in INVERTIBLE_CODES)
        if code:
            found.insert(0, Triple(code, "", out.systems.find(system) if code == target else "", by_map=True))
            coding.take()
    if not found and codings and spec.unmapped in INVERTIBLE_CODES:
        if not mapped:
            out.code(spec, codings[0].peek("code"))
        return None
    return found[:3]


def concept_parts(view: View, spec: Spec, out: Out) -> Parts:
    """The components of a CodeableConcept: CWE.1 to .8 and .10 to .13 for three codings, .2 or .9 for its text."""
    triples = _triples(view.items("coding"), spec, out)
    if triples is None:
        return {}
    words = view.text("text")
    parts: Parts = {}
    for triple, at in zip(triples, (1, 4, 10), strict=False):
        parts |= {(at, 1): triple.code, (at + 1, 1): triple.text, (at + 2, 1): triple.system}
    for triple, at in zip(triples, (7, 8, 13), strict=False):
        parts[at, 1] = triple.version
    return _with_words(parts, triples, words)


def _with_words(parts: Parts, triples: list[Triple], words: str) -> Parts:
    shows = next((triple.text for triple in triples if triple.text), "")
    if not words and len(triples) == 1 and triples[0].by_map:
        parts.pop((3, 1), "")  # a bare code: the field has its own table
    if not words or words == shows:
        return parts
    if not triples or triples[0].by_map:
        parts[2, 1] = words
    else:
        parts[9, 1] = words
    return parts


@inverts("CWE", "CE", "CNE", "CF", "IS", "ID", "JCC", "CodeableConcept")
def codeable(view: View, spec: Spec, out: Out) -> Inverted | None:
    """A CWE; the code alone for IS, ID and ST. `system=` and `text=` of the row get the first system and the words."""
    if spec.args == (Word("text"),):
        return one(view.text("text"))
    if spec.type in _SIMPLE:
        parts = concept_parts(view, spec, out)
        return one(parts.get((1, 1), "") or parts.get((2, 1), ""))
    parts = concept_parts(view, spec, out)
    extra: dict[str, Parts] = {}
    names = spec.path_arguments()
    if "text" in names and parts.get((9, 1)):
        extra["text"] = {(1, 1): parts.pop((9, 1))}
    if "system" in names and parts.get((3, 1)):
        extra["system"] = {(1, 1): parts[3, 1]}
    return Inverted([parts], extra) if any(parts.values()) else None


@inverts("coding", "Coding")
def coding(view: View, spec: Spec, out: Out) -> Inverted | None:
    """The one coding of a CWE."""
    triples = _triples([view], spec, out)
    if not triples:
        return None
    first = triples[0]
    if spec.type in _SIMPLE:
        return one(first.code)
    system = "" if first.by_map else first.system
    return Inverted([{(1, 1): first.code, (2, 1): first.text, (3, 1): system}])


@inverts("code")
def plain_code(view: View, spec: Spec, out: Out) -> Inverted | None:
    """The v2 code of the map, or with `code(raw)` the code itself."""
    text = view.text()
    if spec.unmapped == f"fixed:{text}" and not out.codes.knows(spec.map, text):
        view.commit()  # what stands for "not said" is not said
        return None
    return one(out.code(spec, text) if spec.map and text else text)


@inverts("boolean")
def boolean(view: View, _spec: Spec, _out: Out) -> Inverted | None:
    """Y or N."""
    return one("Y" if view.text() == "true" else "N")

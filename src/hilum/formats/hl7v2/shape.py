"""What the names of the segments tell about a message, worked out once per sequence of names."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from hilum.formats.hl7v2.grouping import REMEMBERED

__all__ = ["MERGES", "PLACES", "Found", "Shape", "shape_of"]

Found = tuple[str, str]  # code, location

PLACES = 10  # told of one code; a message of a million broken lines needs no million findings
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_LONG_NAME = re.compile(r"[A-Z][A-Z0-9]{3}")
MERGES = frozenset(f"ADT^A{number}" for number in (18, 30, 34, 35, 36, *range(39, 52)))
# Two patients are the point of these: swaps, links, unlinks.
_PAIRS = MERGES | {"ADT^A17", "ADT^A20", "ADT^A24", "ADT^A37"}
_SPINE = {"EVN": 0, "PID": 1, "MRG": 2, "PV1": 3, "PV2": 4}


class Shape(Struct, frozen=True):
    """Findings from the names alone, and where the segments stand that a closer look needs."""

    found: tuple[Found, ...]
    patients: tuple[int, ...]
    merged: tuple[int, ...]
    results: tuple[int, ...]


def shape_of(kind: str, names: tuple[str, ...]) -> Shape:
    """The shape; always the same for the same kind and names."""
    return _remembered(kind, names) if len(names) <= REMEMBERED else _shape(kind, names)


def _shape(kind: str, names: tuple[str, ...]) -> Shape:
    patients, merged = _all("PID", names), _all("MRG", names)
    found = _names(names) + _order(names)
    if names.count("MSH") > 1:
        found.append(("messages-several", "MSH[2]"))
    if len(patients) > 1 and (kind not in _PAIRS or len(merged) > 1):
        found.append(("patients-several", "PID[2]"))
    if kind in MERGES and not merged:
        found.append(("merge-id-missing", "MRG-1"))
    return Shape(tuple(found), patients, merged, _all("OBX", names))


_remembered = lru_cache(maxsize=2048)(_shape)


def _all(name: str, names: tuple[str, ...]) -> tuple[int, ...]:
    return tuple([index for index, other in enumerate(names) if other == name])


def _names(names: tuple[str, ...]) -> list[Found]:
    found = []
    for index, name in enumerate(names, 1):
        if not _NAME.fullmatch(name):
            code = "segment-name-long" if _LONG_NAME.fullmatch(name) else "line-break-in-field"
            found.append((code, f"segment {index}"))
            if len(found) == PLACES:
                break
    return found


def _order(names: tuple[str, ...]) -> list[Found]:
    """EVN, PID, MRG, PV1 and PV2 come in this order; each PID after the first starts anew."""
    highest, patients = -1, 0
    for name in names:
        rank = _SPINE.get(name)
        if rank is None:
            continue
        patients += name == "PID"
        if name == "PID" and patients > 1:
            highest = rank
        elif rank < highest:
            return [("segment-order", name)]
        else:
            highest = rank
    return []

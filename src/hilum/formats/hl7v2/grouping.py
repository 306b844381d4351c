"""Which segment each one belongs to, told from the names alone.

The abstract message syntax of HL7 v2 nests groups; real messages leave segments out and add their own. So nothing is
parsed against a grammar: every segment looks back for the nearest open segment that it may belong to.

- A segment closes everything below the one it attaches to: an OBX after the second OBR never reaches the first.
- NTE belongs to the segment before it that is no NTE.
- A Z-segment belongs to the segment before it that is neither NTE nor Z-segment; only NTE may belong to a Z-segment.
- ORC right before its OBR belongs to that OBR (so do TQ1, TQ2 and PRT between them); without OBR it heads its order:
  RXA, RXO, RXE...
- A segment that no rule knows belongs to the patient, when there is one.
"""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

__all__ = ["Node", "grow", "parents_of"]

REMEMBERED = 200  # segments; longer messages are worked out each time, so that the caches stay small

_PATIENT = ("PID",)
_ORDERED = ("OBR", "RXE", "RXD", "RXG", "RXA", "RXO", "ODS", "ODT", "RQD", "BPO", "BPX", "BTX", "ORC", "SCH", "PID")
_PEOPLE = ("PRB", "GOL", "PTH", "PR1", "IN1", "OBR", "ORC", "PV1", "PID")

# name -> what it may belong to; the nearest open one is taken. () stands at the top.
_COMMON: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("MSH", "EVN", "PID", "MSA", "QAK", "QRD", "QRF", "QPD", "RCP", "SCH", "MFI", "RF1", "RGS", "EQU"), ()
    ),
    **dict.fromkeys(("FHS", "BHS", "BTS", "FTS", "DSC", "DSP", "SFT", "UAC", "NCK", "NST", "NSC", "ERR", "ARQ"), ()),
    **dict.fromkeys(
        ("PD1", "NK1", "PV1", "MRG", "AL1", "IAM", "DG1", "DRG", "GT1", "IN1", "ACC", "UB1", "UB2"), _PATIENT
    ),
    **dict.fromkeys(
        ("PDA", "DB1", "OH1", "OH2", "OH3", "OH4", "TXA", "FT1", "CSR", "PES", "ABS", "BLC", "RMI"), _PATIENT
    ),
    "PV2": ("PV1", "PID"),
    "ARV": ("PV1", "PID"),
    "ROL": _PEOPLE,
    "IN2": ("IN1",),
    "IN3": ("IN1",),
    "AUT": ("RF1", "IN1", "PID"),
    "PRD": (),
    "CTD": ("PRD", "OBR", "PID"),
    "PR1": ("FT1", "PID"),
    "ORC": ("PRB", "GOL", "PTH", "FT1", "PID"),
    "OBR": ("PRB", "GOL", "PTH", "FT1", "RXA", "PID"),
    "OBX": (
        *("SPM", "OBR", "RXA", "RXD", "RXG", "RXE", "RXO", "ODS", "ODT", "TXA", "PRB", "GOL", "PTH", "CSS", "CSP"),
        *("IN1", "FT1", "ORC", "PID"),
    ),
    "SPM": ("OBR", "ORC", "PID"),
    "SAC": ("SPM", "OBR", "EQU", "PID"),
    "INV": ("SAC", "SPM", "EQU"),
    "CTI": ("OBR", "PID"),
    "BLG": ("OBR", "RXO", "ORC", "PID"),
    "TQ1": _ORDERED,
    "TQ2": ("TQ1",),
    "PRT": ("OBX", "SPM", "OBR", "ORC", "RXA", "FT1", "TXA", "PRB", "GOL", "PV1", "PID"),
    "CON": ("TXA", "OBR", "ORC", "PID"),
    **dict.fromkeys(("ODS", "ODT", "RXO", "RQD", "BPO"), ("ORC", "PID")),
    **dict.fromkeys(("RXE", "RXD", "RXG", "RXA"), ("ORC", "PID")),
    **dict.fromkeys(("BPX", "BTX"), ("BPO", "ORC", "PID")),
    "RQ1": ("RQD",),
    "RXR": ("RXA", "RXG", "RXD", "RXE", "RXO", "ORC"),
    "RXC": ("RXG", "RXD", "RXE", "RXO", "ORC"),
    "RXV": ("RXG", "RXE", "RXO", "ORC"),
    "RDF": (),
    "RDT": ("RDF",),
    **dict.fromkeys(("AIS", "AIG", "AIL", "AIP"), ("RGS", "SCH")),
    "APR": ("SCH",),
    "MFE": ("MFI",),
    "PTH": _PATIENT,
    "PRB": ("PTH", "PID"),
    "GOL": ("PRB", "PTH", "PID"),
    "VAR": ("ORC", "OBR", "PTH", "PRB", "GOL", "PID"),
    "CSP": ("CSR",),
    "CSS": ("CSP", "CSR"),
    "GP1": ("PID",),
    "IAR": ("IAM", "PID"),
    "GP2": ("PR1", "PID"),
}
# Problems and goals: the message type says which of the two heads the other.
_BY_TYPE: dict[str, dict[str, tuple[str, ...]]] = {
    "PPR": {"PRB": _PATIENT, "GOL": ("PRB", "PID"), "PTH": ("PRB", "PID")},
    "PGL": {"GOL": _PATIENT, "PRB": ("GOL", "PID"), "PTH": ("GOL", "PID")},
    # The specimen heads its orders here, and ORC follows its OBR.
    "OUL": {
        "SPM": _PATIENT,
        "SAC": ("SPM", "PID"),
        "OBR": ("SPM", "PID"),
        "ORC": ("OBR", "SPM", "PID"),
        "OBX": ("OBR", "SPM", "PID"),
    },
    "SIU": {"OBX": ("PID",), "DG1": _PATIENT},
    "SRM": {"APR": ("ARQ",), **dict.fromkeys(("AIS", "AIG", "AIL", "AIP"), ("RGS", "ARQ"))},
    "ADT": {"OBX": _PATIENT, "OBR": _PATIENT, "ORC": _PATIENT},
}
_HEADED_BY_MFE = ("STF", "PRA", "LOC", "CDM", "OM1", "CM0", "IIM", "ITM")


class Node(Struct, frozen=True):
    """A segment (its index in the message) and those that belong to it, in order."""

    index: int
    children: tuple[Node, ...] = ()


def parents_of(kind: str, names: tuple[str, ...]) -> tuple[int, ...]:
    """For each segment the index of the one it belongs to, -1 at the top. Depends on nothing but kind and names."""
    return _remembered(kind, names) if len(names) <= REMEMBERED else _parents_of(kind, names)


def _parents_of(kind: str, names: tuple[str, ...]) -> tuple[int, ...]:
    type_ = "ORU" if kind == "OUL^R21" else kind.partition("^")[0]
    rules = _rules(type_)
    parents: list[int] = []
    open_: list[int] = []  # a path from the top down to the segment before
    before = -1  # the last segment that is no NTE
    for index, name in enumerate(names):
        if name == "NTE":
            parents.append(before)
            continue
        before = index
        if name[:1] == "Z":
            parents.append(open_[-1] if open_ else -1)
            continue
        _close(open_, names, rules.get(name, _PATIENT))
        parents.append(open_[-1] if open_ else -1)
        open_.append(index)
    if type_ != "OUL":
        _join_orders(names, parents)
    return tuple(parents)


_remembered = lru_cache(maxsize=2048)(_parents_of)


def grow(parents: tuple[int, ...]) -> list[Node]:
    """The nested form of `parents`."""
    children: list[list[int]] = [[] for _ in parents]
    top: list[int] = []
    for index, parent in enumerate(parents):
        (top if parent < 0 else children[parent]).append(index)

    def node(index: int) -> Node:
        return Node(index, tuple(node(child) for child in children[index]))

    return [node(index) for index in top]


@lru_cache(maxsize=64)
def _rules(type_: str) -> dict[str, tuple[str, ...]]:
    rules = {**_COMMON, **_BY_TYPE.get(type_, {})}
    if type_ in ("MFN", "MFK", "MFR"):
        rules |= dict.fromkeys(_HEADED_BY_MFE, ("MFE",))
    return rules


def _close(open_: list[int], names: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    """Close segments from the end until the last open one is allowed; where none is, all but the patient."""
    for depth in range(len(open_), 0, -1):
        if names[open_[depth - 1]] in allowed:
            del open_[depth:]
            return
    # PID is always the first of its path.
    del open_[1 if allowed and open_ and names[open_[0]] == "PID" else 0 :]


def _join_orders(names: tuple[str, ...], parents: list[int]) -> None:
    """Hand each ORC, and what stands between, to the OBR that follows it within the same order.

    An OBR that belongs to something of that order (to its RXA) is not the order's own: the ORC stays where it is.
    """
    order = -1
    for index, name in enumerate(names):
        if name in ("ORC", "PID"):
            order = index if name == "ORC" else -1
        elif name == "OBR" and parents[index] > order >= 0:
            order = -1
        elif name == "OBR" and order >= 0:
            if parents[index] == order:
                parents[index] = parents[order]
            for between in range(order + 1, index):
                if parents[between] == order and names[between] != "NTE":
                    parents[between] = index
            parents[order] = index
            order = -1

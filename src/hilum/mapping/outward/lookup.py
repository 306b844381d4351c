"""Lookups in the other direction, as one receiver sees them: codes, coding systems, assigning authorities."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from hilum.mapping.lookup import CodeMaps, local_uri, sender_rank
from hilum.mapping.tables import CodeSystem, MapEntry, Namespace, Workbook

__all__ = ["OUT", "Ambiguous", "Authorities", "CodesOut", "SystemsOut", "ambiguities"]

OUT = ".out"  # `AdministrativeSex.out`: FHIR code to v2 code, where the map gives several back


class Ambiguous(LookupError):
    """Several codes mean this, and no line of `<map>.out` says which one goes out."""


class CodesOut:
    """Maps read backwards: the receiver's own entries before everybody's; `<map>.out` decides between several."""

    def __init__(self, entries: Iterable[MapEntry], receiver: str) -> None:
        entries = tuple(entries)
        self._forward = CodeMaps(entries, receiver)
        self._back: dict[tuple[str, str], list[tuple[int, MapEntry]]] = {}
        for entry in entries:
            rank = sender_rank(entry.sender, receiver)
            if rank and entry.target and not entry.map.endswith(OUT):
                self._back.setdefault((entry.map, entry.target), []).append((rank, entry))

    def find(self, name: str, target: str, system: str = "") -> str:
        """The v2 code for a FHIR code; "" is a miss. Raises Ambiguous."""
        marked = self._forward.find(name + OUT, target)
        if marked is not None:
            return marked.target
        fitting = [
            (rank, entry.code)
            for rank, entry in self._back.get((name, target), ())
            if not system or not entry.system or entry.system == system
        ]
        best = max((rank for rank, _ in fitting), default=0)
        codes = list(dict.fromkeys(code for rank, code in fitting if rank == best))
        if len(codes) > 1 and target not in codes:
            raise Ambiguous(name)
        return target if len(codes) > 1 else codes[0] if codes else ""

    def knows(self, name: str, target: str, system: str | None = None) -> bool:
        """Whether some entry of the map writes this code; `system` is that of a coding, None for a bare code.

        A coding without a system is nobody's code: an unknown local `L` is not the `L` that a map writes.
        """
        return any(
            system is None or not entry.system or entry.system == system
            for _, entry in self._back.get((name, target), ())
        )

    def forward(self, name: str, code: str) -> MapEntry | None:
        """What this v2 code means: the same lookup as on the way in."""
        return self._forward.find(name, code) if code else None


def ambiguities(book: Workbook) -> list[tuple[str, str, tuple[str, ...]]]:
    """(map, FHIR code, v2 codes) wherever several codes mean the same and nothing says which one goes out."""
    lookup = CodesOut(book.maps, "")
    found = []
    for name, target in dict.fromkeys((entry.map, entry.target) for entry in book.maps if entry.target):
        if name.endswith(OUT):
            continue
        try:
            lookup.find(name, target)
        except Ambiguous:
            codes = tuple(entry.code for entry in book.maps if (entry.map, entry.target) == (name, target))
            found.append((name, target, codes))
    return found


_V2_TABLE = re.compile(r"http://terminology\.hl7\.org/CodeSystem/v2-(\d{4})")
_LOCAL_SYSTEM = local_uri("cs") + ":"


class SystemsOut:
    """URIs of coding systems to the names that stand in CWE.3: the first line of `codesystems` with that URI."""

    def __init__(self, lines: Iterable[CodeSystem]) -> None:
        self._names: dict[str, str] = {}
        for line in lines:
            self._names.setdefault(line.system, line.name)

    def find(self, uri: str) -> str:
        """`http://loinc.org` to `LN`. A URI that nobody named is written as it is, an OID without its prefix."""
        known = self._names.get(uri)
        if known or not uri:
            return known or ""
        table = _V2_TABLE.fullmatch(uri)
        if table:
            return f"HL7{table[1]}"
        if uri.startswith(_LOCAL_SYSTEM):
            return unquote(uri.rpartition(":")[2])
        return uri.removeprefix("urn:oid:")


_LOCAL_AUTHORITY = local_uri("ns") + ":"


class Authorities:
    """System URIs of identifiers to assigning authorities (HD): the receiver's line first, then everybody's first."""

    def __init__(self, lines: Iterable[Namespace], receiver: str) -> None:
        ranked: dict[str, tuple[int, str]] = {}
        for line in lines:
            rank = sender_rank(line.sender, receiver)
            if rank > ranked.get(line.system, (0, ""))[0]:
                ranked[line.system] = (rank, line.authority)
        self._names = {system: name for system, (_, name) in ranked.items()}

    def find(self, system: str) -> tuple[str, str, str]:
        """(namespace id, universal id, its type); ("", "", "") when the system is no URI that an HD can hold.

        HL7 table 0301: ISO for an OID, UUID, URI. A name of ours (`urn:hilum:ns:GENHOSP`) is the name that it holds.
        """
        known = self._names.get(system)
        if known:
            return ("", known, "ISO") if re.fullmatch(r"[0-2](\.\d+)+", known) else (known, "", "")
        if system.startswith(_LOCAL_AUTHORITY):
            return unquote(system.removeprefix(_LOCAL_AUTHORITY)), "", ""
        if re.fullmatch(r"urn:oid:[0-2](\.(0|[1-9]\d*))+", system):
            return "", system.removeprefix("urn:oid:"), "ISO"
        if system.startswith("urn:uuid:"):
            return "", system.removeprefix("urn:uuid:"), "UUID"
        return ("", system, "URI") if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:\S+", system) else ("", "", "")

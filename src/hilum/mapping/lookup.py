"""Code maps, coding systems and namespaces as one sender sees them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from msgspec import Struct

from hilum.mapping.tables import CodeSystem, MapEntry, Namespace

__all__ = ["CodeMaps", "CodeSystems", "Namespaces", "local_uri", "sender_rank", "universal_uri"]


def local_uri(kind: str, *parts: str) -> str:
    """`urn:hilum:ns:GENHOSP`: a URI that is ours, every part percent-encoded."""
    return ":".join(("urn:hilum", kind, *(quote(part, safe="") for part in parts if part)))


def universal_uri(universal: str, type_: str) -> str:
    """The URI of an HD's universal id (HL7 v2 table 0301): ISO to urn:oid, UUID to urn:uuid, DNS, URI; "" when none."""
    kind = type_.upper()
    if not universal:
        return ""
    if re.fullmatch(r"[0-2](\.(0|[1-9]\d*))+", universal) and (kind in ("ISO", "") or universal.count(".") > 5):
        return f"urn:oid:{universal}"  # nothing but an OID is that long, whatever the sender calls it
    if kind in ("UUID", "GUID"):
        return f"urn:uuid:{universal.lower()}"
    if kind == "DNS":
        return f"http://{universal}" if re.fullmatch(r"[A-Za-z0-9.-]+", universal) else ""
    return universal if kind in ("URI", "URL") and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:\S+", universal) else ""


def sender_rank(pattern: str, sender: str) -> int:
    """How closely a `sender` cell fits: 0 not at all, 1 everybody, 2 one part, 3 both parts."""
    if pattern in ("", "*", "*|*"):
        return 1
    asked_app, _, asked_facility = (part.strip() for part in pattern.partition("|"))
    app, _, facility = sender.partition("|")
    if asked_app not in ("*", "", app) or asked_facility not in ("*", "", facility):
        return 0
    return 1 + (asked_app == app and asked_app != "") + (asked_facility == facility and asked_facility != "")


class CodeMaps:
    """The maps that apply to one sender: exact code before any-case code, and of several of those the closest entry.

    Closest is the sender's own before everybody's, then the site's before the base's, then the first.
    """

    def __init__(self, entries: Iterable[MapEntry], sender: str) -> None:
        ranked: dict[tuple[str, str], tuple[int, MapEntry]] = {}
        for entry in entries:
            rank = sender_rank(entry.sender, sender)
            key = (entry.map, entry.code)
            if rank and rank >= ranked.get(key, (0, entry))[0]:
                ranked[key] = (rank, entry)
        self._exact = {key: entry for key, (_, entry) in ranked.items()}
        self._folded: dict[tuple[str, str], MapEntry] = {}
        for _, entry in sorted(ranked.values(), key=lambda one: (-one[0], one[1].where.layer != "site")):
            self._folded.setdefault((entry.map, entry.code.casefold()), entry)

    def find(self, name: str, code: str) -> MapEntry | None:
        """The entry of `code` in the map `name`; None is a miss."""
        return self._exact.get((name, code)) or self._folded.get((name, code.casefold()))


_V2_TABLE = re.compile(r"(?:HL7|v2-?)0*(\d{1,4})", re.IGNORECASE)


class CodeSystems:
    """Names of coding systems (CWE.3) to URIs."""

    def __init__(self, lines: Iterable[CodeSystem], facility: str) -> None:
        self._uris = {line.name.casefold(): line.system for line in lines}
        self._facility = facility
        self._found: dict[str, tuple[str, bool]] = {}

    def find(self, name: str) -> tuple[str, bool]:
        """(URI, known). HL7 tables and URIs name themselves; `L` and `99...` are local by the standard."""
        found = self._found.get(name)
        if found is None:
            if len(self._found) > 4096:
                self._found.clear()
            found = self._found[name] = self._find(name)
        return found

    def _find(self, name: str) -> tuple[str, bool]:
        uri = self._uris.get(name.casefold())
        if uri:
            return uri, True
        table = _V2_TABLE.fullmatch(name)
        if table:
            return f"http://terminology.hl7.org/CodeSystem/v2-{int(table[1]):04d}", True
        if name.startswith(("http://", "https://", "urn:")):
            return name, True
        if re.fullmatch(r"[0-2](\.(0|[1-9]\d*)){3,}", name):
            return f"urn:oid:{name}", True
        local = name == "L" or name.startswith("99")
        return local_uri("cs", self._facility, name), local


class Namespaces:
    """(sender, assigning authority) to the system URI of identifiers."""

    def __init__(self, lines: Iterable[Namespace], sender: str) -> None:
        ranked: dict[str, tuple[int, str]] = {}
        for line in lines:
            rank = sender_rank(line.sender, sender)
            key = line.authority.casefold()
            if rank and rank >= ranked.get(key, (0, ""))[0]:
                ranked[key] = (rank, line.system)
        self._systems = {key: system for key, (_, system) in ranked.items()}

    def find(self, namespace: str, universal: str = "", type_: str = "") -> str:
        """The system of an authority: by its local name, its universal id, or the universal id itself; "" is a miss."""
        return (
            (namespace and self._systems.get(namespace.casefold()))
            or (universal and self._systems.get(universal.casefold()))
            or universal_uri(universal, type_)
            or ""
        )


class Facts(Struct, frozen=True):
    """What a sender's name says: `APP|FACILITY`."""

    sender: str

    @property
    def facility(self) -> str:
        """MSH-4, or the application when there is none."""
        app, _, facility = self.sender.partition("|")
        return facility or app

"""Builds the pack of R4 definitions that ships with hilum, from published packages.

    python tools/build_definitions.py hl7.fhir.r4.examples-4.0.1.tgz

The file is what `npm pack hl7.fhir.r4.examples` saves (CC0-1.0). It holds the whole of R4 in bundles:
types and resources with snapshots, extensions, search parameters, value sets and code systems. The same file gives the
same bytes, so anybody can check that the pack is what was published. Further .tgz files are read the same way.
"""  # noqa: INP001

from __future__ import annotations

import hashlib
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from hilum.definitions import CodeSystem, Displays, Origin, displays_of, packed_displays, sections_of, write_pack

PACK = Path(__file__).resolve().parents[1] / "src" / "hilum" / "definitions" / "r4.pack"
MOST = 400_000  # bytes
# Bundles of the published package that hold definitions, and the folder form of other packages.
HOLDS = re.compile(
    r"package/(?:dist/fhir/r4/)?(?:Bundle-)?"
    r"(?:profiles-|resources|types|searchParams|search-parameters|valuesets|v[23]-|extension|profiles-others)[\w-]*\.json"
)
TABLES = re.compile(r"/v[23]-(?!0203$)")  # but for the types of identifiers, which people choose from
LICENSED = {"http://loinc.org", "http://snomed.info/sct"}
COUNTRIES = "urn:iso:std:iso:3166"


def resources_in(archive: Path) -> Iterator[dict[str, Any]]:
    with tarfile.open(archive) as opened:
        for member in opened:
            held = opened.extractfile(member) if HOLDS.fullmatch(member.name) else None
            if held is None:
                continue
            bundle = msgspec.json.decode(held.read())
            for entry in bundle.get("entry", ()):
                yield entry["resource"]


def origin_of(archive: Path) -> Origin:
    with tarfile.open(archive) as opened:
        held = opened.extractfile("package/package.json")
        assert held is not None
        told = msgspec.json.decode(held.read())
    return Origin(told["name"], told["version"], told["license"], hashlib.sha256(archive.read_bytes()).hexdigest())


def displays_in(published: list[dict[str, Any]], sections: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The words for codes: of the tables of HL7 v2 and v3 and of foreign systems, those that elements are bound to.

    LOINC and SNOMED CT are left out: what their owners license is not ours to give away in parts.
    """
    by_type: dict[str, list[dict[str, Any]]] = {}
    for one in published:
        by_type.setdefault(one["resourceType"], []).append(one)
    systems: dict[str, CodeSystem] = sections["code-systems"]
    bound: dict[str, set[str]] = {}
    bindings = (one.binding for structure in sections["structures"].values() for one in structure.elements)
    for url in {one.value_set for one in bindings if one is not None}:
        found = sections["value-sets"].get(url)
        for system, codes in found.codes.items() if found is not None else ():
            bound.setdefault(system, set()).update(codes)
    kept: Displays = {}
    for system, held in displays_of(by_type["CodeSystem"], by_type["ValueSet"]).items():
        if system in LICENSED or (system in systems and not systems[system].codes):
            continue
        whole = system == COUNTRIES or (system in systems and not TABLES.search(system))
        kept[system] = {code: text for code, text in held.items() if whole or code in bound.get(system, ())}
    return packed_displays(kept, systems)


def main() -> int:
    archives = [Path(name) for name in sys.argv[1:]]
    if not archives:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    published = {}
    for archive in archives:
        for resource in resources_in(archive):
            if "url" in resource:
                published.setdefault((resource["resourceType"], resource["url"]), resource)
    origins = [origin_of(archive) for archive in archives]
    sections = sections_of(published.values())
    sections["displays"] = displays_in(list(published.values()), sections)
    sha256 = write_pack(PACK, "hl7.fhir.r4", "4.0.1", "http://hl7.org/fhir", origins, sections)
    PACK.with_name("r4.pack.sha256").write_text(f"{sha256}  r4.pack\n")
    size = PACK.stat().st_size
    counts = ", ".join(f"{len(entries)} {name}" for name, entries in sections.items())
    print(f"{PACK.name}: {size:,} bytes, {counts}")  # noqa: T201
    return 0 if size < MOST else 1


if __name__ == "__main__":
    sys.exit(main())

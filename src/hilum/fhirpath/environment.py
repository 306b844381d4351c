"""Environment variables that every expression knows (FHIRPath N1, 9; R4 fhirpath.html#vars)."""

from __future__ import annotations

from hilum.fhirpath.code import Run

__all__ = ["CONSTANTS", "ROOTS", "url_of"]

CONSTANTS = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
ROOTS: dict[str, Run] = {
    "resource": lambda _this, frame: frame.resource,
    "rootResource": lambda _this, frame: frame.root,
    "context": lambda _this, frame: frame.context,
}
_FAMILIES = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "cs-": "http://hl7.org/fhir/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}


def url_of(name: str) -> str:
    """The URL behind `%vs-...`, `%cs-...`, `%ext-...`; "" for other names."""
    for prefix, base in _FAMILIES.items():
        if name.startswith(prefix) and len(name) > len(prefix):
            return base + name[len(prefix) :]
    return ""

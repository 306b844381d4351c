"""Elements that a resource cannot be without, and that no row writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hilum.definitions import children
from hilum.mapping import Rule
from hilum.model import Finding, Severity
from hilum.workbook.sheets import Entry

__all__ = ["US_CORE", "unmapped_required"]

# Elements with min 1 in the profiles of US Core 6.1.0 (hl7.org/fhir/us/core), beyond those of R4.
US_CORE: dict[str, tuple[str, ...]] = {
    "AllergyIntolerance": ("code",),
    "Condition": ("category", "code"),
    "Coverage": ("relationship",),
    "DiagnosticReport": ("category", "subject"),
    "DocumentReference": ("type", "category", "subject"),
    "Encounter": ("type", "subject"),
    "Location": ("name",),
    "Observation": ("category", "subject"),
    "Organization": ("active", "name"),
    "Patient": ("identifier", "name", "gender"),
    "Practitioner": ("identifier", "name"),
    "Procedure": ("code",),
    "RelatedPerson": ("active",),
    "ServiceRequest": ("code",),
    "Specimen": ("type",),
}


def unmapped_required(
    rules: Sequence[Rule], entries: Mapping[str, Entry], by_rule: Mapping[str, Sequence[str]], *, us_core: bool
) -> Iterator[Finding]:
    """Resources that some event makes without a row for an element that R4 (error) or US Core (warning) requires."""
    makers: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.target.role == "key":
            makers.setdefault(rule.target.resource, []).append(rule)
    for resource, keys in makers.items():
        type_ = keys[0].target.type
        kinds = {kind for rule in keys for kind in by_rule[rule.row.row_id]}
        for name, is_core in _required(type_, us_core=us_core):
            written = {
                kind
                for rule in rules
                if rule.target.resource == resource and rule.element and _writes(rule.element, name)
                for kind in by_rule[rule.row.row_id]
            }
            if kinds - written:
                yield _unmapped(resource, name, sorted(kinds - written), entries[keys[0].row.row_id], is_core=is_core)


def _required(type_: str, *, us_core: bool) -> Iterator[tuple[str, bool]]:
    needed = {found.path.partition(".")[2] for found in children(type_).values() if found.is_required}
    yield from ((name, False) for name in sorted(needed))
    if us_core:
        yield from ((name, True) for name in US_CORE.get(type_, ()) if name not in needed)


def _writes(written: str, name: str) -> bool:
    return written == name or (name.endswith("[x]") and written.startswith(name[:-3]))


def _unmapped(resource: str, name: str, kinds: Sequence[str], key: Entry, *, is_core: bool) -> Finding:
    shown = ", ".join(kinds[:4]) + (f" and {len(kinds) - 4} more" if len(kinds) > 4 else "")
    if is_core:
        message = f"US Core requires {resource}.{name}, and no row writes it in {shown}"
        return Finding("us-core-unmapped", message, key.location("target"), Severity.WARNING)
    message = f"R4 requires {resource}.{name}, and no row writes it in {shown}"
    return Finding(
        "required-unmapped", message, key.location("target"), hint=f"add a row with target {resource}.{name}"
    )

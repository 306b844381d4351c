"""What the samples of rows take for granted: a time zone, and who issues identifiers."""

from __future__ import annotations

from msgspec import structs

from hilum.mapping import Namespace, Workbook

__all__ = ["in_setting"]

ZONE = "America/Chicago"
# Who issues the identifiers in samples.
AUTHORITIES = (
    *("GENHOSP", "EPIC", "LAB", "RAD", "SCHED", "EHR", "BILLING", "BLUE", "ACME"),
    *("CLINIC", "OLDMPI", "OTHERLAB", "COURIER"),
)


def in_setting(book: Workbook, *, is_base: bool, is_zoned: bool) -> Workbook:
    """The workbook with what samples take for granted."""
    known = {line.authority for line in book.namespaces}
    authorities = [name for name in AUTHORITIES if is_base or name not in known]
    kept = [line for line in book.namespaces if line.authority not in authorities]
    added = [Namespace(authority=name, system=f"urn:example:{name.lower()}") for name in authorities]
    params = [
        structs.replace(line, value=ZONE)
        if line.param == "zone" and not is_zoned and (is_base or not line.value)
        else line
        for line in book.params
    ]
    return structs.replace(book, namespaces=(*kept, *added), params=tuple(params))

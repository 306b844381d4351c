"""When care took place, by type: what `start` and `end` of R4 patient-operation-everything.html are about."""

from __future__ import annotations

from functools import cache

from .parameters import Kind
from .registry import ordering_of, parameter, parameters_of

__all__ = ["care_dates"]

# The date that counts first; the next one where a resource does not have it. Others: the date that orders the type.
_FIRST = {
    "Account": ("period",),
    "Communication": ("sent", "received"),
    "CommunicationRequest": ("occurrence", "authored"),
    "Condition": ("onset-date", "recorded-date"),
    "DeviceRequest": ("event-date", "authored-on"),
    "DocumentReference": ("period", "date"),
    "MedicationDispense": ("whenhandedover", "whenprepared"),
    "Provenance": ("when", "recorded"),
    "ServiceRequest": ("occurrence", "authored"),
}
_PEOPLE = frozenset({"Patient", "Person", "RelatedPerson"})  # their dates are those of a life, not of care


@cache
def care_dates(type_: str) -> tuple[str, ...]:
    """Names of date parameters, the one to be looked at first; () for what has no date of care."""
    if type_ in _PEOPLE:
        return ()
    if type_ in _FIRST:
        return _FIRST[type_]
    ordering = ordering_of(type_)
    if ordering is not None:
        return (parameter(ordering).name,)
    dates = [one.name for one in parameters_of(type_) if one.kind is Kind.DATE]
    return (dates[0],) if len(dates) == 1 else ()

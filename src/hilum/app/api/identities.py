"""The ids that messages give to what bears a business identifier: programs and messages mean one record by it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from hilum.app.api.sight import Sight
from hilum.errors import NotFound
from hilum.formats import fhir
from hilum.mapping import resource_id
from hilum.repository import Change, Repository, Verb

__all__ = ["identities_of", "with_identities"]

_MADE = frozenset(one.type for one in fhir.PARAMETERS)  # types that messages make
_MOST = 20  # identifiers of one resource that are looked at


def with_identities(change: Change, repository: Repository, sight: Sight) -> Change:
    """The change with the identities of its resource; those of records that the caller may not see are left out."""
    if change.verb is Verb.DELETE or change.type not in _MADE:
        return change
    found = identities_of(change.type, change.elements)
    if sight.limits is not None:
        found = tuple(one for one in found if _may_know(repository, sight, change.type, one))
    return replace(change, identities=found) if found else change


def identities_of(type_: str, elements: Mapping[str, Raw]) -> tuple[str, ...]:
    """For each identifier with system and value the id that messages give it: medical record numbers first."""
    raw = elements.get("identifier")
    given = fhir.decode(bytes(raw)) if raw is not None else []
    found = [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, dict)][:_MOST]
    if len(found) > 1:
        found.sort(key=lambda one: "MR" not in _codes(one))
    return tuple(dict.fromkeys(_ids(type_, found)))


def _ids(type_: str, identifiers: Iterable[dict[str, Any]]) -> Iterator[str]:
    for one in identifiers:
        system, value = one.get("system"), one.get("value")
        if isinstance(system, str) and isinstance(value, str) and one.get("use") != "old":
            yield resource_id(type_, system, value)


def _codes(identifier: dict[str, Any]) -> list[Any]:
    kind = identifier.get("type")
    codings = kind.get("coding", []) if isinstance(kind, dict) else []
    return [one.get("code") for one in codings if isinstance(one, dict)]


def _may_know(repository: Repository, sight: Sight, type_: str, id_: str) -> bool:
    try:
        stored = repository.get(type_, id_)
    except NotFound:
        return True
    return sight.sees(stored)

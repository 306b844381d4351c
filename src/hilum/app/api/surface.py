"""What the API offers: the served types with their search parameters, from the one table in hilum.formats.fhir."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from msgspec import Struct

from hilum.formats.fhir import COMMON, RESOURCE_TYPES, Kind, Parameter, parameters_of

__all__ = ["EVERYWHERE", "ResourceSurface", "SearchParameter", "Surface", "served"]


class SearchParameter(Struct, frozen=True):
    """One search parameter; `kind` is a code of R4 valueset-search-param-type."""

    name: str
    kind: str


_NOT_STORED = frozenset({"OperationOutcome", "Parameters"})  # R4 parameters.html: they have no address of their own
EVERYWHERE = (
    SearchParameter("_id", "token"),
    SearchParameter("_lastUpdated", "date"),
    *(SearchParameter(one.name, one.kind.fhir) for one in COMMON),
)


class ResourceSurface(Struct, frozen=True):
    """What can be asked of one type. Includes are written `Observation:subject`."""

    type: str
    parameters: tuple[SearchParameter, ...]
    includes: tuple[str, ...]
    revincludes: tuple[str, ...]


class Surface(Struct, frozen=True):
    """Everything that is served, in the order of the table."""

    resources: tuple[ResourceSurface, ...]

    @property
    def types(self) -> frozenset[str]:
        """Names of the served types."""
        return frozenset(resource.type for resource in self.resources)


def served() -> Surface:
    """The surface that the search table gives."""
    return Surface(tuple(_resource(type_) for type_ in RESOURCE_TYPES if type_ not in _NOT_STORED))


def _is_followed(one: Parameter) -> bool:
    return one.kind is Kind.REFERENCE and one.is_indexed


@cache
def _pointing() -> dict[str, list[str]]:
    """By type: the references of others that can be followed to it."""
    found: dict[str, list[str]] = {type_: [] for type_ in RESOURCE_TYPES}
    for type_ in RESOURCE_TYPES:
        for one in parameters_of(type_) if type_ not in _NOT_STORED else ():
            if _is_followed(one):
                for target in _targets(one):
                    found.get(target, []).append(f"{one.type}:{one.name}")
    return found


def _targets(one: Parameter) -> Iterable[str]:
    if one.target:
        return (one.target,)
    return one.targets if one.targets and "Resource" not in one.targets else RESOURCE_TYPES


def _resource(type_: str) -> ResourceSurface:
    own = parameters_of(type_)
    return ResourceSurface(
        type=type_,
        parameters=EVERYWHERE + tuple(SearchParameter(parameter.name, parameter.kind.fhir) for parameter in own),
        includes=tuple(f"{type_}:{parameter.name}" for parameter in own if _is_followed(parameter)),
        revincludes=tuple(_pointing()[type_]),
    )

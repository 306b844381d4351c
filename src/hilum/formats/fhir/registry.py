"""Every search parameter of R4, by type: those of the table, and what the definitions say of all others.

For the types that hilum makes of messages, the table says what is indexed, and so are all references; the rest is
tested on bodies, so that messages do not pay for what is hardly asked. Types that only programs write are indexed
whole.
"""

from __future__ import annotations

from functools import cache, lru_cache

import msgspec
from msgspec.structs import replace

from hilum import definitions

from .parameters import PARAMETERS, Kind, Parameter, Part
from .places import Place, places_of
from .types import RESOURCE_TYPES

__all__ = [
    "COMMON",
    "MAPPED",
    "OFFERED",
    "find_parameter",
    "offer_packages",
    "offered_of",
    "offered_types",
    "ordering_of",
    "parameter",
    "parameters_of",
]

FIRST = 1_000  # number of the first parameter that is not in the table
PER_TYPE = 100
OFFERED = 100_000  # number of the first parameter of a package; never stored
MAPPED = frozenset(one.type for one in PARAMETERS)  # types that are made of messages

# The dates that types outside of the table are ordered by, the first that a type has.
_ORDERING = (
    "authoredon",
    "authored",
    "authored-on",
    "whenhandedover",
    "date",
    "occurrence",
    "started",
    "start-date",
    "recorded",
    "created",
)

# For every type. Their values are in `meta`; the two that are indexed are rarely there.
COMMON = (
    Parameter("", "_tag", Kind.TOKEN, 901, places=(Place(("meta", "tag"), "Coding"),), found_under=("_tag",)),
    Parameter(
        "", "_security", Kind.TOKEN, 902, places=(Place(("meta", "security"), "Coding"),), found_under=("_security",)
    ),
    Parameter(
        "",
        "_profile",
        Kind.URI,
        903,
        places=(Place(("meta", "profile"), "canonical"),),
        found_under=("_profile",),
        is_indexed=False,
    ),
    Parameter(
        "",
        "_source",
        Kind.URI,
        904,
        places=(Place(("meta", "source"), "uri"),),
        found_under=("_source",),
        is_indexed=False,
    ),
)

_KINDS = {
    "token": Kind.TOKEN,
    "string": Kind.STRING,
    "date": Kind.DATE,
    "reference": Kind.REFERENCE,
    "quantity": Kind.QUANTITY,
    "number": Kind.NUMBER,
    "uri": Kind.URI,
}
_UNIQUE = frozenset({"Identifier", "ContactPoint"})  # values that almost every resource has its own of
_DECEASED = (Place(("deceasedBoolean",), "deceased"), Place(("deceasedDateTime",), "deceased"))


def parameters_of(type_: str) -> tuple[Parameter, ...]:
    """The parameters of one type, without `_id`, `_lastUpdated` and `COMMON`; () for what is no type."""
    return tuple(_by_name(type_).values())


def find_parameter(type_: str, name: str) -> Parameter | None:
    """The parameter of this name, or None."""
    if name.startswith("_"):
        return next((one for one in COMMON if one.name == name), None)
    return _by_name(type_).get(name)


_offered: dict[tuple[str, str], Parameter] = {}  # type and name -> what packages define beyond R4


def offer_packages(given: definitions.Definitions) -> tuple[Parameter, ...]:
    """Offer, in this process, the search parameters that packages define beyond R4; those of an earlier call go.

    No write indexes them: a store takes them into an index of their own (repository/packaged.py). Names that R4 has
    stay R4's; an expression that hilum cannot take apart is left out.
    """
    _offered.clear()
    _forget()
    bases = {
        base
        for pack in given.packs[1:]
        for raw in pack.section("search").values()
        for base in msgspec.json.decode(raw, type=definitions.SearchParameter).base
    }
    made: list[Parameter] = []
    for type_ in sorted(bases.intersection(RESOURCE_TYPES)):
        for one in given.search_parameters(type_):
            is_new = bool(one.package) and find_parameter(type_, one.name) is None and not one.name.startswith("_")
            found = _made(type_, one, OFFERED + len(made)) if is_new and one.kind != "composite" else None
            places = tuple(place for place in found.places if _fits(found.kind, place)) if found is not None else ()
            if found is not None and places:
                made.append(replace(found, places=places, is_indexed=False))
    _offered.update({(one.type, one.name): one for one in made})
    _forget()
    return tuple(made)


def offered_types() -> tuple[str, ...]:
    """The types for which packages brought parameters."""
    return tuple(sorted({type_ for type_, _ in _offered}))


@lru_cache(maxsize=256)
def offered_of(type_: str) -> tuple[Parameter, ...]:
    """What packages define for a type beyond R4."""
    return tuple(one for (of, _), one in sorted(_offered.items()) if of == type_)


_DATES = frozenset({"date", "dateTime", "instant", "Period", "Timing"})


def _fits(kind: Kind, place: Place) -> bool:
    """Whether a value is meant; an extension's value may be of fifty types, of which one is."""
    if kind is Kind.DATE:
        return place.leaf in _DATES
    return not (place.path[-1] == "code" and place.path[-2:-1] and place.path[-2].startswith("value"))


def _forget() -> None:
    _by_name.cache_clear()
    offered_of.cache_clear()
    parameter.cache_clear()


@lru_cache(maxsize=16_384)
def parameter(number: int) -> Parameter:
    """The parameter that a number stands for."""
    if number <= len(PARAMETERS):
        one = PARAMETERS[number - 1]
        return _by_name(one.type)[one.name]
    if number >= OFFERED:
        return next(one for one in _offered.values() if one.number == number)
    if number < FIRST:
        return next(one for one in COMMON if one.number == number)
    type_ = RESOURCE_TYPES[(number - FIRST) // PER_TYPE]
    return next(one for one in _by_name(type_).values() if one.number == number)


@cache
def ordering_of(type_: str) -> int | None:
    """The number of the date that orders resources of this type in time."""
    return next((one.number for one in parameters_of(type_) if one.ordering), None)


@cache
def _by_name(type_: str) -> dict[str, Parameter]:
    if type_ not in RESOURCE_TYPES:
        return {}
    given = {one.name: one for one in definitions.search_parameters(type_)}
    found = {one.name: _with_places(one, given.get(one.name)) for one in PARAMETERS if one.type == type_}
    number = FIRST + RESOURCE_TYPES.index(type_) * PER_TYPE
    for name, one in given.items():
        made = None if name in found or name.startswith("_") else _made(type_, one, number)
        if made is not None:
            found[name] = made
            number += 1
    found = {name: _under_another(one, found) for name, one in found.items()}
    if type_ not in MAPPED:
        first = next((name for name in _ORDERING if name in found and found[name].kind is Kind.DATE), "")
        if first:
            found[first] = replace(found[first], ordering=True)
    return found | {name: one for (of, name), one in _offered.items() if of == type_}


def _with_places(one: Parameter, given: definitions.SearchParameter | None) -> Parameter:
    """A parameter of the table, with what the definitions say of it; US Core has some that R4 has not."""
    expression = given.expression if given else " | ".join(f"{one.type}.{path}" for path in one.paths)
    targets = given.targets if given else ()
    return replace(
        one, places=places_of(one.type, expression), targets=targets or ((one.target,) if one.target else ())
    )


def _made(type_: str, given: definitions.SearchParameter, number: int) -> Parameter | None:
    """A parameter that is not in the table; None for one that hilum cannot take apart."""
    if given.kind == "composite":
        return _composite(type_, given, number)
    kind = _KINDS.get(given.kind)
    expression = given.expression.replace(
        "ConceptMap.group.element.target.product.", "ConceptMap.group.element.target.dependsOn."
    )
    if "." not in expression:  # `name | alias`
        expression = " | ".join(f"{type_}.{part.strip()}" for part in expression.split("|"))
    places = _DECEASED if given.name == "deceased" and type_ == "Patient" else places_of(type_, expression)
    if kind is None or not places:
        return None
    if kind is Kind.TOKEN and all(place.leaf in _UNIQUE for place in places):
        kind = Kind.IDENTIFIER
    return Parameter(
        type_,
        given.name,
        kind,
        number,
        found_under=(given.name,),
        target=places[0].target if kind is Kind.REFERENCE else "",
        is_indexed=type_ not in MAPPED or (kind is Kind.REFERENCE and all(map(_is_plain, places))),
        places=places,
        targets=given.targets,
    )


def _is_plain(place: Place) -> bool:
    return place.leaf == "Reference" and place.has is None


def _composite(type_: str, given: definitions.SearchParameter, number: int) -> Parameter | None:
    parts = []
    for context in given.expression.split(" | "):
        components = []
        for one in given.components:
            of = definitions.r4().search_parameter(one.definition)
            places = tuple(
                place
                for each in one.expression.split(" | ")
                for place in places_of(type_, _within(context.strip(), each.strip()))
            )
            if of is None or of.kind not in _KINDS or not places:
                return None
            deep = context.count(".")
            below = tuple(replace(place, path=place.path[deep:]) for place in places)
            components.append(Part(of.name, _KINDS[of.kind], below))
        parts.append((tuple(context.strip().split(".")[1:]), tuple(components)))
    found_under = (given.name,)
    return Parameter(
        type_, given.name, Kind.COMPOSITE, number, found_under=found_under, is_indexed=False, parts=tuple(parts)
    )


def _within(context: str, expression: str) -> str:
    """`value as Quantity` below `Observation.component`."""
    expression = expression.replace("DateTime)", "dateTime)")  # as R4 has it in one place
    if " as " in expression:
        path, _, type_ = expression.strip("()").partition(" as ")
        return f"{context}.{path}.as({type_})"
    return f"{context}.{expression}"


def _under_another(one: Parameter, found: dict[str, Parameter]) -> Parameter:
    """`patient` is `subject` where it points to a Patient: nothing is stored twice."""
    if one.kind is not Kind.REFERENCE or not one.target or one.paths or one.found_under != (one.name,):
        return one
    paths = [place.path for place in one.places]
    for other in found.values():
        if other.kind is Kind.REFERENCE and not other.target and [place.path for place in other.places] == paths:
            return replace(one, found_under=(other.name,), places=one.places)
    return one

"""From published StructureDefinitions and SearchParameters (R4 JSON) to the reduced form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .model import (
    MANY,
    Binding,
    Component,
    Constraint,
    Discriminator,
    Element,
    SearchParameter,
    Slicing,
    Structure,
    TypeRef,
)

__all__ = ["CORE", "core_name", "search_parameter_of", "structure_of"]

CORE = "http://hl7.org/fhir/StructureDefinition/"
_FHIR_TYPE = CORE + "structuredefinition-fhir-type"
_REGEX = CORE + "regex"
_BEST_PRACTICE = CORE + "elementdefinition-bestpractice"
_MAXIMUM = CORE + "elementdefinition-maxValueSet"
_EVERYWHERE = {"ele-1", "ext-1"}  # written at every element of R4; they belong to Element and Extension

Json = dict[str, Any]


def core_name(url: str) -> str:
    """`http://hl7.org/fhir/StructureDefinition/Patient|4.0.1` -> `Patient`; other URLs lose their version only."""
    plain = url.partition("|")[0]
    return plain.removeprefix(CORE) if plain.startswith(CORE) and plain.count("/") == CORE.count("/") else plain


def structure_of(definition: Json, package: str = "") -> Structure:
    """The reduced form of a StructureDefinition with a snapshot. Raises KeyError for one without."""
    is_profile = definition.get("derivation") == "constraint"
    url = definition["url"]
    elements = definition["snapshot"]["element"]
    primitive = definition["kind"] == "primitive-type"
    return Structure(
        name=core_name(url),
        kind=definition["kind"],
        type=core_name(definition["type"]),
        elements=tuple(_elements(elements, url, primitive=primitive)),
        base=core_name(definition.get("baseDefinition", "")),
        is_abstract=definition.get("abstract", False),
        is_profile=is_profile,
        title=(definition.get("title") or definition.get("name") or "") if is_profile else "",
        regex=_regex_of_value(elements) if primitive else "",
        contexts=tuple(one["expression"] for one in definition.get("context", ())),
        package=package,
    )


def _elements(elements: Iterable[Json], url: str, *, primitive: bool) -> Iterator[Element]:
    for element in elements:
        if primitive and element["path"].endswith(".value"):
            continue  # the text of a primitive is not a child that JSON could name
        yield _element(element, url)


def _element(given: Json, url: str) -> Element:
    path, binding = given["path"], given.get("binding")
    base = given.get("base", {"path": path, "max": given["max"]})
    value = {key[:3]: held for key, held in given.items() if key.startswith(("minValue", "maxValue"))}
    identity = str(given.get("id") or path)
    return Element(
        path=path,
        min=given.get("min", 0),
        max=_most(given["max"]),
        types=tuple(_types(given.get("type", ()), base["path"])),
        is_list="." in path and base["max"] not in ("0", "1"),
        short=given.get("short", "") if len(given.get("short", "")) <= 120 else given["short"][:117] + "...",
        binding=_binding(binding) if binding else None,
        content=given.get("contentReference", "").partition("#")[2],
        constraints=tuple(_constraints(given.get("constraint", ()), url)),
        fixed=_held(given, "fixed"),
        pattern=_held(given, "pattern"),
        min_value=value.get("min"),
        max_value=value.get("max"),
        max_length=given.get("maxLength", 0),
        regex=_extension(given, _REGEX) or "",
        is_modifier=given.get("isModifier", False),
        is_summary=given.get("isSummary", False),
        must_support=given.get("mustSupport", False),
        id=identity if identity != path else "",
        slice=given.get("sliceName", ""),
        slicing=_slicing(given["slicing"]) if "slicing" in given else None,
    )


def _most(text: str) -> int:
    return MANY if text == "*" else int(text)


def _types(given: Iterable[Json], base_path: str) -> Iterator[TypeRef]:
    for one in given:
        code = one["code"]
        if code.startswith("http://hl7.org/fhirpath/"):
            code = "id" if base_path == "Resource.id" else _extension(one, _FHIR_TYPE) or "string"
        yield TypeRef(
            code=code,
            targets=tuple(map(core_name, one.get("targetProfile", ()))),
            profiles=tuple(map(core_name, one.get("profile", ()))),
        )


def _binding(given: Json) -> Binding:
    maximum = _extension(given, _MAXIMUM) or ""
    value_set = given.get("valueSet", "").partition("|")[0]
    return Binding(given["strength"], value_set, maximum.partition("|")[0])


def _constraints(given: Iterable[Json], url: str) -> Iterator[Constraint]:
    """Those that the structure itself states: inherited ones carry the URL of where they come from."""
    for one in given:
        if one.get("source", url) != url or (one["key"] in _EVERYWHERE and "source" not in one):
            continue
        yield Constraint(
            key=one["key"],
            human=one["human"],
            expression=one.get("expression", ""),
            severity=one["severity"],
            best_practice=bool(_extension(one, _BEST_PRACTICE)),
        )


def _slicing(given: Json) -> Slicing:
    return Slicing(
        tuple(Discriminator(one["type"], one["path"]) for one in given.get("discriminator", ())),
        given.get("rules", "open"),
        given.get("ordered", False),
    )


def _held(given: Json, prefix: str) -> Any:
    return next((held for key, held in given.items() if key.startswith(prefix)), None)


def _extension(given: Json, url: str) -> Any:
    for one in given.get("extension", ()):
        if one["url"] == url:
            return next((held for key, held in one.items() if key.startswith("value")), None)
    return None


def _regex_of_value(elements: Iterable[Json]) -> str:
    for element in elements:
        if element["path"].endswith(".value"):
            for one in element.get("type", ()):
                found = _extension(one, _REGEX)
                if found:
                    return str(found)
    return ""


def search_parameter_of(given: Json, package: str = "") -> SearchParameter:
    """The reduced form of a SearchParameter."""
    return SearchParameter(
        url=given["url"],
        name=given["code"],
        kind=given["type"],
        base=tuple(given["base"]),
        expression=given.get("expression", ""),
        targets=tuple(given.get("target", ())),
        components=tuple(
            Component(one["definition"].partition("|")[0], one["expression"]) for one in given.get("component", ())
        ),
        modifiers=tuple(given.get("modifier", ())),
        comparators=tuple(given.get("comparator", ())),
        chains=tuple(given.get("chain", ())),
        multiple_or=given.get("multipleOr", True),
        multiple_and=given.get("multipleAnd", True),
        package=package,
    )

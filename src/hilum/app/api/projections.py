"""Parts of resources: `_elements` and `_summary` (R4 search.html#summary, #elements). Pure.

What is mandatory always stays, and `meta.tag` says SUBSETTED, so that nobody writes a part back for the whole.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw, Struct

from hilum import definitions
from hilum.formats import fhir

__all__ = ["WHOLE", "Projection", "projected"]

_ALWAYS = ("resourceType", "id", "meta")
_SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}

_split = msgspec.json.Decoder(dict[str, Raw]).decode


class Projection(Struct, frozen=True):
    """What of a resource is asked for: `summary` is "", true, text or data; `elements` are top-level names."""

    summary: str = ""
    elements: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return not self.summary and not self.elements


WHOLE = Projection()


def projected(type_: str, body: bytes, projection: Projection) -> bytes:
    """A resource with the parts that are asked for; decimals keep their text."""
    if projection.is_whole:
        return body
    elements = _split(body)
    kept = {name: raw for name, raw in elements.items() if _is_kept(type_, name, projection)}
    if projection.summary == "true":
        kept = {name: _summary(type_, name, raw) for name, raw in kept.items()}
    kept["meta"] = _tagged(elements.get("meta"))
    order = [name for name in _ALWAYS if name in kept]
    order += [name for name in kept if name not in _ALWAYS]
    return msgspec.json.encode({name: kept[name] for name in order})


def _is_kept(type_: str, name: str, projection: Projection) -> bool:
    name = name.removeprefix("_")
    if name in _ALWAYS:
        return True
    if projection.summary == "data":
        return name != "text"
    mandatory, summary = _names(type_)
    if projection.summary == "text":
        return name == "text" or name in mandatory
    if projection.summary == "true":
        return name in summary or name in mandatory
    return name in mandatory or any(name == one or _is_choice_of(type_, name, one) for one in projection.elements)


def _is_choice_of(type_: str, name: str, asked: str) -> bool:
    """`value` asks for `valueQuantity`, too."""
    one = definitions.element(type_, f"{asked}[x]")
    return one is not None and name.startswith(asked)


@lru_cache(maxsize=1_024)
def _names(path: str) -> tuple[frozenset[str], frozenset[str]]:
    """JSON names of the mandatory elements, and of those of the summary, below `Type` or `Type.element`."""
    type_, _, at = path.partition(".")
    mandatory: set[str] = set()
    summary: set[str] = set()
    for one in definitions.children(type_, at).values():
        names = [definitions.choice_name(one.name, ref.code) for ref in one.types] if one.is_choice else [one.name]
        if one.is_required:
            mandatory.update(names)
        if one.is_summary:
            summary.update(names)
    return frozenset(mandatory), frozenset(summary)


def _summary(type_: str, name: str, raw: Raw) -> Raw:
    """Elements that R4 defines within the type have a summary of their own."""
    one = definitions.element(type_, name)
    if one is None or not any(ref.code == "BackboneElement" for ref in one.types):
        return raw
    return Raw(fhir.encode(_part(f"{type_}.{name}", fhir.decode(bytes(raw)))))


def _part(path: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_part(path, item) for item in value]
    if not isinstance(value, dict):
        return value
    mandatory, summary = _names(path)
    return {name: item for name, item in value.items() if name in mandatory or name in summary or name == "id"}


def _tagged(raw: Raw | None) -> Raw:
    meta = fhir.decode(bytes(raw)) if raw is not None else {}
    return Raw(fhir.encode({**meta, "tag": [*meta.get("tag", []), _SUBSETTED]}))

"""The FHIR attributes of the official tables as targets of rows: every step is an element of R4."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from msgspec import structs

from hilum.definitions import children, element
from hilum.workbook.v2_lines import LeftOut, Line

__all__ = ["target_of"]

_STEP = re.compile(r"(?P<name>[A-Za-z]\w*(?:\[x\])?)(?:\[(?P<item>\d+|[a-z]\w*)\])?(?P<of>\([^)]*\))?(?:\.|$)")
_OTHER = re.compile(r"[^()]*\((?P<type>[A-Z][A-Za-z]+)(?:\[\d+\])?\.(?P<rest>[a-z].*)\)")
# What lines call an element of a Coding by the name of its data type, or as HL7 v2 does.
_CODING = {"uri": "system", "value": "code"}


def target_of(line: Line, type_: str, resource: str, urls: Mapping[str, str], repairs: list[str]) -> tuple[str, str]:
    """(target, data type of its element): every step is an element of R4; extensions get their URL."""
    attribute = line.attribute.removeprefix(f"{type_}.")
    other = _OTHER.fullmatch(attribute)
    if other is not None:  # an element of the resource that is referred to
        repairs.append("other-resource")
        name = re.sub(r"[^a-z0-9]+", "-", f"{line.source}".lower()).strip("-")
        inner = structs.replace(line, attribute=other["rest"])
        before = attribute[: other.start("rest")]
        within = {path.removeprefix(before): url for path, url in urls.items() if path.startswith(before)}
        return target_of(inner, other["type"], f"{other['type']}:{name}" if name else other["type"], within, repairs)
    text, path, official = resource, "", ""
    at = 0
    leaf = ""
    while at < len(attribute):
        match = _STEP.match(attribute, at)
        if match is None:
            raise LeftOut("target-unclear", attribute)
        at = match.end()
        name, item = match["name"], match["item"]
        official = f"{official}.{match[0].rstrip('.')}" if official else match[0].rstrip(".")
        path = f"{path}.{name}" if path else name
        is_last = at >= len(attribute)
        if name == "extension":
            url = urls.get(official, "")
            if not url:
                raise LeftOut("extension-unnamed", official)
            text += f'.extension("{url}")' + (f"[{item}]" if item and not item.isdigit() else "")
            continue
        found = element(type_, path)
        if found is None or found.name == f"{name}[x]":
            between, right = _meant(type_, path.rpartition(".")[0], name, line.type)
            if not right:
                raise LeftOut("target-unknown", f"R4 has no {type_}.{path}")
            repairs.append("step-put-in" if between else "name-corrected")
            if between and (above := element(type_, path := f"{path.rpartition('.')[0]}.{between}")) is not None:
                text += f".{between}" + (f"[{_item(None, line.source)}]" if above.is_list else "")
            else:
                path = path.rpartition(".")[0]
            name, path = right, f"{path}.{right}".removeprefix(".")
            found = element(type_, path)
            assert found is not None
        leaf = found.types[0].code if len(found.types) == 1 else line.fhir
        text += f".{name}"
        if found.is_list:
            text += "[+]" if is_last else f"[{_item(item, line.source)}]"
            if not item:
                repairs.append("item-named")
        elif item:
            repairs.append("index-dropped")
    return text, leaf


def _meant(type_: str, path: str, name: str, v2_type: str) -> tuple[str, str]:
    """(step that was left out, name) of an element that R4 has not, where only one can be meant; ("", "") else.

    A letter or two off (`occurrenceTIming`, `organziation`), a choice without its type (`occurred` of a DTM), the parts
    of a Coding by other names, or one level further down (`content.data` for `content.attachment.data`).
    """
    known = [one for one in _named(type_, path) if one not in ("extension", "modifierExtension")]
    if name in _CODING and {"system", "code", "userSelected"} <= set(known):
        return "", _CODING[name]
    if v2_type in ("DTM", "TS") and f"{name}DateTime" in known:
        return "", f"{name}DateTime"
    near = [one for one in known if one.casefold() == name.casefold()] or get_close_matches(name, known, 2, 0.9)
    if len(near) == 1:
        return "", near[0]
    below = [step for step in known if path and element(type_, f"{path}.{step}.{name}") is not None]
    return (below[0], name) if len(below) == 1 else ("", "")


def _named(type_: str, path: str) -> Iterator[str]:
    """The children of an element as paths name them: a choice by each of its types."""
    for name, child in children(type_, path).items():
        base = name.removesuffix("[x]")
        codes = [one.code for one in child.types] if base != name else []
        yield from (f"{base}{code[0].upper()}{code[1:]}" for code in codes)
        if base == name:
            yield name


def _item(item: str | None, source: str) -> str:
    """The name that all lines share which write into one item."""
    return f"i{item}" if item else re.sub(r"[^a-z0-9]+", "-", source.lower()) or "one"

"""What needs more than the resource itself: resolve(), memberOf(), conformsTo(), and the keys of SQL on FHIR."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hilum.fhirpath import typenames
from hilum.fhirpath.code import Applied, Items
from hilum.fhirpath.failure import fail
from hilum.fhirpath.frame import Frame
from hilum.fhirpath.functions.building import Build, expect, one
from hilum.fhirpath.navigation import type_name
from hilum.fhirpath.shapes import ANY, STRING, Shape
from hilum.fhirpath.syntax import Call
from hilum.fhirpath.values import Element

if TYPE_CHECKING:
    from hilum.fhirpath.compiler import Compiler, Scope

__all__ = ["REFERENCES", "referenced_type"]

_PROFILES = "http://hl7.org/fhir/StructureDefinition/"
_REFERENCE = re.compile(r"(?:^|.*/)(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]+)?")


def _text(item: Any) -> str:
    """The text of a reference, a canonical or a URI; "" for anything else."""
    value = item.value if type(item) is Element else item
    if type(value) is dict:
        value = value.get("reference")
    return value if type(value) is str else ""


def referenced_type(item: Any) -> str:
    """The type that a reference says of its target: by `type`, or by its own text; "" where it says none."""
    value = item.value if type(item) is Element else item
    if type(value) is dict and type(value.get("type")) is str:
        return str(value["type"])
    match = _REFERENCE.fullmatch(_text(item))
    return match["type"] if match else ""


def _resolve(_compiler: Compiler, node: Call, _shape: Shape, _scope: Scope) -> Applied:
    """Contained resources, entries of the bundle at hand, then the caller's resolver; what is not found is left out."""
    expect(node, 0, 0)

    def step(items: Items, _this: Items, frame: Frame) -> Items:
        found = []
        for item in items:
            text = _text(item)
            target = _target(text, frame) if text else None
            if type(target) is dict:
                found.append(target)
        return found

    return Applied(step, ANY)


def _target(text: str, frame: Frame) -> Any:
    if text.startswith("#"):
        return _contained(text[1:], frame)
    for root in frame.root:
        if type(root) is dict and root.get("resourceType") == "Bundle":
            entry = _entry(root, text)
            if entry is not None:
                return entry
    return frame.resolver(text) if frame.resolver is not None else None


def _contained(id_: str, frame: Frame) -> Any:
    for root in (*frame.resource, *frame.root):
        contained = root.get("contained") if type(root) is dict else None
        if not id_:
            return root
        for one_ in contained if type(contained) is list else ():
            if type(one_) is dict and one_.get("id") == id_:
                return one_
    return None


def _entry(bundle: dict[str, Any], text: str) -> Any:
    match = _REFERENCE.fullmatch(text)
    entries = bundle.get("entry")
    for entry in entries if type(entries) is list else ():
        resource = entry.get("resource") if type(entry) is dict else None
        if type(resource) is not dict:
            continue
        if entry.get("fullUrl") == text:
            return resource
        if (
            match
            and "://" not in text
            and (resource.get("resourceType"), resource.get("id")) == match.group("type", "id")
        ):
            return resource
    return None


def _member_of(compiler: Compiler, node: Call, _shape: Shape, scope: Scope) -> Applied:
    """`memberOf(url)`: whether a code, Coding or CodeableConcept is in a value set, as the caller says."""
    (argument,) = expect(node, 1, 1)
    run, at = compiler.system(compiler.node(argument, scope)), node.at

    def answer(items: Items, this: Items, frame: Frame) -> bool | None:
        item, url = one(items, "memberOf", at), one(run(this, frame), "memberOf", at)
        if item is None or type(url) is not str:
            return None
        if frame.member is None:
            raise fail("memberOf() needs value sets, and none were given here", "fhirpath-no-terminology", at)
        return frame.member(item.value if type(item) is Element else item, url)

    return Applied.answer(answer)


def _conforms_to(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    """`conformsTo(url)`: types of R4 are known here, profiles are asked of the caller."""
    (argument,) = expect(node, 1, 1)
    run, at, model, lift = (
        compiler.system(compiler.node(argument, scope)),
        node.at,
        compiler.model,
        compiler.lift(shape),
    )

    def answer(items: Items, this: Items, frame: Frame) -> bool | None:
        item, url = one(lift(items), "conformsTo", at), one(run(this, frame), "conformsTo", at)
        if item is None or type(url) is not str:
            return None
        name = url.removeprefix(_PROFILES)
        if model is not None and model.has(name):
            return model.is_a(type_name(item), name)
        known = frame.conforms(item.value if type(item) is Element else item, url) if frame.conforms else None
        if known is None:
            raise fail("conformsTo() names a profile that is not loaded", "fhirpath-unknown-profile", at)
        return known

    return Applied.answer(answer)


def _resource_key(_compiler: Compiler, node: Call, _shape: Shape, _scope: Scope) -> Applied:
    """`getResourceKey()` of SQL on FHIR: `Patient/p1`."""
    expect(node, 0, 0)

    def step(items: Items, _this: Items, _frame: Frame) -> Items:
        return [
            f"{item['resourceType']}/{item['id']}"
            for item in items
            if type(item) is dict and type(item.get("id")) is str and type(item.get("resourceType")) is str
        ]

    return Applied(step, STRING)


def _reference_key(compiler: Compiler, node: Call, _shape: Shape, _scope: Scope) -> Applied:
    """`getReferenceKey(Type)` of SQL on FHIR: the key of the resource that a reference points at, of that type."""
    arguments = expect(node, 0, 1)
    wanted = typenames.resolve_type(typenames.name_in(arguments[0]), compiler.model, node.at).fhir if arguments else ""

    def step(items: Items, _this: Items, _frame: Frame) -> Items:
        matches = [_REFERENCE.fullmatch(_text(item)) for item in items]
        return [f"{match['type']}/{match['id']}" for match in matches if match and wanted in ("", match["type"])]

    return Applied(step, Shape(system="String"))


REFERENCES: dict[str, Build] = {
    "resolve": _resolve,
    "memberOf": _member_of,
    "conformsTo": _conforms_to,
    "getResourceKey": _resource_key,
    "getReferenceKey": _reference_key,
}

"""Tree navigation (FHIRPath N1, 5.8), type(), the clock (5.9), and extension() of R4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hilum.fhirpath import navigation
from hilum.fhirpath.code import Applied, Items
from hilum.fhirpath.frame import Frame
from hilum.fhirpath.functions.building import Build, expect
from hilum.fhirpath.shapes import ANY, Shape, one_of
from hilum.fhirpath.syntax import Call, Member
from hilum.fhirpath.temporal import now, parse_temporal, today
from hilum.fhirpath.values import Element, system_type

if TYPE_CHECKING:
    from hilum.fhirpath.compiler import Compiler, Scope

__all__ = ["TREE"]

_UNORDERED = Shape(is_ordered=False)


def _children(compiler: Compiler, node: Call, shape: Shape, _scope: Scope) -> Applied:
    expect(node, 0, 0)
    reach, lift, at = navigation.children(compiler.model), compiler.lift(shape), node.at

    def step(items: Items, _this: Items, frame: Frame) -> Items:
        found = reach(lift(items))
        frame.spend(len(found), at)
        return found

    return Applied(step, _UNORDERED)


def _descendants(compiler: Compiler, node: Call, shape: Shape, _scope: Scope) -> Applied:
    expect(node, 0, 0)
    reach, lift, at = navigation.children(compiler.model), compiler.lift(shape), node.at

    def step(items: Items, _this: Items, frame: Frame) -> Items:
        found: Items = []
        layer = reach(lift(items))
        while layer:
            frame.spend(len(layer), at)
            found += layer
            layer = reach(layer)
        return found

    return Applied(step, _UNORDERED)


def _extension(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    """`extension('url')`: the extensions of that URL."""
    (argument,) = expect(node, 1, 1)
    member = compiler.member(Member("extension", node.at), shape)
    run, step = compiler.system(compiler.node(argument, scope)), member.step

    def pick(items: Items, this: Items, frame: Frame) -> Items:
        wanted = run(this, frame)
        return [one for one in step(items, this, frame) if wanted and _url(one) == wanted[0]]

    return Applied(pick, member.shape.many())


def _url(item: Any) -> Any:
    value = item.value if type(item) is Element else item
    return value.get("url") if type(value) is dict else None


def _type(compiler: Compiler, node: Call, shape: Shape, _scope: Scope) -> Applied:
    """What each item is: `namespace` (FHIR, System) and `name`."""
    expect(node, 0, 0)
    lift = compiler.lift(shape)

    def step(items: Items, _this: Items, _frame: Frame) -> Items:
        return [_info(item) for item in lift(items)]

    return Applied(step, ANY.single() if shape.is_single else ANY)


def _info(item: Any) -> dict[str, str]:
    system = system_type(item)
    if system:
        return {"namespace": "System", "name": system}
    name = navigation.type_name(item)
    return {"namespace": "FHIR", "name": "BackboneElement" if "." in name else name or "Element"}


def _now(_compiler: Compiler, node: Call, _shape: Shape, _scope: Scope) -> Applied:
    expect(node, 0, 0)
    return Applied(lambda _items, _this, frame: [now(frame.now())], one_of("DateTime"))


def _today(_compiler: Compiler, node: Call, _shape: Shape, _scope: Scope) -> Applied:
    expect(node, 0, 0)
    return Applied(lambda _items, _this, frame: [today(frame.now())], one_of("Date"))


def _time_of_day(_compiler: Compiler, node: Call, _shape: Shape, _scope: Scope) -> Applied:
    expect(node, 0, 0)

    def step(_items: Items, _this: Items, frame: Frame) -> Items:
        return [parse_temporal(frame.now().time().isoformat(timespec="milliseconds"), "time")]

    return Applied(step, one_of("Time"))


TREE: dict[str, Build] = {
    "children": _children,
    "descendants": _descendants,
    "extension": _extension,
    "type": _type,
    "now": _now,
    "today": _today,
    "timeOfDay": _time_of_day,
}

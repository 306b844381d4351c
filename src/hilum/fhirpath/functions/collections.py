"""Subsetting and combining (FHIRPath N1, 5.3 and 5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum.fhirpath.code import Applied, Code, Items
from hilum.fhirpath.failure import fail
from hilum.fhirpath.frame import Frame
from hilum.fhirpath.functions.building import Build, expect, one
from hilum.fhirpath.operators import distinct, union
from hilum.fhirpath.shapes import ANY, Shape
from hilum.fhirpath.syntax import Call
from hilum.fhirpath.values import key_of

if TYPE_CHECKING:
    from hilum.fhirpath.compiler import Compiler, Scope

__all__ = ["COLLECTIONS"]


def _ordered(compiler: Compiler, node: Call, shape: Shape) -> None:
    """In strict mode, the error of asking an order of what has none (children(), descendants())."""
    if compiler.strict and not shape.is_ordered:
        raise fail(f"{node.name}() needs an order, and its input has none", "fhirpath-semantic", node.at)


def _slice(start: int | None, stop: int | None) -> Build:
    def build(compiler: Compiler, node: Call, shape: Shape, _scope: Scope) -> Applied:
        expect(node, 0, 0)
        _ordered(compiler, node, shape)
        is_single = (start, stop) in ((0, 1), (-1, None))
        return Applied(lambda items, _this, _frame: items[start:stop], shape.single() if is_single else shape)

    return build


def _counted(*, takes: bool) -> Build:
    def build(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
        (argument,) = expect(node, 1, 1)
        _ordered(compiler, node, shape)
        run, at = compiler.system(compiler.node(argument, scope)), node.at

        def step(items: Items, this: Items, frame: Frame) -> Items:
            count = one(run(this, frame), node.name, at)
            if count is None:
                return []
            if type(count) is not int:
                raise fail(f"{node.name}() takes a whole number", "fhirpath-type", at)
            return items[: max(count, 0)] if takes else items[max(count, 0) :]

        return Applied(step, shape)

    return build


def _single(_compiler: Compiler, node: Call, shape: Shape, _scope: Scope) -> Applied:
    expect(node, 0, 0)
    name, at = node.name, node.at

    def step(items: Items, _this: Items, _frame: Frame) -> Items:
        one(items, name, at)
        return items

    return Applied(step, shape.single())


def _two(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> tuple[Code, Code]:
    """Input and argument as codes; the input stands for `$this` of the first."""
    (argument,) = expect(node, 1, 1)
    return Code(lambda this, _frame: this, shape), compiler.node(argument, scope)


def _union(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    left, right = _two(compiler, node, shape, scope)
    merged = union(compiler, left, right).shape
    if merged is not ANY or compiler.merged(shape, right.shape) is not None:
        values, run = compiler.values(merged), right.run
        return Applied(lambda items, this, frame: distinct(items + run(this, frame), values), merged)
    lift, lifted = compiler.lift(shape), compiler.lifted(right).run
    values = compiler.values(ANY)
    return Applied(lambda items, this, frame: distinct(lift(items) + lifted(this, frame), values), ANY)


def _combine(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    _, right = _two(compiler, node, shape, scope)
    merged = compiler.merged(shape, right.shape)
    if merged is not None:
        run = right.run
        return Applied(lambda items, this, frame: items + run(this, frame), merged)
    lift, lifted = compiler.lift(shape), compiler.lifted(right).run
    return Applied(lambda items, this, frame: lift(items) + lifted(this, frame), ANY)


def _among(*, keeps: bool) -> Build:
    def build(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
        _, right = _two(compiler, node, shape, scope)
        values, run = compiler.values(shape), compiler.system(right)

        def step(items: Items, this: Items, frame: Frame) -> Items:
            keys = {key_of(value) for value in run(this, frame)}
            found = [item for item in items if (bool(value := values([item])) and key_of(value[0]) in keys) is keeps]
            return distinct(found, values) if keeps else found

        return Applied(step, shape)

    return build


COLLECTIONS: dict[str, Build] = {
    "first": _slice(0, 1),
    "last": _slice(-1, None),
    "tail": _slice(1, None),
    "skip": _counted(takes=False),
    "take": _counted(takes=True),
    "single": _single,
    "union": _union,
    "combine": _combine,
    "intersect": _among(keeps=True),
    "exclude": _among(keeps=False),
}

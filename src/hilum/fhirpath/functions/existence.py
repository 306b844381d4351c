"""Existence (FHIRPath N1, 5.1), and not(), hasValue(), getValue()."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum.fhirpath.code import Applied, Items, truth_of
from hilum.fhirpath.failure import fail
from hilum.fhirpath.frame import Frame
from hilum.fhirpath.functions.building import Build, criterion, expect, one, uses_index
from hilum.fhirpath.operators import distinct
from hilum.fhirpath.shapes import INTEGER, Shape
from hilum.fhirpath.syntax import Call
from hilum.fhirpath.values import Element, key_of, system_value

if TYPE_CHECKING:
    from hilum.fhirpath.compiler import Compiler, Scope

__all__ = ["EXISTENCE"]


def _empty(_compiler: Compiler, node: Call, _shape: Shape, _scope: Scope) -> Applied:
    expect(node, 0, 0)
    return Applied.answer(lambda items, _this, _frame: not items)


def _exists(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    arguments = expect(node, 0, 1)
    if not arguments:
        return Applied.answer(lambda items, _this, _frame: bool(items))
    test, at = criterion(compiler, arguments[0], shape, scope), node.at
    counts = uses_index(arguments[0])

    def answer(items: Items, _this: Items, frame: Frame) -> bool:
        frame.spend(len(items), at)
        before, found = frame.index, False
        for index, item in enumerate(items):
            if counts:
                frame.index = index
            if test([item], frame):
                found = True
                break
        frame.index = before
        return found

    return Applied.answer(answer)


def _all(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    (argument,) = expect(node, 1, 1)
    test, at = criterion(compiler, argument, shape, scope), node.at

    def answer(items: Items, _this: Items, frame: Frame) -> bool:
        frame.spend(len(items), at)
        before, found = frame.index, True
        for index, item in enumerate(items):
            frame.index = index
            if not test([item], frame):
                found = False
                break
        frame.index = before
        return found

    return Applied.answer(answer)


def _of_booleans(*, wanted: bool, needs_all: bool) -> Build:
    def build(compiler: Compiler, node: Call, shape: Shape, _scope: Scope) -> Applied:
        expect(node, 0, 0)
        values, name, at = compiler.values(shape), node.name, node.at

        def answer(items: Items, _this: Items, _frame: Frame) -> bool:
            found = values(items)
            if not all(type(value) is bool for value in found):
                raise fail(f"{name}() takes booleans", "fhirpath-type", at)
            hits = [value is wanted for value in found]
            return all(hits) if needs_all else any(hits)

        return Applied.answer(answer)

    return build


def _subset(*, flipped: bool) -> Build:
    def build(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
        (argument,) = expect(node, 1, 1)
        other = compiler.node(argument, scope)
        values, run = compiler.values(shape), compiler.system(other)

        def answer(items: Items, this: Items, frame: Frame) -> bool:
            mine = {key_of(value) for value in values(items)}
            yours = {key_of(value) for value in run(this, frame)}
            return yours <= mine if flipped else mine <= yours

        return Applied.answer(answer)

    return build


def _count(_compiler: Compiler, node: Call, _shape: Shape, _scope: Scope) -> Applied:
    expect(node, 0, 0)
    return Applied(lambda items, _this, _frame: [len(items)], INTEGER)


def _distinct(compiler: Compiler, node: Call, shape: Shape, _scope: Scope) -> Applied:
    expect(node, 0, 0)
    values = compiler.values(shape)
    return Applied(lambda items, _this, _frame: distinct(items, values), shape)


def _is_distinct(compiler: Compiler, node: Call, shape: Shape, _scope: Scope) -> Applied:
    expect(node, 0, 0)
    values = compiler.values(shape)
    return Applied.answer(lambda items, _this, _frame: len(distinct(items, values)) == len(items))


def _not(_compiler: Compiler, node: Call, _shape: Shape, _scope: Scope) -> Applied:
    expect(node, 0, 0)
    at = node.at

    def answer(items: Items, _this: Items, _frame: Frame) -> bool | None:
        found = truth_of(items, at)
        return None if found is None else not found

    return Applied.answer(answer)


def _has_value(compiler: Compiler, node: Call, shape: Shape, _scope: Scope) -> Applied:
    """Whether there is exactly one primitive, and it has a value (R4 fhirpath.html#functions)."""
    expect(node, 0, 0)
    model = compiler.model
    if shape.fhir and model is not None and not model.is_primitive(shape.fhir):
        return Applied.answer(lambda _items, _this, _frame: False)
    return Applied.answer(lambda items, _this, _frame: len(items) == 1 and _value(items[0]) is not None)


def _value(item: object) -> object:
    value = item.value if type(item) is Element else item
    return None if type(value) is dict else value


def _get_value(_compiler: Compiler, node: Call, _shape: Shape, _scope: Scope) -> Applied:
    expect(node, 0, 0)
    name, at = node.name, node.at

    def step(items: Items, _this: Items, _frame: Frame) -> Items:
        item = one(items, name, at)
        return [] if item is None or _value(item) is None else [system_value(item)]

    return Applied(step, Shape(is_single=True))


EXISTENCE: dict[str, Build] = {
    "empty": _empty,
    "exists": _exists,
    "all": _all,
    "allTrue": _of_booleans(wanted=True, needs_all=True),
    "anyTrue": _of_booleans(wanted=True, needs_all=False),
    "allFalse": _of_booleans(wanted=False, needs_all=True),
    "anyFalse": _of_booleans(wanted=False, needs_all=False),
    "subsetOf": _subset(flipped=False),
    "supersetOf": _subset(flipped=True),
    "count": _count,
    "distinct": _distinct,
    "isDistinct": _is_distinct,
    "not": _not,
    "hasValue": _has_value,
    "getValue": _get_value,
}

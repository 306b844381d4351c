"""Filtering and projection (FHIRPath N1, 5.2), iif (5.5), aggregate (7), sort, trace and defineVariable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

from hilum.fhirpath import typenames
from hilum.fhirpath.code import Applied, Items, Run, truth
from hilum.fhirpath.failure import fail
from hilum.fhirpath.frame import Frame
from hilum.fhirpath.functions.building import Build, criterion, expect, one, projection, uses_index
from hilum.fhirpath.shapes import ANY, Shape
from hilum.fhirpath.syntax import Call, Literal, Node, Polarity
from hilum.fhirpath.values import compare, key_of

if TYPE_CHECKING:
    from hilum.fhirpath.compiler import Compiler, Scope

__all__ = ["FILTERING"]


def _where(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    (argument,) = expect(node, 1, 1)
    test, at = criterion(compiler, argument, shape, scope), node.at
    if not uses_index(argument):

        def step(items: Items, _this: Items, frame: Frame) -> Items:
            frame.spend(len(items), at)
            return [item for item in items if test([item], frame)]

        return Applied(step, shape)

    def counted(items: Items, _this: Items, frame: Frame) -> Items:
        frame.spend(len(items), at)
        return [item for item, found in zip(items, _each(items, frame, test), strict=True) if found]

    return Applied(counted, shape)


def _each(items: Items, frame: Frame, work: Callable[[Items, Frame], Any]) -> list[Any]:
    """What `work` makes of each item, with `$index` set."""
    before, found = frame.index, []
    for index, item in enumerate(items):
        frame.index = index
        found.append(work([item], frame))
    frame.index = before
    return found


def _select(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    (argument,) = expect(node, 1, 1)
    code, at = projection(compiler, argument, shape, scope), node.at
    run = code.run

    def step(items: Items, _this: Items, frame: Frame) -> Items:
        found = [one for part in _each(items, frame, run) for one in part]
        frame.spend(len(items) + len(found), at)
        return found

    single = shape.is_single and code.shape.is_single
    return Applied(step, code.shape if single else code.shape.many())


def _repeat(*, unique: bool) -> Build:
    def build(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
        (argument,) = expect(node, 1, 1)
        first = projection(compiler, argument, shape, scope)
        later = projection(compiler, argument, first.shape, scope)
        out = first.shape.many()
        if not (later.shape.fhir == first.shape.fhir and later.shape.system == first.shape.system):
            first = compiler.lifted(first)
            out = Shape(is_ordered=False)
            later = compiler.lifted(projection(compiler, argument, ANY, scope))
        keys = _Keys(compiler, out) if unique else None
        return Applied(_Repeat(first.run, later.run, keys, node.at), out)

    return build


class _Keys:
    """What tells the items of a shape apart."""

    def __init__(self, compiler: Compiler, shape: Shape) -> None:
        self._values = compiler.values(shape)

    def __call__(self, item: Any) -> Any:
        value = self._values([item])
        return key_of(value[0]) if value else id(item)


class _Repeat:
    """The transitive closure; with `keys`, what was found already is not followed again."""

    def __init__(self, first: Run, later: Run, keys: _Keys | None, at: int) -> None:
        self.first, self.later, self.keys, self.at = first, later, keys, at

    def __call__(self, items: Items, _this: Items, frame: Frame) -> Items:
        found, seen = [], set()
        waiting = [one for item in items for one in self.first([item], frame)]
        while waiting:
            frame.spend(len(waiting), self.at)
            following: Items = []
            for item in waiting:
                if self.keys is not None:
                    key = self.keys(item)
                    if key in seen:
                        continue
                    seen.add(key)
                found.append(item)
                following += self.later([item], frame)
            waiting = following
        return found


def _of_type(compiler: Compiler, node: Call, shape: Shape, _scope: Scope) -> Applied:
    (argument,) = expect(node, 1, 1)
    name = typenames.resolve_type(typenames.name_in(argument), compiler.model, argument.at)
    known = typenames.matches_shape(name, shape, compiler.model, exact=True)
    if known is not None:
        return Applied((lambda items, _this, _frame: items) if known else (lambda _items, _this, _frame: []), shape)
    test = typenames.matches(name, compiler.model, exact=True)
    return Applied(lambda items, _this, _frame: [one for one in items if test(one)], compiler.narrowed(name, shape))


def _is(compiler: Compiler, node: Call, shape: Shape, _scope: Scope) -> Applied:
    (argument,) = expect(node, 1, 1)
    name = typenames.resolve_type(typenames.name_in(argument), compiler.model, argument.at)
    known = typenames.matches_shape(name, shape, compiler.model, exact=False)
    test, at = typenames.matches(name, compiler.model, exact=False), node.at

    def answer(items: Items, _this: Items, _frame: Frame) -> bool | None:
        item = one(items, "is", at)
        if item is None:
            return None
        return known if known is not None else test(item)

    return Applied.answer(answer)


def _iif(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    arguments = expect(node, 2, 3)
    inner = scope.within(shape) if shape is not scope.this else scope
    test = truth(compiler.node(arguments[0], inner), node.at)
    branches = [compiler.node(argument, inner) for argument in arguments[1:]]
    merged = branches[0].shape
    for branch in branches[1:]:
        merged = compiler.merged(merged, branch.shape) or ANY
    if merged is ANY:
        branches = [compiler.lifted(branch) for branch in branches]
    then, otherwise, at = branches[0].run, branches[1].run if len(branches) > 1 else None, node.at

    def step(items: Items, _this: Items, frame: Frame) -> Items:
        one(items, "iif", at)
        if test(items, frame):
            return then(items, frame)
        return [] if otherwise is None else otherwise(items, frame)

    single = all(branch.shape.is_single for branch in branches)
    return Applied(step, merged.single() if single else merged)


def _aggregate(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    arguments = expect(node, 1, 2)
    lift, this = compiler.lifting(shape)
    inner = scope.within(this)
    inner = replace(inner, total=ANY)
    run = compiler.lifted(compiler.node(arguments[0], inner)).run
    start = compiler.lifted(compiler.node(arguments[1], scope)).run if len(arguments) > 1 else None
    at = node.at

    def step(items: Items, this: Items, frame: Frame) -> Items:
        frame.spend(len(items), at)
        index, total = frame.index, frame.total
        frame.total = start(this, frame) if start is not None else []
        for position, item in enumerate(lift(items)):
            frame.index = position
            frame.total = run([item], frame)
        found, frame.index, frame.total = frame.total, index, total
        return found

    return Applied(step, ANY)


def _sort(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    """By each key in turn; `-key` is descending; nothing comes first."""
    keys: list[tuple[Run, bool]] = []
    for argument in node.arguments:
        descending = isinstance(argument, Polarity) and argument.sign == "-"
        inner: Node = argument.operand if isinstance(argument, Polarity) and descending else argument
        keys.append((compiler.system(projection(compiler, inner, shape, scope)), descending))
    if not keys:
        values = compiler.values(shape)
        keys.append((lambda this, _frame: values(this), False))
    at = node.at

    def step(items: Items, _this: Items, frame: Frame) -> Items:
        frame.spend(len(items), at)
        rows = [[one(run([item], frame), "sort", at) for run, _ in keys] for item in items]

        def order(left: int, right: int) -> int:
            for (_, descending), mine, yours in zip(keys, rows[left], rows[right], strict=True):
                found = _compared(mine, yours, at, -1 if descending else 1)
                if found:
                    return found
            return 0

        return [items[index] for index in sorted(range(len(items)), key=cmp_to_key(order))]

    return Applied(step, shape)


def _compared(left: Any, right: Any, at: int, direction: int) -> int:
    if left is None or right is None:
        return (left is not None) - (right is not None)
    less, greater = compare(left, right, at)
    return -direction if less else direction if greater else 0


def _trace(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    arguments = expect(node, 1, 2)
    name = compiler.system(compiler.node(arguments[0], scope))
    shown = projection(compiler, arguments[1], shape, scope).run if len(arguments) > 1 else None

    def step(items: Items, this: Items, frame: Frame) -> Items:
        if frame.trace is not None:
            label = "".join(str(part) for part in name(this, frame))
            found = items if shown is None else [one for item in items for one in shown([item], frame)]
            frame.trace(label, found)
        return items

    return Applied(step, shape)


def _define_variable(compiler: Compiler, node: Call, shape: Shape, scope: Scope) -> Applied:
    """`defineVariable('name', expression)`: later in the same chain `%name` stands for it."""
    arguments = expect(node, 1, 2)
    match arguments[0]:
        case Literal(value=str() as name):
            pass
        case _:
            raise fail("defineVariable() takes its name as a text", "fhirpath-semantic", node.at)
    if name in scope.defined:
        raise fail(f"%{name} is defined already", "fhirpath-semantic", node.at)
    lift, this = compiler.lifting(shape)
    value = compiler.lifted(compiler.node(arguments[1], scope.within(this))).run if len(arguments) > 1 else None

    def step(items: Items, _this: Items, frame: Frame) -> Items:
        lifted = lift(items)
        frame.env = {**frame.env, name: lifted if value is None else value(lifted, frame)}
        return items

    return Applied(step, shape)


FILTERING: dict[str, Build] = {
    "where": _where,
    "select": _select,
    "repeat": _repeat(unique=True),
    "repeatAll": _repeat(unique=False),
    "ofType": _of_type,
    "as": _of_type,
    "is": _is,
    "iif": _iif,
    "aggregate": _aggregate,
    "sort": _sort,
    "trace": _trace,
    "defineVariable": _define_variable,
}

"""Operators: equality, order, booleans of three values, arithmetic, collections (FHIRPath N1, section 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, DecimalException
from typing import TYPE_CHECKING, Any

from hilum.fhirpath import typenames
from hilum.fhirpath.code import Code, Items, boolean, truth
from hilum.fhirpath.failure import FhirPathError, fail
from hilum.fhirpath.frame import Frame
from hilum.fhirpath.quantity import EXACT, Quantity
from hilum.fhirpath.shapes import ANY, Shape, one_of
from hilum.fhirpath.syntax import Binary, Call, Chain, Polarity, TypeTest
from hilum.fhirpath.temporal import Temporal, add_units
from hilum.fhirpath.values import compare, equal, equal_all, equivalent_all, key_of, system_type

if TYPE_CHECKING:
    from hilum.fhirpath.compiler import Compiler, Scope

__all__ = ["LONGEST_TEXT", "binary", "polarity", "type_test", "union"]

LONGEST_TEXT = 10_000_000  # characters of a text that an expression builds
_INTEGERS = range(-(2**63), 2**63)
_NUMBERS = frozenset({int, Decimal})


def binary(compiler: Compiler, node: Binary, scope: Scope) -> Code:
    """The code of an operator between two operands."""
    if node.operator in _LOGIC:
        return _logic(compiler, node, scope)
    left, right = compiler.node(node.left, scope), compiler.node(node.right, scope)
    return _BUILDERS[node.operator](compiler, node, left, right)


def polarity(compiler: Compiler, node: Polarity, scope: Scope) -> Code:
    """`-x`, `+x`."""
    code = compiler.node(node.operand, scope)
    run, negative, at = compiler.system(code), node.sign == "-", node.at

    def signed(this: Items, frame: Frame) -> Items:
        value = _one(run(this, frame), at)
        if value is None:
            return []
        if type(value) is Quantity:
            return [Quantity(-value.value, value.unit, value.is_calendar) if negative else value]
        if type(value) not in _NUMBERS:
            raise fail(f"`{node.sign}` takes a number or a quantity", "fhirpath-type", at)
        return [-value if negative else value]

    system = code.shape.system if code.shape.system in ("Integer", "Decimal", "Quantity") else ""
    return Code(signed, one_of(system))


def type_test(compiler: Compiler, node: TypeTest, scope: Scope) -> Code:
    """`x is Type`."""
    by_reference = _reference_test(compiler, node, scope)
    if by_reference is not None:
        return by_reference
    code = compiler.node(node.operand, scope)
    name = typenames.resolve_type(node.type, compiler.model, node.at)
    known = typenames.matches_shape(name, code.shape, compiler.model, exact=False)
    test = typenames.matches(name, compiler.model, exact=False)
    run, at = code.run, node.at

    def answer(this: Items, frame: Frame) -> bool | None:
        item = _one(run(this, frame), at)
        if item is None:
            return None
        return known if known is not None else test(item)

    return boolean(answer)


def _reference_test(compiler: Compiler, node: TypeTest, scope: Scope) -> Code | None:
    """`resolve() is Patient`: where nobody can resolve, a reference says its type by itself."""
    match node.operand:
        case Call(name="resolve") as last:
            before: Code = Code(lambda this, _frame: this, scope.this)
        case Chain(links=(*links, Call(name="resolve") as last)):
            head = node.operand.head
            before = compiler.node(Chain(head, tuple(links), node.at) if links else head, scope)
        case _:
            return None
    from hilum.fhirpath.functions.references import referenced_type

    name = typenames.resolve_type(node.type, compiler.model, node.at)
    resolve = compiler.call(last, before.shape, scope).step
    test, model = typenames.matches(name, compiler.model, exact=False), compiler.model

    def answer(this: Items, frame: Frame) -> bool | None:
        items = before.run(this, frame)
        found = _one(resolve(items, this, frame), node.at)
        if found is not None:
            return test(found)
        said = referenced_type(_one(items, node.at))
        return None if not said else said == name.fhir or (model is not None and model.is_a(said, name.fhir))

    return boolean(answer)


def _one(items: Items, at: int) -> Any:
    """The one item; None for none. Raises FhirPathError `fhirpath-not-single`."""
    if len(items) > 1:
        raise fail("this takes one item, and here are several", "fhirpath-not-single", at)
    return items[0] if items else None


def _logic(compiler: Compiler, node: Binary, scope: Scope) -> Code:
    left = truth(compiler.node(node.left, scope), node.at)
    right = truth(compiler.node(node.right, scope), node.at)
    return boolean(_LOGIC[node.operator](left, right))


Truth = Callable[[Items, Frame], bool | None]


def _and(left: Truth, right: Truth) -> Truth:
    def answer(this: Items, frame: Frame) -> bool | None:
        first = left(this, frame)
        if first is False:
            return False
        second = right(this, frame)
        return second if first or second is False else None

    return answer


def _or(left: Truth, right: Truth) -> Truth:
    def answer(this: Items, frame: Frame) -> bool | None:
        first = left(this, frame)
        if first:
            return True
        second = right(this, frame)
        return second if first is False or second else None

    return answer


def _xor(left: Truth, right: Truth) -> Truth:
    def answer(this: Items, frame: Frame) -> bool | None:
        first, second = left(this, frame), right(this, frame)
        return None if first is None or second is None else first is not second

    return answer


def _implies(left: Truth, right: Truth) -> Truth:
    def answer(this: Items, frame: Frame) -> bool | None:
        first = left(this, frame)
        if first is False:
            return True
        second = right(this, frame)
        return second if first or second else None

    return answer


_LOGIC = {"and": _and, "or": _or, "xor": _xor, "implies": _implies}


def _equality(compiler: Compiler, node: Binary, left: Code, right: Code) -> Code:
    is_equal = node.operator == "="
    quick = _quick(compiler, left, right, is_equal=is_equal)
    if quick is not None:
        return boolean(quick)
    one, other = compiler.system(left), compiler.system(right)

    def answer(this: Items, frame: Frame) -> bool | None:
        found, wanted = one(this, frame), other(this, frame)
        same = equal(found[0], wanted[0]) if len(found) == len(wanted) == 1 else equal_all(found, wanted)
        return same if same is None or is_equal else not same

    return boolean(answer)


def _quick(compiler: Compiler, left: Code, right: Code, *, is_equal: bool) -> Truth | None:
    """`use = 'official'`: one element that is a text in JSON, against a text that is known."""
    if not (left.key and right.constant and type(right.constant[0]) is str):
        return None
    if compiler.values(left.shape) is not compiler.values(Shape(fhir="code")):
        return None
    key, wanted = left.key, right.constant[0]

    def answer(this: Items, _frame: Frame) -> bool | None:
        if not this:
            return None
        found = this[0].get(key)
        return None if found is None else (found == wanted) is is_equal

    return answer


def _equivalence(compiler: Compiler, node: Binary, left: Code, right: Code) -> Code:
    is_same = node.operator == "~"
    one, other = compiler.system(left), compiler.system(right)
    return boolean(lambda this, frame: equivalent_all(one(this, frame), other(this, frame)) is is_same)


def _order(compiler: Compiler, node: Binary, left: Code, right: Code) -> Code:
    one, other, at = compiler.system(left), compiler.system(right), node.at
    wants_less, allows_same = node.operator[0] == "<", len(node.operator) == 2

    def answer(this: Items, frame: Frame) -> bool | None:
        first, second = _one(one(this, frame), at), _one(other(this, frame), at)
        if first is None or second is None:
            return None
        less, greater = compare(first, second, at)
        if less is None or greater is None:
            return None
        return not (greater if wants_less else less) if allows_same else (less if wants_less else greater)

    return boolean(answer)


def _membership(compiler: Compiler, node: Binary, left: Code, right: Code) -> Code:
    item, among = (left, right) if node.operator == "in" else (right, left)
    if not among.shape.fhir and not item.shape.fhir:
        item, among = compiler.lifted(item), compiler.lifted(among)
    one, many, at = compiler.system(item), compiler.system(among), node.at

    def answer(this: Items, frame: Frame) -> bool | None:
        wanted = _one(one(this, frame), at)
        if wanted is None:
            return None
        found = many(this, frame)
        return any(equal(wanted, value) for value in found)

    return boolean(answer)


def union(compiler: Compiler, left: Code, right: Code) -> Code:
    """The items of both without duplicates, in order of appearance."""
    if left.constant == ():
        left = replace(left, shape=right.shape)
    if right.constant == ():
        right = replace(right, shape=left.shape)
    shape = compiler.merged(left.shape, right.shape)
    if shape is None:
        left, right = compiler.lifted(left), compiler.lifted(right)
        shape = ANY
    values, one, other = compiler.values(shape), left.run, right.run

    def run(this: Items, frame: Frame) -> Items:
        return distinct(one(this, frame) + other(this, frame), values)

    return Code(run, shape)


def distinct(items: Items, values: Callable[[Items], Items]) -> Items:
    """The items without those that equal an earlier one."""
    if len(items) < 2:
        return items
    found: dict[Any, Any] = {}
    for item in items:
        value = values([item])
        found.setdefault(key_of(value[0]) if value else id(item), item)
    return list(found.values())


def _arithmetic(compiler: Compiler, node: Binary, left: Code, right: Code) -> Code:
    one, other, at = compiler.system(left), compiler.system(right), node.at
    work = _ARITHMETIC[node.operator]

    def run(this: Items, frame: Frame) -> Items:
        first, second = _one(one(this, frame), at), _one(other(this, frame), at)
        if first is None or second is None:
            return []
        try:
            found = work(first, second)
        except DecimalException:
            return []
        except FhirPathError as error:
            raise fail(error.message, error.code, at) from None
        return [] if found is None or (type(found) is int and found not in _INTEGERS) else [found]

    systems = left.shape.system, right.shape.system
    same = systems[0] if systems[0] == systems[1] and node.operator in ("+", "-", "*") else ""
    return Code(run, one_of(same))


def _wrong(operator: str, left: Any, right: Any) -> FhirPathError:
    names = [system_type(one) or "a part of a resource" for one in (left, right)]
    return fail(f"`{operator}` does not go between {names[0]} and {names[1]}", "fhirpath-type")


def _plus(left: Any, right: Any) -> Any:
    kinds = type(left), type(right)
    if kinds == (int, int):
        return left + right
    if kinds[0] in _NUMBERS and kinds[1] in _NUMBERS:
        return EXACT.add(left, right)
    if kinds == (str, str):
        return _text(left + right)
    if kinds == (Temporal, Quantity):
        return _moved(left, right, 1)
    if kinds == (Quantity, Quantity):
        return left.plus(right, 1)
    raise _wrong("+", left, right)


def _minus(left: Any, right: Any) -> Any:
    kinds = type(left), type(right)
    if kinds == (int, int):
        return left - right
    if kinds[0] in _NUMBERS and kinds[1] in _NUMBERS:
        return EXACT.subtract(left, right)
    if kinds == (Temporal, Quantity):
        return _moved(left, right, -1)
    if kinds == (Quantity, Quantity):
        return left.plus(right, -1)
    raise _wrong("-", left, right)


def _moved(left: Temporal, right: Quantity, sign: int) -> Temporal | None:
    unit = right.calendar
    if not unit:
        raise fail(f"a date cannot be moved by `{right.unit}`: take years, months, days...", "fhirpath-type")
    return add_units(left, sign * right.value, unit)


def _times(left: Any, right: Any) -> Any:
    kinds = type(left), type(right)
    if kinds == (int, int):
        return left * right
    if kinds[0] in _NUMBERS and kinds[1] in _NUMBERS:
        return EXACT.multiply(left, right)
    if Quantity in kinds and all(kind is Quantity or kind in _NUMBERS for kind in kinds):
        if kinds[0] is not Quantity:
            return Quantity(EXACT.multiply(left, right.value), right.unit, right.is_calendar)
        return left.times(_quantity(right), divide=False)
    raise _wrong("*", left, right)


def _divide(left: Any, right: Any) -> Any:
    kinds = type(left), type(right)
    if kinds[0] in _NUMBERS and kinds[1] in _NUMBERS:
        return EXACT.divide(left, right) if right else None
    if Quantity in kinds and all(kind is Quantity or kind in _NUMBERS for kind in kinds):
        other = _quantity(right)
        return _quantity(left).times(other, divide=True) if other.value else None
    raise _wrong("/", left, right)


def _quantity(value: Any) -> Quantity:
    return value if type(value) is Quantity else Quantity(Decimal(value))


def _div(left: Any, right: Any) -> Any:
    if type(left) not in _NUMBERS or type(right) not in _NUMBERS:
        raise _wrong("div", left, right)
    if not right:
        return None
    if type(left) is int and type(right) is int:
        return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    return int(EXACT.divide_int(left, right))


def _mod(left: Any, right: Any) -> Any:
    if type(left) not in _NUMBERS or type(right) not in _NUMBERS:
        raise _wrong("mod", left, right)
    if not right:
        return None
    if type(left) is int and type(right) is int:
        return abs(left) % abs(right) * (-1 if left < 0 else 1)
    return EXACT.remainder(left, right)


def _text(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise fail(f"a text of more than {LONGEST_TEXT:,} characters", "fhirpath-too-much")
    return text


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": _plus,
    "-": _minus,
    "*": _times,
    "/": _divide,
    "div": _div,
    "mod": _mod,
}


def _concatenate(compiler: Compiler, node: Binary, left: Code, right: Code) -> Code:
    one, other, at = compiler.system(left), compiler.system(right), node.at

    def run(this: Items, frame: Frame) -> Items:
        parts = [_one(items(this, frame), at) for items in (one, other)]
        texts = ["" if part is None else part for part in parts]
        if not all(type(text) is str for text in texts):
            raise fail("`&` joins texts; use toString()", "fhirpath-type", at)
        return [_text("".join(texts))]

    return Code(run, one_of("String"))


Maker = Callable[["Compiler", Binary, Code, Code], Code]
_BUILDERS: dict[str, Maker] = {
    **dict.fromkeys(("=", "!="), _equality),
    **dict.fromkeys(("~", "!~"), _equivalence),
    **dict.fromkeys(("<", "<=", ">", ">="), _order),
    **dict.fromkeys(("in", "contains"), _membership),
    **dict.fromkeys(_ARITHMETIC, _arithmetic),
    "&": _concatenate,
    "|": lambda compiler, _node, left, right: union(compiler, left, right),
}

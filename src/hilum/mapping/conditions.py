"""`when` to Python: an expression over raw field texts, of our own names only; constants are bound, not spelled out."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, Protocol

from hilum.mapping.syntax import Binary, Call, Expression, Literal, Logic, Membership, Negation, Path, Word
from hilum.mapping.transforms.numbers import decimal_text

__all__ = ["CONSTANT_FALSE", "CONSTANT_TRUE", "Site", "compare", "condition_source"]

CONSTANT_TRUE, CONSTANT_FALSE = "True", "False"
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Site(Protocol):
    """Where a condition stands: how paths are read there, and what is known before any message comes."""

    def raw(self, path: Path) -> str:
        """Code that gives the raw text of a field (or of the anchored repetition)."""
        ...

    def text(self, path: Path) -> str:
        """Code that gives the text that a bare path means: first repetition, first component unless one is named."""
        ...

    def present(self, path: Path) -> str:
        """Code that tells whether a segment is there."""
        ...

    def segments(self, path: Path) -> str:
        """Code that counts segments."""
        ...

    def made(self, resource: str) -> str:
        """Code that tells whether a resource was opened."""
        ...

    def bind(self, value: object) -> str:
        """A name for a constant."""
        ...

    def counter(self, path: Path) -> str:
        """Code that counts valued repetitions."""
        ...

    def known(self, expression: Expression) -> str | None:
        """The text of a parameter, or of a word such as `event`; None when only the message tells."""
        ...


def compare(symbol: str, left: str, right: str) -> bool:
    """As numbers when both sides are numbers, else as text."""
    first, second = decimal_text(left), decimal_text(right)
    if first and second:
        return _COMPARISONS[symbol](float(first), float(second))
    return _COMPARISONS[symbol](left, right)


def _number_aware(symbol: str) -> Callable[[Any, Any], bool]:
    def test(left: Any, right: Any) -> bool:
        return compare(symbol, str(left), str(right))

    return test


def condition_source(expression: Expression | None, site: Site) -> str:
    """Python source of a condition; CONSTANT_TRUE or CONSTANT_FALSE when it is known already."""
    if expression is None:
        return CONSTANT_TRUE
    if isinstance(expression, Logic):
        return _logic(expression, site)
    if isinstance(expression, Negation):
        inner = condition_source(expression.part, site)
        if inner in (CONSTANT_TRUE, CONSTANT_FALSE):
            return CONSTANT_FALSE if inner == CONSTANT_TRUE else CONSTANT_TRUE
        return f"(not {inner})"
    if isinstance(expression, Binary):
        return _binary(expression, site)
    if isinstance(expression, Membership):
        return _membership(expression, site)
    if isinstance(expression, Call):
        return _call(expression, site)
    raise AssertionError(expression)


def _logic(expression: Logic, site: Site) -> str:
    neutral, final = (
        (CONSTANT_TRUE, CONSTANT_FALSE) if expression.operator == "and" else (CONSTANT_FALSE, CONSTANT_TRUE)
    )
    parts = [part for part in (condition_source(part, site) for part in expression.parts) if part != neutral]
    if final in parts:
        return final
    return f"({f' {expression.operator} '.join(parts)})" if parts else neutral


def _known(expression: Expression, site: Site) -> str | None:
    return expression.text if isinstance(expression, Literal) else site.known(expression)


def _operand(expression: Expression, site: Site) -> str:
    known = _known(expression, site)
    if known is not None:
        return site.bind(known)
    if isinstance(expression, Path):
        return site.text(expression)
    if isinstance(expression, Call):
        return _call(expression, site)
    assert isinstance(expression, Word)
    return "SENDER" if expression.name == "sender" else "SOURCE"


def _counts(expression: Expression) -> bool:
    return isinstance(expression, Call) and expression.name in ("count", "length")


def _is_number(expression: Expression) -> bool:
    return (isinstance(expression, Literal) and expression.number) or _counts(expression)


def _binary(expression: Binary, site: Site) -> str:
    left, right = _known(expression.left, site), _known(expression.right, site)
    if left is not None and right is not None:
        return str(compare(expression.operator, left, right))
    numeric = _is_number(expression.left) or _is_number(expression.right)
    if expression.operator in ("=", "!=") and not numeric:
        symbol = "==" if expression.operator == "=" else "!="
        return f"({_operand(expression.left, site)} {symbol} {_operand(expression.right, site)})"
    if _counts(expression.left) and isinstance(expression.right, Literal) and expression.right.text.isdecimal():
        symbol = "==" if expression.operator == "=" else expression.operator
        return f"({_operand(expression.left, site)} {symbol} {int(expression.right.text)})"
    test = site.bind(_number_aware(expression.operator))
    return f"{test}({_operand(expression.left, site)}, {_operand(expression.right, site)})"


def _membership(expression: Membership, site: Site) -> str:
    choices = [_known(choice, site) for choice in expression.choices]
    left = _known(expression.left, site)
    if None not in choices:
        wanted = frozenset(choice for choice in choices if choice is not None)
        if left is not None:
            return str((left in wanted) != expression.negated)
        symbol = "not in" if expression.negated else "in"
        return f"({_operand(expression.left, site)} {symbol} {site.bind(wanted)})"
    listed = ", ".join(_operand(choice, site) for choice in expression.choices)
    return f"({_operand(expression.left, site)} {'not in' if expression.negated else 'in'} ({listed},))"


def _of_nothing(call: Call) -> str:
    """A function of a field that is known to be absent."""
    if call.name in ("valued", "deleted"):
        return CONSTANT_FALSE
    if call.name in ("count", "length"):
        return "0"
    pattern = call.args[1]
    assert isinstance(pattern, Literal)
    return CONSTANT_TRUE if re.fullmatch(pattern.text, "") else CONSTANT_FALSE


def _call(call: Call, site: Site) -> str:
    argument = call.args[0]
    if call.name == "made":
        name = argument.name if isinstance(argument, Word) else str(argument)
        return site.made(name)
    assert isinstance(argument, Path)
    if argument.segment and not argument.field:
        return site.segments(argument) if call.name == "count" else site.present(argument)
    if site.known(argument) is not None:  # nothing is there
        return _of_nothing(call)
    if call.name == "valued":
        if argument.component or argument.sub:
            return f'({site.text(argument)} != "")'
        return f"({site.raw(argument)} not in UNVALUED)"
    if call.name == "deleted":
        return f"({site.raw(argument)} == DELETE)"
    if call.name == "count":
        return site.counter(argument)
    if call.name == "length":
        return f"len({site.text(argument)})"
    pattern = call.args[1]
    assert isinstance(pattern, Literal)
    match = site.bind(re.compile(pattern.text).fullmatch)
    if argument.occurrence < 0:  # one of the segments has such a text
        return f"any({match}(FIRST(one)) is not None for one in {site.raw(argument)}.split(REPETITION))"
    return f"({match}({site.text(argument)}) is not None)"

"""A tree as text again, with no more parentheses than it needs: `parse(render(tree)) == tree`."""

from __future__ import annotations

import re
from decimal import Decimal

from hilum.fhirpath.parser import PRECEDENCE, RESERVED
from hilum.fhirpath.quantity import Quantity
from hilum.fhirpath.syntax import (
    Binary,
    Call,
    Chain,
    Empty,
    Environment,
    Index,
    Link,
    Literal,
    Member,
    Node,
    Polarity,
    TypeTest,
    Variable,
)
from hilum.fhirpath.temporal import Temporal
from hilum.fhirpath.tokens import quote

__all__ = ["render"]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_UNARY, _TERM = 11, 12


def render(node: Node) -> str:
    """The text of a tree in one line, blanks around operators."""
    return _render(node, 0)


def _render(node: Node, floor: int) -> str:
    text, power = _parts(node)
    return f"({text})" if power < floor else text


def _parts(node: Node) -> tuple[str, int]:
    """The text, and how tightly it holds together."""
    match node:
        case Binary():
            power = PRECEDENCE[node.operator]
            left, right = _render(node.left, power), _render(node.right, power + 1)
            return f"{left} {node.operator} {right}", power
        case TypeTest():
            power = PRECEDENCE[node.operator]
            return f"{_render(node.operand, power)} {node.operator} {'.'.join(map(_name, node.type))}", power
        case Polarity():
            return f"{node.sign}{_render(node.operand, _UNARY)}", _UNARY
        case Chain():
            return _render(node.head, _TERM + 1) + "".join(map(_link, node.links)), _TERM
        case Member() | Call():
            return _step(node), _TERM + 1
        case _:
            return _term(node), _TERM + 1


def _term(node: Literal | Empty | Variable | Environment) -> str:
    match node:
        case Literal():
            return _literal(node.value)
        case Empty():
            return "{}"
        case Variable():
            return f"${node.name}"
    return f"%{node.name if _PLAIN_ENVIRONMENT.fullmatch(node.name) else quote(node.name, '`')}"


def _link(link: Link) -> str:
    return f"[{render(link.index)}]" if isinstance(link, Index) else f".{_step(link)}"


def _step(step: Member | Call) -> str:
    if isinstance(step, Member):
        return _name(step.name)
    return f"{_name(step.name)}({', '.join(map(render, step.arguments))})"


def _name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name not in RESERVED else quote(name, "`")


def _literal(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return quote(value, "'")
        case Decimal():
            return f"{value:f}"
        case Temporal():
            return value.literal
        case Quantity():
            return f"{value.value:f} {value.unit if value.is_calendar else quote(value.unit, chr(39))}"
    return str(value)

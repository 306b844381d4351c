"""What an expression is made of once it is parsed. `at` says where in the text; it plays no part in equality."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from hilum.fhirpath.quantity import Quantity
from hilum.fhirpath.temporal import Temporal

__all__ = [
    "Binary",
    "Call",
    "Chain",
    "Empty",
    "Environment",
    "Index",
    "Link",
    "Literal",
    "Member",
    "Node",
    "Polarity",
    "TypeTest",
    "Variable",
    "walk",
]

Value = bool | int | Decimal | str | Temporal | Quantity


@dataclass(frozen=True, slots=True)
class Literal:
    """`'text'`, `1`, `1.50`, `true`, `@2026-03`, `4 days`, `5 'mg'`."""

    value: Value
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Empty:
    """`{}`."""

    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Variable:
    """`$this`, `$index`, `$total`, without the sign."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Environment:
    """`%resource`, `` %`vs-administrative-gender` ``, without the sign."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Member:
    """A name: an element, or a type at the start of a path."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """`name(arguments)`."""

    name: str
    arguments: tuple[Node, ...] = ()
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Index:
    """`[index]`."""

    index: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """`head.link[index].call()`: what follows is applied in order; flat, however long."""

    head: Node
    links: tuple[Link, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Polarity:
    """`-x` or `+x`."""

    sign: str
    operand: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`; `at` is where the operator stands."""

    operator: str
    left: Node
    right: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class TypeTest:
    """`operand is FHIR.code`, `operand as Quantity`; `type` has one or two parts."""

    operator: str
    operand: Node
    type: tuple[str, ...]
    at: int = field(default=0, compare=False)


Link = Member | Call | Index
Node = Literal | Empty | Variable | Environment | Member | Call | Chain | Polarity | Binary | TypeTest


def walk(node: Node | Index) -> list[Node | Index]:
    """The node and all that it is made of, in no promised order."""
    found: list[Node | Index] = []
    waiting: list[Node | Index] = [node]
    while waiting:
        one = waiting.pop()
        found.append(one)
        match one:
            case Call():
                waiting += one.arguments
            case Index():
                waiting.append(one.index)
            case Chain():
                waiting += (one.head, *one.links)
            case Polarity() | TypeTest():
                waiting.append(one.operand)
            case Binary():
                waiting += (one.left, one.right)
            case _:
                pass
    return found

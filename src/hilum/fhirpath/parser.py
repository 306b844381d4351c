"""From tokens to a tree, by precedence (FHIRPath N1, section 6.8 and its ANTLR grammar)."""

from __future__ import annotations

from decimal import Decimal

from hilum.fhirpath.failure import FhirPathError, fail
from hilum.fhirpath.quantity import CALENDAR, Quantity
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
from hilum.fhirpath.temporal import parse_temporal
from hilum.fhirpath.tokens import Kind, Token, tokenize

__all__ = ["DEEPEST", "parse"]

DEEPEST = 100  # levels of parentheses, arguments and operators
LONGEST_NUMBER = 100  # digits
RESERVED = frozenset({"and", "or", "xor", "implies", "div", "mod", "true", "false"})
VARIABLES = frozenset({"$this", "$index", "$total"})
PRECEDENCE = {
    "implies": 1,
    **dict.fromkeys(("or", "xor"), 2),
    "and": 3,
    **dict.fromkeys(("in", "contains"), 4),
    **dict.fromkeys(("=", "~", "!=", "!~"), 5),
    **dict.fromkeys(("<", "<=", ">", ">="), 6),
    "|": 7,
    **dict.fromkeys(("is", "as"), 8),
    **dict.fromkeys(("+", "-", "&"), 9),
    **dict.fromkeys(("*", "/", "div", "mod"), 10),
}


def parse(text: str) -> Node:
    """The tree of an expression.

    Raises FhirPathError `fhirpath-syntax`, `fhirpath-too-long`, `fhirpath-too-deep`, with line and column.
    """
    try:
        return _Parser(tokenize(text)).whole()
    except FhirPathError as error:
        raise error.within(text) from None


class _Parser:
    """Reads one token list. `height` is how deep the node is that was read last."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.position = tokens, 0
        self.depth = self.height = 0

    def whole(self) -> Node:
        node = self.expression(0)
        if self.token.kind is not Kind.END:
            raise self.unexpected("an operator or the end")
        return node

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def take(self) -> Token:
        token = self.token
        self.position += 1
        return token

    def sees(self, symbol: str) -> bool:
        return self.token.kind is Kind.SYMBOL and self.token.text == symbol

    def expect(self, symbol: str) -> Token:
        if not self.sees(symbol):
            raise self.unexpected(f"`{symbol}`")
        return self.take()

    def unexpected(self, wanted: str) -> FhirPathError:
        token = self.token
        found = str(Kind.END) if token.kind is Kind.END else f"`{token.text[:40]}`"
        return fail(f"expected {wanted}, found {found}", "fhirpath-syntax", token.at)

    def grown(self, height: int, at: int) -> None:
        """Keep the height of what is being built; refuse what would be too deep to walk."""
        if height > DEEPEST:
            raise fail(f"an expression is at most {DEEPEST} levels deep; split it", "fhirpath-too-deep", at)
        self.height = height

    def expression(self, floor: int) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise fail(f"an expression is at most {DEEPEST} levels deep; split it", "fhirpath-too-deep", self.token.at)
        left = self.unary()
        while (power := self.power()) > floor:
            operator, height = self.take(), self.height
            if operator.text in ("is", "as"):
                left = TypeTest(operator.text, left, self.type_name(), operator.at)
                self.height = height
            else:
                left = Binary(operator.text, left, self.expression(power), operator.at)
            self.grown(max(height, self.height) + 1, operator.at)
        self.depth -= 1
        return left

    def power(self) -> int:
        return PRECEDENCE.get(self.token.text, 0) if self.token.kind in (Kind.SYMBOL, Kind.NAME) else 0

    def unary(self) -> Node:
        if not (self.sees("-") or self.sees("+")):
            return self.chain()
        sign = self.take()
        self.depth += 1
        if self.depth > DEEPEST:
            raise fail(f"an expression is at most {DEEPEST} levels deep; split it", "fhirpath-too-deep", sign.at)
        operand = self.unary()
        self.depth -= 1
        self.grown(self.height + 1, sign.at)
        return Polarity(sign.text, operand, sign.at)

    def chain(self) -> Node:
        at = self.token.at
        head = self.term()
        height, links = self.height, list[Link]()
        while self.sees(".") or self.sees("["):
            opening = self.take()
            if opening.text == ".":
                links.append(self.invocation())
            else:
                links.append(Index(self.expression(0), opening.at))
                self.expect("]")
            height = max(height, self.height)
        self.grown(height + 1 if links else height, at)
        return Chain(head, tuple(links), at) if links else head

    def term(self) -> Node:
        token = self.token
        self.height = 1
        if token.kind in _LITERALS:
            return self.literal()
        if token.kind is Kind.VARIABLE:
            if token.text not in VARIABLES:
                raise self.unexpected("$this, $index or $total")
            return Variable(self.take().text[1:], token.at)
        if token.kind is Kind.ENVIRONMENT:
            return Environment(self.take().text, token.at)
        if token.kind is Kind.NAME and token.text in ("true", "false"):
            return Literal(self.take().text == "true", token.at)
        if self.sees("("):
            self.take()
            inner = self.expression(0)
            self.expect(")")
            return inner
        if self.sees("{"):
            self.take()
            self.expect("}")
            return Empty(token.at)
        return self.invocation()

    def invocation(self) -> Member | Call:
        token = self.name("a value, a name or a function")
        self.height = 1
        if not self.sees("("):
            return Member(token.text, token.at)
        self.take()
        arguments, height = list[Node](), 1
        while not self.sees(")"):
            if arguments:
                self.expect(",")
            arguments.append(self.expression(0))
            height = max(height, self.height + 1)
        self.take()
        self.grown(height, token.at)
        return Call(token.text, tuple(arguments), token.at)

    def name(self, wanted: str) -> Token:
        token = self.token
        if token.kind is Kind.QUOTED or (token.kind is Kind.NAME and token.text not in RESERVED):
            return self.take()
        raise self.unexpected(wanted)

    def type_name(self) -> tuple[str, ...]:
        parts = [self.name("the name of a type").text]
        if self.sees("."):
            self.take()
            parts.append(self.name("the name of a type").text)
        return tuple(parts)

    def literal(self) -> Node:
        token = self.take()
        if token.kind is Kind.STRING:
            return Literal(token.text, token.at)
        if token.kind is Kind.NUMBER:
            return self.number(token)
        value = parse_temporal(token.text.lstrip("@"), str(token.kind))
        if value is None:
            raise fail(f"{token.text} is no date or time of the calendar", "fhirpath-syntax", token.at)
        return Literal(value, token.at)

    def number(self, token: Token) -> Node:
        unit = self.token
        if len(token.text) > LONGEST_NUMBER:
            raise fail(f"a number has at most {LONGEST_NUMBER} digits", "fhirpath-syntax", token.at)
        if unit.kind is Kind.STRING:
            self.take()
            return Literal(Quantity(Decimal(token.text), unit.text), token.at)
        if unit.kind is Kind.NAME and unit.text in CALENDAR:
            self.take()
            return Literal(Quantity(Decimal(token.text), unit.text, is_calendar=True), token.at)
        return Literal(Decimal(token.text) if "." in token.text else int(token.text), token.at)


_LITERALS = frozenset({Kind.STRING, Kind.NUMBER, Kind.DATE, Kind.DATETIME, Kind.TIME})

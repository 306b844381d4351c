"""The small languages of the workbook's cells, parsed to values: sources, conditions, transforms, anchors, targets.

One tokenizer and one recursive parser serve sources, conditions and transform arguments; docs/workbook.md is the
grammar. Nothing here runs anything: the result is a tree of the structs below.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from msgspec import Struct

__all__ = [
    "Binary",
    "Call",
    "Expression",
    "Literal",
    "Logic",
    "Membership",
    "Negation",
    "Param",
    "Path",
    "SyntaxProblem",
    "Word",
    "parse_condition",
    "parse_source",
    "parse_transform",
    "walk",
    "walk_paths",
]


class SyntaxProblem(ValueError):
    """A cell that does not follow the grammar; the text says what was expected."""


class Path(Struct, frozen=True):
    """`SEG[s]-F[r].C.S`. `segment` is "" for `@`; `field` 0 is the segment itself; index 0: not said, -1: `[*]`.

    A column of a record, or a path of a resource, has its name in `column`, its record in `segment`, and a number of
    ours in `field`.
    """

    segment: str
    occurrence: int = 0
    field: int = 0
    repetition: int = 0
    component: int = 0
    sub: int = 0
    column: str = ""

    @property
    def place(self) -> str:
        """`PID-3`, or `patients[Birth Date]`: the field or column without what is in it."""
        return f"{self.segment}[{self.column}]" if self.column else f"{self.segment}-{self.field}"

    def __str__(self) -> str:
        if self.column:
            text = self.place + _index(self.repetition)
        elif not self.segment:
            text = "@"
        else:
            text = self.segment + _index(self.occurrence)
            if self.field:
                text += f"-{self.field}{_index(self.repetition)}"
        text += f".{self.component}" if self.component else ""
        return text + (f".{self.sub}" if self.sub else "")


class Literal(Struct, frozen=True):
    """A text or a number written in the cell."""

    text: str
    number: bool = False


class Param(Struct, frozen=True):
    """`param.zone`."""

    name: str


class Word(Struct, frozen=True):
    """A bare name: `kind`, `Patient`, `namespaces`, `true`."""

    name: str


class Call(Struct, frozen=True):
    """`name(arg, key=arg)`."""

    name: str
    args: tuple[Expression, ...] = ()
    named: tuple[tuple[str, Expression], ...] = ()


class Binary(Struct, frozen=True):
    """A comparison."""

    operator: str
    left: Expression
    right: Expression


class Membership(Struct, frozen=True):
    """`x in ("a", "b")`, or `not in`."""

    left: Expression
    choices: tuple[Expression, ...]
    negated: bool


class Logic(Struct, frozen=True):
    """`and` / `or` over two or more."""

    operator: str
    parts: tuple[Expression, ...]


class Negation(Struct, frozen=True):
    """`not x`."""

    part: Expression


Expression = Path | Literal | Param | Word | Call | Binary | Membership | Logic | Negation


def walk(expression: Expression | None) -> tuple[Expression, ...]:
    """The expression and everything in it, outer parts first."""
    return () if expression is None else _walked(expression)


@lru_cache(8192)
def _walked(expression: Expression) -> tuple[Expression, ...]:
    inner: tuple[Expression, ...] = ()
    if isinstance(expression, Call):
        inner = expression.args + tuple(value for _, value in expression.named)
    elif isinstance(expression, Binary):
        inner = (expression.left, expression.right)
    elif isinstance(expression, Membership):
        inner = (expression.left, *expression.choices)
    elif isinstance(expression, Logic):
        inner = expression.parts
    elif isinstance(expression, Negation):
        inner = (expression.part,)
    return (expression, *(one for part in inner for one in _walked(part)))


def walk_paths(expressions: Iterable[Expression | None]) -> Iterator[Path]:
    """Every path in the expressions."""
    for expression in expressions:
        yield from (part for part in walk(expression) if isinstance(part, Path))


def _index(value: int) -> str:
    return "" if value == 0 else "[*]" if value < 0 else f"[{value}]"


_PATH = (
    r"(?P<path>(?P<seg>[A-Z][A-Z0-9]{2})(?:\[(?P<occ>\*|[1-9]\d*)\])?-(?P<field>[1-9]\d*)(?:\[(?P<rep>\*|[1-9]\d*)\])?"
    r"(?:\.(?P<comp>[1-9]\d*))?(?:\.(?P<sub>[1-9]\d*))?(?![\w-])"
    r"|@(?:\.(?P<acomp>[1-9]\d*))?(?:\.(?P<asub>[1-9]\d*))?"
    r"|\[(?P<column>[^\[\]]+)\](?:\[(?P<crep>\*|[1-9]\d*)\])?(?:\.(?P<ccomp>[1-9]\d*))?)"
)
_TOKEN = re.compile(
    r"\s*(?:"
    + _PATH
    + r'|(?P<text>"(?:[^"\\]|\\.)*")'
    + r"|(?P<number>-?\d+(?:\.\d+)?)"
    + r"|param\.(?P<param>[A-Za-z_]\w*)"
    + r"|(?P<json>\{.*\})"
    + r"|(?P<word>[A-Za-z_]\w*(?:(?:[:-])[A-Za-z_]\w*)*)"
    + r"|(?P<op><=|>=|!=|[=<>(),|])"
    + r")",
    re.DOTALL,
)
_LINK = re.compile(r"\.[A-Za-z_]\w*|\[\d+\]|\(")  # of a path of a FHIR resource
_INSIDE = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[()]""", re.DOTALL)
_KEYWORDS = frozenset({"and", "or", "not", "in"})
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")


class _Token(Struct, frozen=True):
    kind: str  # value, word, op, end
    text: str
    at: int
    value: Expression | None = None


def _number(text: str | None) -> int:
    if not text:
        return 0
    return -1 if text == "*" else int(text)


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.end() == at:
            raise SyntaxProblem(f"cannot read `{text[at : at + 20].strip()}`")
        start, at = match.start("word"), match.end()
        if match["word"] and (stop := _element_path_end(text, at)) > at:
            found.append(_Token("value", text[start:stop], start, Path("", column=text[start:stop])))
            at = stop
        else:
            found.append(_token(match))
    found.append(_Token("end", "the end", at))
    return found


def _element_path_end(text: str, at: int) -> int:
    """Where a path of a FHIR resource ends whose first name ends at `at`; `at` when it is a word or a call.

    What follows the name decides: `name.given`, `extension('..').value`, `name[0].family`.
    """
    dots = 0
    while (match := _LINK.match(text, at)) is not None:
        after = match.end()
        if match[0] == "(":
            after = _closing(text, after)
            if after < 0 or (not dots and text[after : after + 1] != "."):
                return at
        dots += match[0].startswith(".") or match[0].startswith("[")
        at = after
    return at


def _closing(text: str, at: int) -> int:
    """Behind the parenthesis that closes the one before `at`; -1 when none does."""
    depth = 1
    for match in _INSIDE.finditer(text, at):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if not depth:
            return match.end()
    return -1


def _token(match: re.Match[str]) -> _Token:
    at, text = match.start(), match.group().strip()
    if match["path"]:
        return _Token("value", text, at, _path(match))
    if match["text"] is not None:
        return _Token(
            "value",
            text,
            at,
            Literal(re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], match["text"][1:-1])),
        )
    if match["number"]:
        return _Token("value", text, at, Literal(match["number"], number=True))
    if match["param"]:
        return _Token("value", text, at, Param(match["param"]))
    if match["json"]:
        return _Token("value", text, at, Word(match["json"]))
    if match["word"]:
        return _Token("op" if match["word"] in _KEYWORDS else "word", match["word"], at)
    return _Token("op", match["op"], at)


def _path(match: re.Match[str]) -> Path:
    if match["seg"]:
        return Path(
            match["seg"],
            _number(match["occ"]),
            int(match["field"]),
            _number(match["rep"]),
            _number(match["comp"]),
            _number(match["sub"]),
        )
    if match["column"]:
        name = match["column"].strip()
        return Path("", repetition=_number(match["crep"]), component=_number(match["ccomp"]), column=name)
    return Path("", component=_number(match["acomp"]), sub=_number(match["asub"]))


class _Parser:
    """Recursive descent over the tokens of one cell."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.at]

    def take(self, *texts: str) -> bool:
        if self.next.kind == "op" and self.next.text in texts:
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise SyntaxProblem(f"expected `{text}` before `{self.next.text}`")

    def finish(self) -> None:
        if self.next.kind != "end":
            raise SyntaxProblem(f"did not expect `{self.next.text}`")

    def condition(self) -> Expression:
        return self._logic("or", lambda: self._logic("and", self._negation))

    def _logic(self, operator: str, part: object) -> Expression:
        parse = part
        assert callable(parse)
        parts: list[Expression] = [parse()]
        while self.take(operator):
            parts.append(parse())
        return parts[0] if len(parts) == 1 else Logic(operator, tuple(parts))

    def _negation(self) -> Expression:
        if self.take("not"):
            return Negation(self._negation())
        if self.take("("):
            inner = self.condition()
            self.expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Expression:
        left = self.operand()
        if self.take("in"):
            return Membership(left, self._choices(), negated=False)
        if self.next.text == "not" and self.tokens[self.at + 1].text == "in":
            self.at += 2
            return Membership(left, self._choices(), negated=True)
        operator = self.next.text
        if self.take("=", "!=", "<", "<=", ">", ">="):
            return Binary(operator, left, self.operand())
        if not isinstance(left, Call):
            raise SyntaxProblem(
                f"expected a comparison before `{self.next.text}`; to ask whether it is there use valued(..)"
            )
        return left

    def _choices(self) -> tuple[Expression, ...]:
        self.expect("(")
        choices = [self.operand()]
        while self.take(","):
            choices.append(self.operand())
        self.expect(")")
        return tuple(choices)

    def operand(self) -> Expression:
        token = self.next
        if token.kind == "value":
            self.at += 1
            assert token.value is not None
            return token.value
        if token.kind == "word":
            self.at += 1
            return self._call(token.text) if self.take("(") else _word(token.text)
        raise SyntaxProblem(f"expected a value before `{token.text}`")

    def _call(self, name: str) -> Call:
        args: list[Expression] = []
        named: list[tuple[str, Expression]] = []
        while not self.take(")"):
            if args or named:
                self.expect(",")
            if self.next.kind == "word" and self.tokens[self.at + 1].text == "=":
                key = self.next.text
                self.at += 2
                named.append((key, self.operand()))
            else:
                args.append(self.operand())
        return Call(name, tuple(args), tuple(named))


def _word(text: str) -> Expression:
    return Path(text) if _SEGMENT.fullmatch(text) else Word(text)


@lru_cache(4096)
def parse_source(text: str) -> tuple[Expression, ...]:
    """Alternatives of a source cell, first to last; () when the cell is empty. Raises SyntaxProblem."""
    if not text.strip():
        return ()
    parser = _Parser(text)
    found = [parser.operand()]
    while parser.take("|"):
        found.append(parser.operand())
    parser.finish()
    return tuple(found)


@lru_cache(4096)
def parse_condition(text: str) -> Expression | None:
    """The tree of a `when` cell; None when it is empty (always). Raises SyntaxProblem."""
    if not text.strip():
        return None
    parser = _Parser(text)
    found = parser.condition()
    parser.finish()
    return found


@lru_cache(4096)
def parse_transform(text: str) -> Call:
    """`name` or `name(args)`; an empty cell is `text`. Raises SyntaxProblem."""
    if not text.strip():
        return Call("text")
    parser = _Parser(text)
    found = parser.operand()
    parser.finish()
    if isinstance(found, Path) and not found.field and found.segment:
        return Call(found.segment)
    if isinstance(found, Word):
        return Call(found.name)
    if not isinstance(found, Call):
        raise SyntaxProblem("expected the name of a transform")
    return found

"""A condition over a whole message, for routing: the grammar of `when`, evaluated where it stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import structs

from hilum.errors import ConfigError
from hilum.mapping.conditions import compare
from hilum.mapping.syntax import (
    Binary,
    Call,
    Expression,
    Literal,
    Logic,
    Membership,
    Negation,
    Path,
    SyntaxProblem,
    Word,
    parse_condition,
)

__all__ = ["Readable", "compile_condition"]


class Readable(Protocol):
    """A parsed message that paths can be read from."""

    @property
    def kind(self) -> str: ...
    @property
    def names(self) -> Sequence[str]: ...
    def get(self, path: str, /) -> str:
        """The first value at a path, "" when there is none."""
        ...

    def all(self, path: str, /) -> list[str]:
        """Every value at a path."""
        ...


def compile_condition(text: str) -> Callable[[Readable], bool]:
    """A predicate; an empty condition is always true. Raises ConfigError `route-condition-invalid`."""
    try:
        expression = parse_condition(text)
    except SyntaxProblem as problem:
        raise ConfigError(f"`{text}`: {problem}", code="route-condition-invalid") from None
    for part in _unsupported(expression):
        raise ConfigError(f"`{part}` has no meaning for a whole message", code="route-condition-invalid")
    return lambda record: expression is None or _holds(expression, record)


def _unsupported(expression: Expression | None) -> list[str]:
    if isinstance(expression, Logic):
        return [text for part in expression.parts for text in _unsupported(part)]
    if isinstance(expression, Negation):
        return _unsupported(expression.part)
    if isinstance(expression, Binary):
        return _unsupported(expression.left) + _unsupported(expression.right)
    if isinstance(expression, Membership):
        return _unsupported(expression.left) + [text for one in expression.choices for text in _unsupported(one)]
    if isinstance(expression, Word):
        return [] if expression.name in _WORDS else [expression.name]
    if isinstance(expression, Call):
        return [] if expression.name in _CALLS and isinstance((*expression.args, None)[0], Path) else [expression.name]
    return [] if expression is None or isinstance(expression, Path | Literal) else [str(expression)]


def _holds(expression: Expression, record: Readable) -> bool:
    if isinstance(expression, Logic):
        parts = (_holds(part, record) for part in expression.parts)
        return all(parts) if expression.operator == "and" else any(parts)
    if isinstance(expression, Negation):
        return not _holds(expression.part, record)
    if isinstance(expression, Binary):
        return compare(expression.operator, _text(expression.left, record), _text(expression.right, record))
    if isinstance(expression, Membership):
        found = _text(expression.left, record) in [_text(one, record) for one in expression.choices]
        return found != expression.negated
    return bool(_text(expression, record))


def _text(expression: Expression, record: Readable) -> str:
    if isinstance(expression, Literal):
        return expression.text
    if isinstance(expression, Path):
        return _value(expression, record)
    if isinstance(expression, Word):
        return _WORDS[expression.name](record)
    assert isinstance(expression, Call)
    path = expression.args[0]
    assert isinstance(path, Path)
    return _CALLS[expression.name](expression, path, record)


def _value(path: Path, record: Readable) -> str:
    if not path.field:
        return path.segment if path.segment in record.names else ""
    text = str(path)
    return record.get(text if path.component else f"{text}.1")


def _count(_: Call, path: Path, record: Readable) -> str:
    if not path.field:
        return str(list(record.names).count(path.segment))
    return str(sum(map(bool, record.all(str(structs.replace(path, repetition=-1))))))


def _matches(call: Call, path: Path, record: Readable) -> str:
    pattern = call.args[1]
    assert isinstance(pattern, Literal)
    return "true" if re.search(pattern.text, _value(path, record)) else ""


_WORDS: dict[str, Callable[[Readable], str]] = {
    "kind": lambda record: record.kind,
    "event": lambda record: record.kind.partition("^")[2],
}
_CALLS: dict[str, Callable[[Call, Path, Readable], str]] = {
    "valued": lambda _, path, record: _value(path, record),
    "length": lambda _, path, record: str(len(_value(path, record))),
    "count": _count,
    "matches": _matches,
}

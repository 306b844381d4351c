"""Whether a condition can ever hold, and whether one follows from another: tried over all values that could matter.

Each field in a condition takes the values that the condition names, one that it does not name, and none. Questions that
depend on more than that (`matches`, `length`, `count`, `made`, `<`) may be answered either way, the same way each time.
So "never" is certain, and "sometimes" is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product

from hilum.mapping import (
    Binary,
    Call,
    Expression,
    Literal,
    Logic,
    Membership,
    Negation,
    Param,
    Path,
    Word,
    compare,
    walk,
)

__all__ = ["Known", "can_hold", "follows"]

MOST = 20_000  # combinations tried; a condition with more is taken as one that can hold
_OTHER = "\x00other"  # a text that no condition names
_DELETED = '""'

Known = Mapping[str, str]  # `kind`, `event` and `param.x` to their texts, where they are known


def can_hold(condition: Expression | None, known: Known) -> bool:
    """Whether some message makes it true."""
    return condition is None or any(_worlds((condition,), known, lambda world: _truth(condition, world)))


def follows(condition: Expression | None, other: Expression | None, known: Known) -> bool:
    """Whether `condition` is true whenever `other` is."""
    if condition is None or condition == other:
        return True
    parts = (condition,) if other is None else (condition, other)
    counter = _worlds(parts, known, lambda world: _truth(other, world) and not _truth(condition, world))
    return not any(counter)


class _World:
    """One way in which a message could be."""

    def __init__(self, known: Known, texts: dict[str, str], free: dict[Expression, bool]) -> None:
        self.known, self.texts, self.free = known, texts, free

    def text(self, expression: Expression) -> str | None:
        """The text of an operand; None where only a free answer is left."""
        if isinstance(expression, Literal):
            return expression.text
        if isinstance(expression, Param):
            return self.known.get(f"param.{expression.name}")
        if isinstance(expression, Word):
            return self.known.get(expression.name)
        if isinstance(expression, Path):
            found = self.texts[str(expression)]
            return "" if found == _DELETED else found
        return None


def _worlds(conditions: tuple[Expression, ...], known: Known, holds: Callable[[_World], bool]) -> Iterator[bool]:
    texts: dict[str, list[str]] = {}
    free: dict[Expression, None] = {}
    for condition in conditions:
        for part in walk(condition):
            _collect(part, known, texts, free)
    size = 2 ** len(free)
    for values in texts.values():
        size *= len(values)
    if size > MOST:
        yield True  # too much to try: nothing is claimed
        return
    for answers in product((False, True), repeat=len(free)):
        chosen = dict(zip(free, answers, strict=True))
        for one in product(*texts.values()):
            yield holds(_World(known, dict(zip(texts, one, strict=True)), chosen))


def _collect(part: Expression, known: Known, texts: dict[str, list[str]], free: dict[Expression, None]) -> None:
    if isinstance(part, Path):
        texts.setdefault(str(part), ["", _DELETED, _OTHER])
    elif isinstance(part, Binary | Membership):
        sides = (part.left, part.right) if isinstance(part, Binary) else (part.left, *part.choices)
        literals = [side.text for side in sides if isinstance(side, Literal)]
        for side in sides:
            if isinstance(side, Path):
                values = texts.setdefault(str(side), ["", _DELETED, _OTHER])
                values += [text for text in literals if text not in values]
        if not _is_exact(part, sides, known):
            free[part] = None
    elif isinstance(part, Call) and part.name not in ("valued", "deleted"):
        free[part] = None


def _is_exact(part: Binary | Membership, sides: tuple[Expression, ...], known: Known) -> bool:
    """Whether the values tried are enough to answer it: equality with literals, or both sides known."""
    if all(isinstance(side, Literal) or _word(side, known) is not None for side in sides):
        return True
    is_equality = isinstance(part, Membership) or part.operator in ("=", "!=")
    others = [side for side in sides if not isinstance(side, Literal) and _word(side, known) is None]
    return is_equality and len(others) == 1 and isinstance(others[0], Path) and others[0] is sides[0]


def _word(side: Expression, known: Known) -> str | None:
    if isinstance(side, Param):
        return known.get(f"param.{side.name}")
    return known.get(side.name) if isinstance(side, Word) else None


def _truth(expression: Expression | None, world: _World) -> bool:
    if expression is None:
        return True
    if expression in world.free:
        return world.free[expression]
    if isinstance(expression, Logic):
        answers = (_truth(part, world) for part in expression.parts)
        return all(answers) if expression.operator == "and" else any(answers)
    if isinstance(expression, Negation):
        return not _truth(expression.part, world)
    if isinstance(expression, Binary):
        return compare(expression.operator, world.text(expression.left) or "", world.text(expression.right) or "")
    if isinstance(expression, Membership):
        choices = [world.text(choice) for choice in expression.choices]
        return (world.text(expression.left) in choices) != expression.negated
    assert isinstance(expression, Call)
    return _of_field(expression, world)


def _of_field(call: Call, world: _World) -> bool:
    """`valued(..)` and `deleted(..)`."""
    text = world.texts.get(str(call.args[0]), "")
    return text == _DELETED if call.name == "deleted" else text not in ("", _DELETED)

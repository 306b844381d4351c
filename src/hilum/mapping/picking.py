"""From the raw text of a field to the raw texts that a path means."""

from __future__ import annotations

from collections.abc import Callable

from hilum.mapping.syntax import Call, Expression, Literal, Param, Path, Word
from hilum.mapping.transforms import Env, Spec

__all__ = ["REMEMBERED", "Picker", "constant_text", "first_text", "paths_of", "picker"]

REMEMBERED = 1024  # texts; then a memory starts afresh
Picker = Callable[[str], list[str]]
_COMPOSITE_WORDS = "CWE CE CNE CF CX EI XON XCN XPN CQ HD"
_COMPOSITE = frozenset(_COMPOSITE_WORDS.split())


def picker(path: Path, env: Env, repeats: str, spec: Spec) -> Picker:
    """From a field's raw text to the raw texts that a path means, one per repetition that counts."""
    repetition, component, subcomponent = env.repetition, env.component, env.subcomponent
    each = path.repetition < 0 or (path.repetition == 0 and repeats == "each")
    index = max(path.repetition, 1) - 1
    at, below = path.component - 1, path.sub - 1
    nested = at >= 0 and below < 0 and spec.type in _COMPOSITE

    def part(text: str) -> str:
        if text == '""':
            return text
        if at >= 0:
            parts = text.split(component)
            text = parts[at] if at < len(parts) else ""
        if nested:
            text = text.replace(subcomponent, component)  # a datatype inside a component is split by sub-components
        if below >= 0:
            parts = text.split(subcomponent)
            text = parts[below] if below < len(parts) else ""
        return text

    def pick(text: str) -> list[str]:
        if repetition not in text or not path.segment:
            return [part(text)] if index == 0 else []
        found = text.split(repetition)
        if each:
            return [part(one) for one in found]
        if path.repetition == 0 and repeats == "error" and sum(map(bool, found)) > 1:
            env.report(spec, "field-repeats", "repeats, where the row takes one value")
            return []
        return [part(found[index])] if index < len(found) else []

    return pick


def first_text(path: Path, env: Env) -> Callable[[str], str]:
    """The raw text of a path inside `concat` and arguments: a field without a component gives its first one."""
    repetition, component, subcomponent = env.repetition, env.component, env.subcomponent
    index, at, below = max(path.repetition, 1) - 1, max(path.component, 1) - 1, path.sub - 1

    known: dict[str, str] = {}

    def text(raw: str) -> str:
        found = known.get(raw)
        if found is None:
            if len(known) >= REMEMBERED:
                known.clear()
            found = known[raw] = cut(raw)
        return found

    def cut(raw: str) -> str:
        if raw == '""':
            return ""
        if repetition in raw and path.segment:
            found = raw.split(repetition)
            raw = found[index] if index < len(found) else ""
        if component in raw or at:
            found = raw.split(component)
            raw = found[at] if at < len(found) else ""
        if below >= 0:
            found = raw.split(subcomponent)
            raw = found[below] if below < len(found) else ""
        return raw

    return text


def paths_of(expression: Expression) -> tuple[Path, ...]:
    """The paths whose texts the evaluator of a source alternative takes, in order."""
    if isinstance(expression, Path):
        return (expression,)
    if isinstance(expression, Call):
        return tuple(path for argument in expression.args for path in paths_of(argument))
    return ()


def constant_text(expression: Expression, rule_env: Env, words: dict[str, str]) -> str:
    if isinstance(expression, Literal):
        return _escaped(expression.text, rule_env)
    if isinstance(expression, Param):
        return _escaped(rule_env.params.get(expression.name, ""), rule_env)
    return _escaped(words.get(expression.name, ""), rule_env) if isinstance(expression, Word) else ""


def _escaped(text: str, env: Env) -> str:
    """A constant that flows through a transform keeps its delimiters: they are written as escapes first."""
    escape = env._escape
    if not any(mark in text for mark in (escape, env.component, env.repetition, env.subcomponent)):
        return text
    named = {escape: "E", env.component: "S", env.repetition: "R", env.subcomponent: "T"}
    return "".join(f"{escape}{named[mark]}{escape}" if mark in named else mark for mark in text)

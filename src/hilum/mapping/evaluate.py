"""From a row to the function that the generated code calls: repetitions, components, policies around a transform.

An evaluator takes the raw text of each field that its source reads, then that of each path argument, and gives

    None       the source is not valued
    DELETED    it is `""`
    b"" or []  it is valued, and nothing is to be written (reported, or wanted so)
    bytes      JSON of the value;  (suffix, bytes) for a `value[x]`
    list       JSON of each item, for rows below `[+]`
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hilum.mapping.constants import constant_json
from hilum.mapping.identity import resource_id
from hilum.mapping.picking import REMEMBERED, Picker, constant_text, first_text, paths_of, picker
from hilum.mapping.rows import Rule
from hilum.mapping.syntax import Call, Expression, Literal, Path, Word
from hilum.mapping.transforms import (
    Env,
    Evaluator,
    Spec,
    encoded_text,
    identity_of,
    json_text,
    key_evaluator,
    transform_of,
    words_of,
)
from hilum.mapping.transforms.frame import Report
from hilum.mapping.tree import wrap_of
from hilum.mapping.written import reader_of

__all__ = [
    "DELETED",
    "evaluator",
    "key_function",
    "remembering",
]

KEY_SEPARATOR = "|"


class _Deleted(bytes):
    """The `""` of HL7 v2: an empty, so false, value that is told apart by identity."""


DELETED = _Deleted()


def _joiner(call: Call, env: Env, words: dict[str, str], *, key: bool) -> Callable[..., str]:
    """`concat(..)`: the joined texts; "" when no path in it is valued. In a key row parts are kept apart."""
    separator = KEY_SEPARATOR if key else ""
    for name, value in call.named:
        if name == "sep" and isinstance(value, Literal):
            separator = value.text
    plan: list[tuple[Callable[[str], str] | None, str]] = []
    for argument in call.args:
        if isinstance(argument, Path):
            plan.append((first_text(argument, env), ""))
        else:
            plan.append((None, constant_text(argument, env, words)))

    picks = [pick for pick, _ in plan if pick]
    if len(picks) == len(plan):

        def join_paths(*texts: str) -> str:
            found = [pick(text) if text else "" for pick, text in zip(picks, texts, strict=True)]
            return separator.join(found if key else filter(None, found)) if any(found) else ""

        return join_paths

    def join(*texts: str) -> str:
        given, valued, found = iter(texts), False, []
        for pick, constant in plan:
            text = pick(next(given)) if pick else constant
            valued = valued or bool(pick and text)
            if text or key:
                found.append(text)
        return separator.join(found) if valued else ""

    return join


def _transformed(rule: Rule, spec: Spec, env: Env, keys: dict[tuple[str, str], Spec]) -> Evaluator:
    name = rule.transform.name
    if name == "const":
        constant = constant_json(rule, env)
        return lambda *_: constant
    if name == "ref":
        return _reference(rule, spec, env, keys)
    factory = transform_of(name)
    assert factory is not None
    return factory(spec, env)


def _reference(rule: Rule, spec: Spec, env: Env, keys: dict[tuple[str, str], Spec]) -> Evaluator:
    """`ref(Type)` with a source: the id that the key row of `Type` gives the same text, and the name in it."""
    argument = rule.transform.args[0]
    assert isinstance(argument, Word)
    type_ = argument.name.partition(":")[0]
    read = identity_of(keys.get((argument.name, spec.type), spec), env)
    words = words_of(spec, env)

    def evaluate(raw: str, *_: str) -> bytes:
        found = read(raw)
        shown = (found.display if found else "") or (words(raw) if spec.type in _NAMED else "")
        display = b'"display":' + json_text(shown) if shown else b""
        if found is None or not found.system:
            return b"{%b}" % display if display else b""
        id_ = resource_id(type_, found.system, found.value)
        comma = b"," if display else b""
        return b'{"reference":"%b/%b"%b%b}' % (type_.encode(), id_.encode(), comma, display)

    return evaluate


_NAMED = frozenset({"XCN", "CNN", "XON", "PL", "XPN", "CWE", "CE"})


def evaluator(
    rule: Rule,
    alternative: Expression,
    spec: Spec,
    env: Env,
    keys: dict[tuple[str, str], Spec],
    words: dict[str, str],
    mode: str,
) -> Callable[..., Any]:
    """The function for one alternative of a row's source. `mode`: single, list (below `[+]`) or zip (`[+label]`)."""
    texts = paths_of(alternative)
    plain = isinstance(alternative, Call) or not texts
    if plain:
        spec = _retyped(spec)
    transform = _transformed(rule, spec, env, keys)
    reader = reader_of(spec, env)
    if reader is not None:
        transform = _read_as(reader, transform)
    arguments = tuple(
        part for part in (*rule.transform.args, *(v for _, v in rule.transform.named)) if isinstance(part, Path)
    )
    pickers = [_argument(path, env) for path in arguments]
    if any(pickers):
        transform = _with_arguments(transform, pickers)
    if isinstance(alternative, Call):
        join = _joiner(alternative, env, words, key=rule.target.role != "element")
        take = len(texts)
        return _one_text(lambda given: join(*given[:take]), take, transform, wrap_of(rule.target.steps), mode)
    if not texts:
        constant = constant_text(alternative, env, words)
        return _one_text(lambda _: constant, 0, transform, wrap_of(rule.target.steps), mode)
    path = texts[0]
    separator = env.constant(spec, "join") if spec.has("join") else None
    if separator is not None:
        return _joined(picker(path, env, rule.repeats, spec), transform, separator, encoded=spec.transform == "data")
    if mode == "single" and path.component == 0 and path.sub == 0 and path.repetition < 2:
        return _whole_field(path, rule, spec, env, transform)
    return _picked(picker(path, env, rule.repeats, spec), transform, wrap_of(rule.target.steps), mode)


def _read_as(reader: Callable[[str], str], transform: Evaluator) -> Evaluator:
    return lambda raw, *extra: transform(reader(raw), *extra)


def _joined(pick: Picker, transform: Evaluator, separator: str, *, encoded: bool) -> Callable[..., Any]:
    """`text(join=", ")`: the texts of all repetitions in one string; `data(join=..)` the same in base64."""

    def evaluate(raw: str, *extra: str) -> Any:
        texts = pick(raw)
        valued = [text for text in texts if text and text != '""']
        if not valued:
            return DELETED if '""' in texts else None
        found = [json.loads(made) for made in (_written(transform(text, *extra)) for text in valued) if made]
        text = separator.join(found)
        return (json_text(encoded_text(text)) if encoded else json_text(text)) if found else b""

    return evaluate


def _retyped(spec: Spec) -> Spec:
    """A text put together by a row is an identifier in our own name, not one of some authority."""
    if spec.type in ("EI", "CX", "XCN", "XON"):
        fields = {name: getattr(spec, name) for name in spec.__struct_fields__}
        return Spec(
            **{**fields, "type": "ST", "transform": "identifier" if spec.transform in ("EI", "CX") else spec.transform}
        )
    return spec


def _argument(path: Path, env: Env) -> Callable[[str], str] | None:
    if path.component == 0 and path.repetition == 0 and path.sub == 0:
        return None  # the whole field, as it is
    return first_text(path, env)


def _with_arguments(transform: Evaluator, pickers: list[Callable[[str], str] | None]) -> Evaluator:
    def evaluate(raw: str, *extra: str) -> Any:
        return transform(raw, *(pick(text) if pick else text for pick, text in zip(pickers, extra, strict=True)))

    return evaluate


def _one_text(
    text_of: Callable[[tuple[str, ...]], str], take: int, transform: Evaluator, wrap: tuple[bytes, bytes], mode: str
) -> Callable[..., Any]:
    before, after = wrap

    def evaluate(*given: str) -> Any:
        text = text_of(given)
        if not text:
            return None
        found = transform(text, *given[take:])
        return _written(found) if mode == "single" else [b"%b%b%b" % (before, one, after) for one in _items(found)]

    return evaluate


def _whole_field(path: Path, rule: Rule, spec: Spec, env: Env, transform: Evaluator) -> Callable[..., Any]:
    repetition, first = env.repetition, path.repetition == 1 or rule.repeats != "error"
    repeats = bool(path.segment)

    def evaluate(raw: str, *extra: str) -> Any:
        if repetition in raw and repeats:
            found = [one for one in raw.split(repetition) if one]
            if not found:
                return b""
            if len(found) > 1 and not first:
                env.report(spec, "field-repeats", "repeats, where the row takes one value")
                return b""
            raw = found[0]
        if raw == '""':
            return DELETED
        return _written(transform(raw, *extra))

    return evaluate


def _written(found: Any) -> Any:
    """What a row that takes one value writes: a typed value without JSON is nothing, of several the first is taken."""
    if type(found) is tuple:
        return found if found[1] else b""
    if type(found) is list:
        return found[0] if found else b""
    return found


def _items(found: Any) -> list[bytes]:
    if type(found) is list:
        return found
    return [found] if found else []


def _picked(pick: Picker, transform: Evaluator, wrap: tuple[bytes, bytes], mode: str) -> Callable[..., Any]:
    before, after = wrap

    def evaluate(raw: str, *extra: str) -> Any:
        texts = pick(raw)
        valued = [text for text in texts if text and text != '""']
        if not valued:
            return DELETED if '""' in texts else None
        if mode == "single":
            return _written(transform(valued[0], *extra))
        if mode == "zip":
            return [(_items(transform(text, *extra)) or [b""])[0] if text and text != '""' else b"" for text in texts]
        items = [item for text in valued for item in _items(transform(text, *extra))]
        return [b"%b%b%b" % (before, item, after) for item in items] if before else items

    return evaluate


def key_function(rule: Rule, at: int, spec: Spec, env: Env, words: dict[str, str]) -> Callable[..., str | None]:
    """For one alternative of a key row: (owner's id or "", raw texts) to the id; None: not valued, "": names nobody.

    The owner is what `of=` names; None (it was not made) gives no key.
    """
    alternative = rule.alternatives[at]
    plain = not isinstance(alternative, Path)
    evaluate = key_evaluator(_retyped(spec) if plain else spec, env, rule.target.type, whole=plain)
    if isinstance(alternative, Call):
        text_of = _joiner(alternative, env, words, key=True)
    elif isinstance(alternative, Path):
        pick = picker(alternative, env, "first", spec)

        def text_of(*raw: str) -> str:
            return next((text for text in pick(raw[0]) if text and text != '""'), "") if raw[0] else ""

    else:
        constant = constant_text(alternative, env, words)

        def text_of(*_: str) -> str:
            return constant

    def key(owner: str | None, *raw: str) -> str | None:
        text = text_of(*raw)
        if not text:
            return None
        return "" if owner is None else evaluate(text, owner)

    return _remembered_key(key, env) if isinstance(alternative, Path) and rule.row.type in _AUTHORITIES else key


_AUTHORITIES = frozenset({"CX", "EI", "EIP", "XCN", "CNN", "XON", "PL", "HD", "CWE"})


def _remembered_key(key: Callable[..., str | None], env: Env) -> Callable[..., str | None]:
    pending = env.pending
    memory: dict[tuple[str | None, str], tuple[str | None, tuple[Report, ...]]] = {}

    def remembered(owner: str | None, raw: str) -> str | None:
        known = memory.get((owner, raw))
        if known is None:
            before = len(pending)
            found = key(owner, raw)
            if len(memory) >= REMEMBERED:
                memory.clear()
            memory[owner, raw] = (found, tuple(pending[before:]))
            return found
        if known[1]:
            pending.extend(known[1])
        return known[0]

    return remembered


def remembering(evaluate: Callable[[str], Any], memory: dict[str, Any], env: Env) -> Callable[[str], Any]:
    """The same function, its answers kept: in `memory` (looked up by the caller), or here with what they report."""
    pending = env.pending
    reported: dict[str, tuple[Any, tuple[Report, ...]]] = {}

    def miss(raw: str) -> Any:
        known = reported.get(raw)
        if known is not None:
            pending.extend(known[1])
            return known[0]
        before = len(pending)
        found = evaluate(raw)
        if len(pending) > before:
            if len(reported) >= REMEMBERED:
                reported.clear()
            reported[raw] = (found, tuple(pending[before:]))
        elif found is not None:
            if len(memory) >= REMEMBERED:
                memory.clear()
            memory[raw] = found
        return found

    return miss

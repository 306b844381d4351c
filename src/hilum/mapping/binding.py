"""From a unit's source to functions for one sender: every name in the source gets its value here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import CodeType
from typing import Any

from msgspec import Raw, structs

from hilum.mapping.constants import constant_json, default_json, missing_reporter, rejecter
from hilum.mapping.evaluate import DELETED, evaluator, key_function, remembering
from hilum.mapping.identity import resource_id
from hilum.mapping.mapped import Context
from hilum.mapping.ordering import REVERSED, quantities_reversed, times_reversed
from hilum.mapping.picking import first_text
from hilum.mapping.syntax import Path
from hilum.mapping.transforms import Env, Report, Spec
from hilum.mapping.tree import wrap_of
from hilum.mapping.unit import Binding, Line, Unit
from hilum.model import Draft, ExceptionItem
from hilum.safeguards import SHARED_TYPES

__all__ = ["Binder", "Call", "bind_unit"]

# type, id, elements, defaults, cleared, slots, and the reference to it
LooseDraft = tuple[
    str, str, dict[str, Raw], dict[str, Raw], tuple[str, ...], dict[str, tuple[tuple[str, int], ...]], bytes
]


class Call:
    """What one run collects beside drafts by slot."""

    __slots__ = ("context", "counts", "fields", "loose", "merged", "trace")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.loose: list[LooseDraft] = []
        self.merged: list[tuple[str, str, str, bool]] = []  # type, kept, gone, undo
        self.counts: dict[str, int] = {}
        self.trace: list[tuple[int, Any, int, str]] = []
        self.fields: tuple[list[bytes], list[int], tuple[Any, ...]] = ([], [], ())  # valued, written, fates by segment


_Told = tuple[int, int, str, str]  # a row at a place: identity of its rule, alternative, mode, location


def _told(binding: Binding) -> _Told:
    line = binding.line
    assert line is not None
    return id(line.rule), binding.at, line.mode, line.spec.location


# A ward and a physician are in every other message: their provenance would be a list of the traffic.
_SHARED = tuple(b'{"reference":"%b/' % type_.encode() for type_ in sorted(SHARED_TYPES))


def _reference(type_: str, id_: str) -> bytes:
    return b'{"reference":"%b/%b"}' % (type_.encode(), id_.encode()) if id_ else b""


def _mark(written: list[int], segments: int | tuple[int, ...], bit: int) -> None:
    if isinstance(segments, int):
        written[segments] |= bit
    else:
        for segment in segments:
            written[segment] |= bit


class _Others(dict[str, tuple[str, ...]]):
    """For each member of a choice the others: `Quantity` to the rest of `value[x]`."""

    def __init__(self, choice: str, names: tuple[str, ...]) -> None:
        super().__init__()
        self._choice, self._names = choice, names

    def __missing__(self, suffix: str) -> tuple[str, ...]:
        taken = f"{self._choice}{suffix}"
        found = self[suffix] = tuple(name for name in self._names if name != taken)
        return found


def _slots(given: list[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """One entry per source field, in the order of first use."""
    if len(given) == 1:
        return (given[0],)
    counted: dict[str, int] = {}
    for name, number in given:
        counted[name] = counted.get(name, 0) + number
    return tuple(counted.items())


def _received(call: Call) -> bytes:
    moment = datetime.fromtimestamp(call.context.received_at / 1e6, UTC)
    return b'"%b"' % moment.isoformat(timespec="milliseconds").encode()


def _each(call: Call, type_: str, id_: str) -> str:
    """The id itself the first time, then one that counts: repeated lines are things of their own."""
    number = call.counts[id_] = call.counts.get(id_, 0) + 1
    return id_ if number == 1 else resource_id(type_, id_, f"#{number}")


class Binder:
    """Gives the names of units their values, for one kind from one sender. Units of one row share its functions."""

    def __init__(self, env: Env, keys: dict[tuple[str, str], Spec], words: dict[str, str]) -> None:
        self.env, self.keys, self.words = env, keys, words
        self._memories: dict[_Told, dict[str, Any]] = {}
        self._evaluators: dict[tuple[_Told, bool], Callable[..., Any]] = {}
        self._keys: dict[_Told, Callable[..., str | None]] = {}
        self._firsts: dict[Path, Callable[[str], str]] = {}
        self._makers: dict[str, Callable[[Binding], Any]] = {
            "value": lambda binding: binding.value,
            "memo": lambda _: {},
            "memory": self._memory,
            "key": self._key,
            "missing": self._missing,
            "rejecting": lambda binding: rejecter(self._line(binding).spec, self.env),
            "default": lambda binding: self._value(binding, default_json),
            "const": lambda binding: self._value(binding, constant_json),
            "wrap": self._wrap,
            "first": self._first,
            "counter": self._counter,
            "targets": self._targets,
            "others": lambda binding: _Others(*binding.value),
            "required": self._required,
            "incomplete": self._incomplete,
            "ordered": self._ordered,
        }

    def values(self, unit: Unit) -> dict[str, Any]:
        """A value for every name that the unit's source holds."""
        remembered = {_told(binding) for binding in unit.bindings.values() if binding.kind == "memory"}
        return {
            name: self._evaluator(binding, remembered=_told(binding) in remembered)
            if binding.kind == "evaluator"
            else self._makers[binding.kind](binding)
            for name, binding in unit.bindings.items()
        }

    @staticmethod
    def _line(binding: Binding) -> Line:
        assert binding.line is not None
        return binding.line

    def _memory(self, binding: Binding) -> Any:
        return self._memories.setdefault(_told(binding), {}).get

    def _evaluator(self, binding: Binding, *, remembered: bool) -> Callable[..., Any]:
        told = _told(binding)
        found = self._evaluators.get((told, remembered))
        if found is None:
            line = self._line(binding)
            alternative = line.rule.alternatives[binding.at]
            found = evaluator(line.rule, alternative, line.spec, self.env, self.keys, self.words, line.mode)
            if remembered:
                found = remembering(found, self._memories.setdefault(told, {}), self.env)
            self._evaluators[told, remembered] = found
        return found

    def _key(self, binding: Binding) -> Callable[..., str | None]:
        told = _told(binding)
        found = self._keys.get(told)
        if found is None:
            line = self._line(binding)
            found = self._keys[told] = key_function(line.rule, binding.at, line.spec, self.env, self.words)
        return found

    def _value(self, binding: Binding, make: Callable[[Any, Env], bytes]) -> Any:
        line = self._line(binding)
        value = make(line.rule, self.env)
        return self._wrapped(line, value) if line.mode == "list" else value

    def _wrapped(self, line: Line, value: bytes) -> list[bytes]:
        before, after = wrap_of(line.rule.target.steps)
        return [before + value + after]

    def _wrap(self, binding: Binding) -> Callable[[bytes], Any]:
        line = self._line(binding)
        if line.mode == "zip":
            return lambda value: value
        before, after = wrap_of(line.rule.target.steps)
        return lambda value: [before + value + after] if value else []

    def _missing(self, binding: Binding) -> Callable[[], None]:
        line = self._line(binding)
        hold = line.rule.missing == "reject" or line.rule.target.role != "element"
        return missing_reporter(line.spec, self.env, hold=hold)

    def _first(self, binding: Binding) -> Callable[[str], str]:
        assert isinstance(binding.value, Path)
        found = self._firsts.get(binding.value)
        if found is None:
            pick, text = first_text(binding.value, self.env), self.env.text
            found = self._firsts[binding.value] = lambda raw: text(pick(raw))
        return found

    def _counter(self, binding: Binding) -> Callable[[str], int]:
        env, path = self.env, binding.value
        pick = first_text(path, env) if path.component or path.sub else None

        def counted(raw: str) -> int:
            if env.repetition not in raw and pick is None:
                return 0 if raw in ("", '""') else 1
            found = [one for one in raw.split(env.repetition) if one and one != '""']
            return len([one for one in found if pick(one)]) if pick else len(found)

        return counted

    def _targets(self, binding: Binding) -> Callable[[list[bytes], Call, str], Any]:
        line = self._line(binding)
        before, after = wrap_of(line.rule.target.steps)
        own_type = line.rule.target.type

        def targets(references: list[bytes], call: Call, rid: str) -> list[bytes]:
            own = _reference(own_type, rid)
            named = dict.fromkeys([*references, *[loose[6] for loose in call.loose]])
            named.pop(b"", None)
            named.pop(own, None)
            found = [one for one in named if not one.startswith(_SHARED)] or list(named)
            return [before + one + after for one in found] if before or after else found

        return targets

    def _report(self, line: Line, code: str, message: str, detail: str, *, hold: bool) -> Report:
        spec = line.spec
        item = ExceptionItem(
            code, message, spec.location, spec.owner, spec.row_id, f"{code}|{self.env.sender}|{detail}"
        )
        return Report(item, hold, True, spec.element, spec.resource)

    def _required(self, binding: Binding) -> Callable[[], None]:
        line, name, env = self._line(binding), binding.value, self.env
        type_ = line.rule.target.type
        general = self._report(
            line, "required-missing", f"R4 requires {type_}.{name}, and no row wrote it", f"{type_}.{name}", hold=True
        )

        def report() -> None:
            for cause in reversed(env.pending):  # the row that failed says it better
                same = cause.resource == line.spec.resource and cause.element == line.spec.element
                if same and cause.failed and not cause.hold:
                    env.pending.append(structs.replace(cause, hold=True))
                    return
            env.pending.append(general)

        return report

    def _incomplete(self, binding: Binding) -> Callable[[], bool]:
        line, env = self._line(binding), self.env
        names = ", ".join(binding.value)
        where = ".".join(step.name for step in line.rule.target.steps[:-1])
        message = f"{line.rule.target.type}.{where} was not written: R4 requires its {names}"
        report = self._report(line, "item-incomplete", message, f"{line.rule.target.type}.{where}", hold=False)

        def incomplete() -> bool:
            env.pending.append(report)
            return False

        return incomplete

    def _ordered(self, binding: Binding) -> Callable[[bytes | None, bytes | None], bool]:
        line, env = self._line(binding), self.env
        where = f"{line.rule.target.type}.{'.'.join(step.name for step in line.rule.target.steps[:-1])}"
        report = self._report(line, "ends-reversed", f"{where} {REVERSED}", where, hold=False)

        def ordered(first: bytes | None, last: bytes | None) -> bool:
            if not first or not last:
                return True
            if first[:1] == b"{":
                wrong = quantities_reversed(first, last)
            else:
                wrong = times_reversed(first[1:-1].decode(), last[1:-1].decode())
            if wrong:
                env.pending.append(report)
            return not wrong

        return ordered


def bind_unit(
    unit: Unit, code: CodeType, binder: Binder, trace: Callable[[int, Any, int, str], None] | None = None
) -> dict[str, Any]:
    """Run the unit's code object with its names bound; the functions are in the result."""
    env = binder.env

    def first(raw: str) -> str:
        return env.first(raw.split(env.repetition, 1)[0]) if raw != '""' else ""

    def join(fields: Sequence[list[str]], segments: tuple[int, ...], number: int) -> str:
        return env.repetition.join([text for text in (fields[segment][number] for segment in segments) if text])

    namespace: dict[str, Any] = {
        "__builtins__": {"len": len, "range": range, "max": max, "any": any, "bool": bool, "tuple": tuple},
        "Raw": Raw,
        "Draft": Draft,
        "DELETED": DELETED,
        "DELETE": '""',
        "UNVALUED": ("", '""'),
        "FIRST": first,
        "JOIN": join,
        "MARK": _mark,
        "SLOTS": _slots,
        "REFERENCE": _reference,
        "RECEIVED": _received,
        "EACH": _each,
        "SENDER": env.sender,
        "SOURCE": binder.words["source"],
        "PENDING": env.pending,
        "REPETITION": env.repetition,
        "TRACE": trace,
        **binder.values(unit),
    }
    exec(code, namespace)  # noqa: S102 - source written by generate.py: names of ours, no text of the workbook
    return namespace

"""Values that rows write without reading any: constants, defaults, and the report of what is missing."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from hilum.mapping.rows import Rule
from hilum.mapping.syntax import Literal, Word
from hilum.mapping.transforms import Env, Report, Spec, json_object, json_text
from hilum.model import ExceptionItem

__all__ = ["constant_json", "default_json", "missing_reporter", "rejecter"]


def constant_json(rule: Rule, env: Env) -> bytes:
    """The JSON of `const(..)`."""
    argument = rule.transform.args[0]
    if isinstance(argument, Word):
        return argument.name.encode() if argument.name in ("true", "false") else json_object(argument.name)
    if isinstance(argument, Literal) and argument.number:
        return argument.text.encode()
    return json_text(env.literal(argument))


_OBJECTS_WORDS = "CWE CE CNE CF IS ID JCC CodeableConcept"
_OBJECTS = frozenset(_OBJECTS_WORDS.split())


def default_json(rule: Rule, env: Env) -> bytes:
    """The JSON of `default:x`: the target value itself, a concept where the row writes concepts."""
    text = rule.missing.removeprefix("default:")
    if text.startswith("{"):
        return json_object(text)
    if rule.transform.name in _OBJECTS or rule.transform.name in ("coding", "Coding"):
        entry = env.maps.find(rule.row.map, text) if rule.row.map else None
        coding = {"system": entry.system, "code": entry.target, "display": entry.display} if entry else {"code": text}
        parts = b",".join(b'"%b":%b' % (name.encode(), json_text(value)) for name, value in coding.items() if value)
        return b"{%b}" % parts if rule.transform.name in ("coding", "Coding") else b'{"coding":[{%b}]}' % parts
    if rule.transform.name in ("boolean", "integer", "decimal", "NM", "SI"):
        return text.encode()
    return json_text(text)


def missing_reporter(spec: Spec, env: Env, *, hold: bool) -> Callable[[], None]:
    """Called when nothing that the row reads is valued, and its policy says that this is wrong."""
    message = "nothing is there where the row needs a value"
    report = Report(
        ExceptionItem(
            "field-missing",
            message,
            spec.location,
            spec.owner,
            spec.row_id,
            f"field-missing|{env.sender}|{spec.row_id}",
        ),
        hold,
        failed=True,
        element=spec.element,
        resource=spec.resource,
    )
    return lambda: env.pending.append(report)


def rejecter(spec: Spec, env: Env) -> Callable[[object], None]:
    """Called with what a row wrote that must write something, when that is nothing: the message is held.

    The reason is that nothing is there (None), else what the row said of the value. Nothing by intention is fine.
    """
    missing = missing_reporter(spec, env, hold=True)

    def reject(found: object) -> None:
        if found is None:
            missing()
            return
        cause = next((one for one in reversed(env.pending) if one.failed and one.item.row == spec.row_id), None)
        if cause is not None and not cause.hold:
            env.pending.append(structs.replace(cause, hold=True))

    return reject

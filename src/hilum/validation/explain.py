"""From what jsonschema-rs says to findings: where, which rule, what to do. Values are not repeated: they may be PHI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any

import jsonschema_rs

from hilum.definitions import Definitions
from hilum.model import Finding

from .where import Where, expression_of
from .words import finding

__all__ = ["explain"]

Json = dict[str, Any]
_TYPES = {"object": "an object", "array": "a list", "string": "a text", "null": "null"}
_FORMS = {
    "date": "a day of the calendar: YYYY, YYYY-MM or YYYY-MM-DD",
    "dateTime": "YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz of the calendar, a time with its zone",
    "instant": "YYYY-MM-DDThh:mm:ss.sss+zz:zz of the calendar, with its zone",
    "time": "hh:mm:ss",
    "id": "1 to 64 letters, digits, `-` and `.`",
    "code": "a code without blanks around it",
    "oid": "urn:oid:...",
    "uuid": "urn:uuid: and a UUID in small letters",
    "base64Binary": "base64",
    "string": "a text that is not blank and holds no control characters",
    "markdown": "a text that is not blank and holds no control characters",
}


LONGEST_NAME = 64  # that is compared with the known ones


def explain(
    definitions: Definitions,
    schema: Json,
    errors: Iterator[jsonschema_rs.ValidationError],
    root: Where,
) -> Iterator[Finding]:
    """Findings for the errors of one value; `root` is where the value stands."""
    for error in errors:
        where = root
        for step in error.instance_path:
            where = (where[0], where[1], step) if isinstance(step, int) else (where, step, -1)
        yield from _explain(definitions, schema, error, where)


def _explain(
    definitions: Definitions, schema: Json, error: jsonschema_rs.ValidationError, where: Where
) -> Iterator[Finding]:
    steps = list(error.schema_path)
    holder = _resolve(schema, steps[:-1])
    keyword = str(steps[-1]) if steps else ""
    kind: Any = error.kind

    def at(name: str = "") -> str:
        return expression_of(definitions, (where, name, -1) if name else where)

    marked = holder.get("x") if isinstance(holder, dict) else None
    if marked is not None and keyword not in ("type", "required", "properties", "additionalProperties"):
        code, what = marked
        yield from _marked(code, what, at)
    elif keyword == "required":
        yield from _missing(holder, kind.property, at)
    elif keyword == "additionalProperties":
        for name in kind.unexpected:
            yield _unknown(holder, name, at)
    elif keyword == "type":
        yield _type(kind.types, error.instance, at())
    elif isinstance(_resolve(schema, steps), bool):
        yield _forbidden(_resolve(schema, steps[:-2]), definitions, where)
    else:
        code, text = _plain(keyword, holder if isinstance(holder, dict) else {}, _type_name(steps))
        yield finding(code, text, at())


def _forbidden(outer: Any, definitions: Definitions, where: Where) -> Finding:
    """A second type of a choice, or what a profile rules out."""
    marked = outer.get("x") if isinstance(outer, dict) else None
    if marked is not None and marked[0] == "choice-many":
        text = f"`{marked[1]}` may have one type only, and here are several"
        return finding("choice-many", text, expression_of(definitions, where[0]))
    text = "the profile does not allow this element here"
    return finding("element-forbidden", text, expression_of(definitions, where))


def _plain(keyword: str, holder: Json, type_: str) -> tuple[str, str]:
    """(code, words) for the keywords that speak for themselves."""
    limit = holder.get(keyword)
    match keyword:
        case "pattern" | "minLength" | "maxLength":
            form = _FORMS.get(type_, "")
            return "value-malformed", f"this is not written as R4 wants it{': ' + form if form else ''}"
        case "enum":
            known = ", ".join(map(str, (limit or [])[:12])) + (", ..." if len(limit or []) > 12 else "")
            return "code-not-in-value-set", f"this code is none of {known}"
        case "minItems":
            return "list-length", f"this list needs {limit} items at least: leave it out where there is nothing to say"
        case "maxItems":
            return "list-length", f"this list may have {limit} items at most"
        case "minProperties":
            return "element-empty", "this holds nothing: leave it out, or fill it"
        case "minimum" | "maximum":
            return "number-out-of-range", f"this number is outside of what R4 allows ({keyword} {limit})"
        case "const":
            return "pattern-differs", "this is not the value that is fixed for it"
    return "type-wrong", f"this is not what R4 says of it (rule {keyword})"


def _marked(code: str, what: str, at: Callable[[str], str]) -> Iterator[Finding]:
    if code == "element-missing":
        yield finding(code, f"`{what}` is missing, and must be there", at(""))
    elif code == "choice-many":
        yield finding(code, f"`{what}` may have one type only, and here are several", at(""))
    elif code == "reference-wrong-type":
        yield finding(code, f"this points to a type that may not stand here: it wants {what}", at(""))
    elif code == "system-relative":
        text = "a code system is named by an absolute URI (http..., urn:...), and this is none"
        yield finding(code, text, at(""))
    elif code == "slice-missing":
        yield finding(code, f"the profile wants an item of slice `{what}`, and there are too few", at(""))
    elif code == "slice-many":
        yield finding(code, f"there are more items of slice `{what}` than the profile allows", at(""))
    elif code == "null-in-list":
        text = "null stands in a list, and no extension stands in its place beside it"
        yield finding(code, text, at(""))
    elif code == "invariant-failed":
        yield finding(code, what, at(""))
    else:
        yield finding("pattern-differs", "this does not hold what the profile fixes", at(""))


def _missing(holder: Any, name: str, at: Callable[[str], str]) -> Iterator[Finding]:
    if isinstance(holder, dict) and (holder.get("x") or [""])[0] == "pattern-differs":
        yield finding("pattern-differs", f"this does not hold what the profile fixes: `{name}` is missing", at(""))
        return
    yield finding("element-missing", f"`{name}` is missing, and must be there", at(""))


def _unknown(holder: Any, name: str, at: Callable[[str], str]) -> Finding:
    known = list(holder.get("properties", {})) if isinstance(holder, dict) else []
    close = get_close_matches(name, known, n=1) if len(name) <= LONGEST_NAME else []
    hint = f"did you mean `{close[0]}`?" if close else "what R4 does not know goes into an extension"
    return finding("element-unknown", "R4 knows no such element here", at(name), hint=hint)


def _type(types: list[str], instance: Any, location: str) -> Finding:
    if types == ["array"]:
        return finding("list-expected", "this element repeats: it is written as a list, also for one", location)
    if isinstance(instance, list):
        return finding("list-unexpected", "this element does not repeat: it is written without a list", location)
    wanted = " or ".join(_TYPES.get(one, f"a JSON {one}") for one in types)
    return finding("type-wrong", f"this must be {wanted}", location)


def _type_name(steps: list[Any]) -> str:
    return str(steps[1]) if len(steps) > 2 and steps[0] == "$defs" else ""


def _resolve(schema: Any, steps: list[Any]) -> Any:
    """The part of the schema at a path; None when there is none."""
    here = schema
    for step in steps:
        if (isinstance(here, dict) and step in here) or (
            isinstance(here, list) and isinstance(step, int) and step < len(here)
        ):
            here = here[step]
        else:
            return None
    return here

"""What an operation is asked: by its URL, or posted as Parameters (R4 operations.html#executing)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hilum.app.api.contents import check_media, decode_json
from hilum.app.api.exchange import Call
from hilum.app.api.outcomes import Problem
from hilum.app.api.query import Pairs, parse_pairs
from hilum.formats import fhir

__all__ = ["asked_of", "care_of", "range_of"]


async def asked_of(call: Call) -> Pairs:
    """(name, value) of the URL and of the Parameters that were posted. Raises Problem 400, 413, 415."""
    pairs = parse_pairs(call.query)
    if call.scope["method"] != "POST":
        return pairs
    body = await call.body()
    if not body.strip():
        return pairs
    check_media(call.header("content-type"))
    given = decode_json(body)
    if not isinstance(given, dict) or given.get("resourceType") != "Parameters":
        raise _wrong("an operation is posted as a resource of type Parameters, or without a body")
    listed = given.get("parameter", [])
    if not isinstance(listed, list):
        raise _wrong("Parameters.parameter is a list of objects, each with a name and a value[x]")
    return [*pairs, *map(_pair, listed)]


def care_of(given: Mapping[str, str]) -> tuple[int, int] | None:
    """The time that `start` and `end` name: first, after, in milliseconds. Raises Problem 400 `parameter-invalid`."""
    if not given.keys() & {"start", "end"}:
        return None
    first = range_of("start", given["start"])[0] if "start" in given else fhir.FAR_PAST
    after = range_of("end", given["end"])[1] if "end" in given else fhir.FAR_FUTURE
    return first, after


def range_of(name: str, value: str) -> tuple[int, int]:
    """A date or time as a range. Raises Problem 400 `parameter-invalid`."""
    found = fhir.date_range(value.replace(" ", "+"))  # a literal + in a URL arrives as a space
    if found is None:
        why = "is a date or time, as in 2026, 2026-01-31 or 2026-01-31T09:30:00Z"
        raise Problem("parameter-invalid", 400, "value", f"{name} {why}", parameter=name)
    return found


def _pair(one: Any) -> tuple[str, str]:
    values = [value for key, value in one.items() if key.startswith("value")] if isinstance(one, dict) else []
    name = one.get("name") if isinstance(one, dict) else None
    if not isinstance(name, str) or not name or len(values) != 1:
        raise _wrong("each parameter has a name and one value[x]")
    return name, _text(name, values[0])


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, dict) and "code" in value:
        return f"{value.get('system', '')}|{value['code']}" if value.get("system") else str(value["code"])
    if isinstance(value, dict) and isinstance(value.get("coding"), list):
        return ",".join(_text(name, one) for one in value["coding"])
    if isinstance(value, dict) and isinstance(value.get("reference"), str):
        return str(value["reference"])
    if isinstance(value, dict) and isinstance(value.get("value"), str):  # an Identifier
        return f"{value['system']}|{value['value']}" if value.get("system") else str(value["value"])
    raise Problem(
        "parameter-invalid", 400, "value", f"{name} is of a type that this operation does not take", parameter=name
    )


def _wrong(why: str) -> Problem:
    return Problem("parameters-malformed", 400, "structure", why)

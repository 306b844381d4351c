"""What the JSON of each primitive type looks like (R4 datatypes.html), as JSON Schema.

Patterns are stricter than the regular expressions of R4 where those let through what their text forbids: days that the
calendar does not have (30 February, 29 February of a common year), a text of blanks alone, control characters.
"""

from __future__ import annotations

from typing import Any

from hilum.definitions import Definitions

__all__ = ["SPEC_TYPES", "primitive_schema"]

_YEAR = r"(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_LEAP = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_LONG = r"(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
_SHORT = r"(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
_FEBRUARY = r"02-(?:0[1-9]|1[0-9]|2[0-8])"
_MONTH_DAY = rf"(?:{_LONG}|{_SHORT}|{_FEBRUARY})"
_DAY = rf"(?:{_YEAR}-{_MONTH_DAY}|{_LEAP}-02-29)"
_MONTH = rf"{_YEAR}(?:-(?:0[1-9]|1[0-2]))?"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_QUAD = r"(?:[A-Za-z0-9+/][ \r\n\t]*)"
_CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f"
_TEXT = rf"^[^{_CONTROL}]*[^\x00-\x20][^{_CONTROL}]*$"

SPEC_TYPES: dict[str, dict[str, Any]] = {
    "base64Binary": {
        "type": "string",
        "minLength": 1,
        "pattern": rf"^[ \r\n\t]*(?:{_QUAD}{{4}})*(?:{_QUAD}{{2}}=[ \r\n\t]*=[ \r\n\t]*|{_QUAD}{{3}}=[ \r\n\t]*)?$",
    },
    "boolean": {"type": "boolean"},
    "canonical": {"type": "string", "pattern": r"^[^\x00-\x20]+$"},
    "code": {"type": "string", "pattern": r"^[^\x00-\x20]+(?:[ \t\r\n][^\x00-\x20]+)*$"},
    "date": {"type": "string", "pattern": rf"^(?:{_MONTH}|{_DAY})$"},
    "dateTime": {"type": "string", "pattern": rf"^(?:{_MONTH}|{_DAY}(?:T{_TIME}{_ZONE})?)$"},
    "decimal": {"type": "number"},
    "id": {"type": "string", "pattern": r"^[A-Za-z0-9.\-]{1,64}$"},
    "instant": {"type": "string", "pattern": rf"^{_DAY}T{_TIME}{_ZONE}$"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "markdown": {"type": "string", "pattern": _TEXT},
    "oid": {"type": "string", "pattern": r"^urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+$"},
    "positiveInt": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "string": {"type": "string", "pattern": _TEXT},
    "time": {"type": "string", "pattern": rf"^{_TIME}$"},
    "unsignedInt": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    "uri": {"type": "string", "pattern": r"^[^\x00-\x20]+$"},
    "url": {"type": "string", "pattern": r"^[^\x00-\x20]+$"},
    "uuid": {"type": "string", "pattern": r"^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
    "xhtml": {"type": "string", "minLength": 1},
}


def primitive_schema(definitions: Definitions, name: str) -> dict[str, Any] | None:
    """The schema of a primitive type; None when the type is none."""
    found = SPEC_TYPES.get(name)
    if found is not None:
        return found
    structure = definitions.structure(name)
    if structure is None or structure.kind != "primitive-type":
        return None
    return {"type": "string", "pattern": f"^(?:{structure.regex})$"} if structure.regex else {"type": "string"}

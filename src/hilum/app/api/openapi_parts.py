"""What the OpenAPI document is made of: schemas and parameters."""

from __future__ import annotations

from typing import Any

__all__ = [
    "ANYTHING",
    "ANY_RESOURCE",
    "BUNDLE",
    "CONDITION",
    "COUNT",
    "CREATE_ONLY",
    "DATES",
    "ENTRIES",
    "FHIR",
    "FORM",
    "FORMAT",
    "ID",
    "IF_MATCH",
    "IF_NONE",
    "INSTANTS",
    "OPERATION",
    "OUTCOME",
    "PAST",
    "PATCH",
    "PREFER",
    "RESOURCE",
    "SEARCH",
    "SOMETHING",
    "TEXT",
    "TYPES",
    "VERSION",
    "header",
    "query",
    "text",
]

FHIR = "application/fhir+json"
ID = {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}
_TAG = {"type": "string", "pattern": '^(\\*|(W/)?"[0-9]+")?$'}
OUTCOME = {
    "type": "object",
    "required": ["resourceType", "issue"],
    "properties": {
        "resourceType": {"const": "OperationOutcome"},
        "issue": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["severity", "code", "details", "diagnostics"],
                "properties": {"diagnostics": {"type": "string", "minLength": 1}},
            },
        },
    },
}
TEXT = {
    400: "The request cannot be read, or in strict handling not honoured whole",
    401: "No token, or none that is valid",
    403: "The token may not do this",
    404: "There is none",
    405: "Ids are given by this server",
    406: "Only JSON is served",
    408: "The body came too slowly, or a search took too long",
    409: "Messages made one with this identifier already",
    410: "It was deleted",
    412: "A precondition does not hold, or a condition is met by more than one resource",
    413: "The body is too large",
    414: "The URL is too long",
    415: "The body is of another media type",
    422: "The resource may not be stored",
    429: "Too many requests without a valid token",
    500: "The export failed",
    503: "The access could not be audited, or the store cannot answer",
}


def query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter of a URL."""
    return {"name": name, "in": "query", "schema": schema}


def header(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A header of a request."""
    return {"name": name, "in": "header", "schema": schema}


# What has no value is passed over (R4 search.html), so nothing is allowed wherever something is.
_CLOCK = "T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]+)?)?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])"
_DATE = f"[0-9]{{4}}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])({_CLOCK})?)?)?"
_NAME = "[A-Za-z_][A-Za-z0-9_-]*"
_STEP = f"[*]|[A-Za-z]+:{_NAME}(:[A-Za-z]+)?"


def text(pattern: str) -> dict[str, Any]:
    """A text of this pattern, or nothing."""
    return {"type": "string", "pattern": f"^({pattern})?$"}


DATES = text(_DATE)
INSTANTS = text("[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])" + _CLOCK)
TYPES = {"$ref": "#/components/schemas/Types"}
SOMETHING = {"type": "string", "pattern": "^[A-Za-z0-9.-]+$"}
FORMAT = query("_format", {"enum": ["json", "application/json", "application/fhir+json", ""]})
COUNT = query("_count", {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 999_999_999}, {"const": ""}]})
VERSION = {"name": "version", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}
IF_MATCH, IF_NONE = header("If-Match", _TAG), header("If-None-Match", _TAG)
CREATE_ONLY = header("If-None-Match", {"const": "*"})
PREFER = header("Prefer", {"enum": ["return=minimal", "return=representation", "return=OperationOutcome", ""]})
CONDITION = {
    "name": "condition",
    "in": "query",
    "description": "Search parameters of the type, as in the CapabilityStatement",
    "style": "form",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}
SEARCH = [
    query("_id", text("[A-Za-z0-9.-]{1,64}(,[A-Za-z0-9.-]{1,64})*")),
    query("_lastUpdated", text(f"(eq|ne|gt|lt|ge|le|sa|eb|ap)?{_DATE}")),
    query("_sort", text(f"-?{_NAME}(,-?{_NAME}){{0,3}}")),
    query("_include", text(_STEP)),
    query("_revinclude", text(_STEP)),
    query("_summary", {"enum": ["true", "text", "data", "count", "false", ""]}),
    query("_total", {"enum": ["none", "estimate", "accurate", ""]}),
    COUNT,
    CONDITION,
    FORMAT,
]
PAST = [
    query("_since", INSTANTS),
    query("_at", DATES),
    COUNT,
    FORMAT,
]
RESOURCE = {"schema": {"$ref": "#/components/schemas/Resource"}}
BUNDLE = {"schema": {"$ref": "#/components/schemas/Entries"}}
ANYTHING: dict[str, Any] = {"schema": {}}
PATCH = {"schema": {"type": "array", "maxItems": 1_000, "items": {"$ref": "#/components/schemas/PatchOperation"}}}
_POINTER = {"type": "string", "pattern": "^(/[A-Za-z0-9_-]+)+$"}


def _step(*names: str, also: str = "") -> dict[str, Any]:
    properties: dict[str, Any] = {"op": {"enum": list(names)}, "path": _POINTER}
    properties |= {also: _POINTER if also == "from" else {}} if also else {}
    return {"type": "object", "required": list(properties), "properties": properties}


OPERATION = {
    "anyOf": [_step("add", "replace", "test", also="value"), _step("move", "copy", also="from"), _step("remove")]
}
_ENTRY = {
    "type": "object",
    "required": ["request"],
    "properties": {
        "request": {
            "type": "object",
            "required": ["method", "url"],
            "properties": {
                "method": {"enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]},
                "url": {"type": "string", "minLength": 1},
            },
        }
    },
}
ENTRIES = {
    "type": "object",
    "required": ["resourceType", "type"],
    "properties": {
        "resourceType": {"const": "Bundle"},
        "type": {"enum": ["batch", "transaction"]},
        "entry": {"type": "array", "maxItems": 5_000, "items": _ENTRY},
    },
}
ANY_RESOURCE = {
    "type": "object",
    "required": ["resourceType"],
    "properties": {"resourceType": {"$ref": "#/components/schemas/Type"}},
}
FORM = {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}

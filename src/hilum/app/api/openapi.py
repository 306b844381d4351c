"""The OpenAPI 3.1 document of the routes, for tools that do not speak FHIR; truthful, tested by generated requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

import hilum
from hilum.app.api.exchange import Call, Reply
from hilum.app.api.negotiation import JSON
from hilum.app.api.patching import MERGE_PATCH
from hilum.app.api.searching import COMPARTMENTS
from hilum.app.api.surface import Surface

__all__ = ["OpenApi", "document"]

_FHIR = "application/fhir+json"
_ID = {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}
_TAG = {"type": "string", "pattern": '^(\\*|(W/)?"[0-9]+")$'}
_OUTCOME = {
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
_TEXT = {
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


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


def _header(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": schema}


_FORMAT = _query("_format", {"enum": ["json", "application/json", "application/fhir+json"]})
_COUNT = _query("_count", {"type": "integer", "minimum": 0, "maximum": 999_999_999})
_VERSION = {"name": "version", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}
_IF_MATCH, _IF_NONE = _header("If-Match", _TAG), _header("If-None-Match", _TAG)
_CREATE_ONLY = _header("If-None-Match", {"const": "*"})
_PREFER = _header("Prefer", {"enum": ["return=minimal", "return=representation", "return=OperationOutcome"]})
_CONDITION = {
    "name": "condition",
    "in": "query",
    "description": "Search parameters of the type, as in the CapabilityStatement",
    "style": "form",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}
_SEARCH = [
    *[_query(name, {"type": "string"}) for name in ("_id", "_lastUpdated", "_sort", "_include", "_revinclude")],
    _query("_summary", {"enum": ["true", "text", "data", "count", "false"]}),
    _query("_total", {"enum": ["none", "estimate", "accurate"]}),
    _COUNT,
    _CONDITION,
    _FORMAT,
]
_PAST = [
    _query("_since", {"type": "string", "format": "date-time"}),
    _query("_at", {"type": "string"}),
    _COUNT,
    _FORMAT,
]
_RESOURCE = {"schema": {"type": "object", "required": ["resourceType"]}}
_PATCH = {"schema": {"type": "array", "maxItems": 1_000, "items": {"$ref": "#/components/schemas/PatchOperation"}}}
_OPERATION = {
    "type": "object",
    "required": ["op", "path"],
    "properties": {
        "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
        "path": {"type": "string", "pattern": "^(/.*)?$"},
        "from": {"type": "string", "pattern": "^(/.*)?$"},
    },
}
_FORM = {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}

_REFUSED = (401, 403, 414, 429, 503)
_READ = (400, 404, 406)
_TOLD = (400, 406)
_BODY = (400, 404, 406, 408, 413, 415)


class _Route(Struct, frozen=True):
    """One operation. `body` is media type and schema, `answers` what may come of it besides errors."""

    method: str
    path: str
    id: str
    text: str
    parameters: list[dict[str, Any]]
    errors: tuple[int, ...]
    answers: tuple[int, ...] = (200,)
    body: tuple[str, dict[str, Any]] | None = None
    result: str = ""


_TYPE, _ONE = "/fhir/{type}", "/fhir/{type}/{id}"
_OWNER = {"name": "owner", "in": "path", "required": True, "schema": {"enum": list(COMPARTMENTS)}}
_TEXTS: dict[str, Any] = {"type": "string"}
_EVERYTHING = [*(_query(name, _TEXTS) for name in ("start", "end", "_since", "_type")), _COUNT, _FORMAT]
_LASTN = [
    *(_query(name, _TEXTS) for name in ("patient", "category", "code", "date")),
    _query("max", {"type": "integer", "minimum": 1}),
    _FORMAT,
]
_DOCREF = [*(_query(name, _TEXTS) for name in ("patient", "start", "end", "type")), _COUNT, _FORMAT]
_PARAMETERS = {
    "schema": {"type": "object", "required": ["resourceType"], "properties": {"resourceType": {"const": "Parameters"}}}
}
_AS_RESOURCE, _AS_PATCH = (_FHIR, _RESOURCE), ("application/json-patch+json", _PATCH)
_WRITTEN = (*_BODY, 409, 412, 422)


def _operation_routes(
    path: str, id_: str, text: str, query: list[dict[str, Any]], more: tuple[int, ...] = ()
) -> Iterator[_Route]:
    """An operation that is asked by its URL, or posted as Parameters."""
    yield _Route("get", path, id_, text, query, (*_READ, *more), result="Bundle")
    body = (_FHIR, _PARAMETERS)
    yield _Route("post", path, f"{id_}Posted", text, [_FORMAT], (*_BODY, *more), body=body, result="Bundle")


_ROUTES = [
    _Route("post", "/fhir", "bundle", "A batch or transaction", [_PREFER], (*_WRITTEN, 405, 410), body=_AS_RESOURCE),
    _Route("get", _TYPE, "search", "Search one type", _SEARCH, (*_READ, 408), result="Bundle"),
    _Route(
        "post",
        f"{_TYPE}/_search",
        "searchByForm",
        "Search one type by a form",
        [],
        _BODY,
        body=("application/x-www-form-urlencoded", _FORM),
        result="Bundle",
    ),
    _Route(
        "post",
        _TYPE,
        "create",
        "Create, also on a condition",
        [_header("If-None-Exist", {"type": "string"}), _PREFER],
        _WRITTEN,
        (200, 201),
        _AS_RESOURCE,
    ),
    _Route(
        "put",
        _TYPE,
        "updateWhere",
        "Update what meets a condition",
        [_CONDITION, _PREFER],
        _WRITTEN,
        (200, 201),
        _AS_RESOURCE,
    ),
    _Route(
        "patch", _TYPE, "patchWhere", "Patch what meets a condition", [_CONDITION, _PREFER], _WRITTEN, (200,), _AS_PATCH
    ),
    _Route("delete", _TYPE, "deleteWhere", "Delete what meets a condition", [_CONDITION], (*_READ, 412), (200, 204)),
    _Route("get", _ONE, "read", "Read one", [_IF_NONE, _FORMAT], (*_READ, 410), (200, 304)),
    _Route(
        "put",
        _ONE,
        "update",
        "Update, or create with this id",
        [_IF_MATCH, _CREATE_ONLY, _PREFER],
        (*_WRITTEN, 405),
        (200, 201),
        _AS_RESOURCE,
    ),
    _Route(
        "patch",
        _ONE,
        "patch",
        "Change by a patch",
        [_IF_MATCH, _PREFER],
        (*_WRITTEN, 410),
        (200,),
        _AS_PATCH,
    ),
    _Route("delete", _ONE, "delete", "Delete", [_IF_MATCH], (*_READ, 412), (200, 204)),
    _Route("get", "/fhir/_history", "historyOfAll", "Versions of everything", _PAST, _TOLD, result="Bundle"),
    _Route("get", f"{_TYPE}/_history", "historyOfType", "Versions of a type", _PAST, _READ, result="Bundle"),
    _Route("get", f"{_ONE}/_history", "history", "Versions of one", _PAST, _READ, result="Bundle"),
    _Route(
        "get",
        f"{_ONE}/_history/{{version}}",
        "vread",
        "One version of one",
        [_VERSION, _IF_NONE],
        (*_READ, 410),
        (200, 304),
    ),
    _Route(
        "get",
        "/fhir/{owner}/{id}/{type}",
        "searchCompartment",
        "Search one type within what belongs to a record",
        [_OWNER, *_SEARCH],
        _READ,
        result="Bundle",
    ),
    *_operation_routes(
        "/fhir/Patient/{id}/$everything", "everything", "All that belongs to a patient", _EVERYTHING, (410,)
    ),
    *_operation_routes("/fhir/Observation/$lastn", "lastn", "The newest of each code", _LASTN),
    *_operation_routes("/fhir/DocumentReference/$docref", "docref", "The documents of a patient", _DOCREF),
    _Route("post", f"{_TYPE}/$validate", "validate", "Say what is wrong with a resource", [], _BODY, body=_AS_RESOURCE),
    _Route("post", f"{_ONE}/$validate", "validateFor", "The same for an update", [], _BODY, body=_AS_RESOURCE),
    _Route("get", f"{_ONE}/$validate", "validateStored", "The same of what is stored", [], _READ),
]


_ASYNC = _header("Prefer", {"type": "string"}) | {"required": True, "example": "respond-async"}
_EXPORT = [_ASYNC, *[_query(n, {"type": "string"}) for n in ("_type", "_since", "_elements", "_typeFilter")]]
_STATUS, _FILE = "/fhir/$export-status/{job}", "/fhir/$export-file/{job}/{name}"
_JOB = {"name": "job", "in": "path", "required": True, "schema": _ID}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_BULK = [
    _Route(method, path, f"{id_}{method.title()}", text, _EXPORT, errors, (202,), body)
    for path, id_, text in (
        ("/fhir/$export", "export", "Export everything in bulk"),
        ("/fhir/Patient/$export", "exportPatients", "Export what belongs to patients in bulk"),
        ("/fhir/Group/{id}/$export", "exportGroup", "Export what belongs to the members of a group in bulk"),
    )
    for method, errors, body in (("get", _READ, None), ("post", _BODY, _AS_RESOURCE))
] + [
    _Route("get", _STATUS, "exportStatus", "How far an export is, or its manifest", [_JOB], (404, 500), (202,)),
    _Route("delete", _STATUS, "exportCancel", "End an export and delete its files", [_JOB], (404,), (202,)),
    _Route("get", _FILE, "exportFile", "A file of an export, as NDJSON", [_JOB, _NAME], (404,), ()),
]


_OF_ONE = "/fhir/Subscription/{id}"
_NUMBERS = [_query(name, {"type": "integer", "minimum": 0}) for name in ("eventsSinceNumber", "eventsUntilNumber")]
_CONTENT = _query("content", {"enum": ["empty", "id-only", "full-resource"]})
_SUBSCRIBED = [
    _Route(method, path, id_ + end, text, asked, errors, body=body, result="Bundle")
    for path, id_, text, asked in (
        ("/fhir/Subscription/$status", "statuses", "How one's subscriptions stand", [_FORMAT]),
        (f"{_OF_ONE}/$status", "status", "How one stands", [_FORMAT]),
        (f"{_OF_ONE}/$events", "events", "Its events again", [*_NUMBERS, _CONTENT, _FORMAT]),
    )
    for method, end, errors, body in (("get", "", _READ, None), ("post", "Posted", _BODY, _AS_RESOURCE))
]


class OpenApi:
    """Serves `/openapi.json`."""

    def __init__(self, surface: Surface, base_url: str, *, exports: bool = False, subscriptions: bool = False) -> None:
        tree = document(surface, base_url, exports=exports, subscriptions=subscriptions)
        self._body = msgspec.json.encode(tree)

    async def __call__(self, _: Call) -> Reply:
        """The document; it holds no PHI and needs no token."""
        return Reply(200, self._body, {"Cache-Control": "no-cache"}, content_type=JSON)


def document(surface: Surface, base_url: str, *, exports: bool = False, subscriptions: bool = False) -> dict[str, Any]:
    """The whole document as a tree. `exports`, `subscriptions`: whether there are any."""
    paths: dict[str, Any] = {
        "/livez": {"get": _open("alive", "Whether the process answers", {})},
        "/readyz": {"get": _open("ready", "Whether messages are taken in and applied", {503: _problem(503)})},
        "/metrics": {"get": _metrics()},
        "/openapi.json": {"get": _open("openapi", "This document", {})},
        "/fhir/metadata": {"get": _operation(_METADATA, (200, 304))},
    }
    for route in [*_ROUTES, *(_BULK if exports else ()), *(_SUBSCRIBED if subscriptions else ())]:
        made = _operation(route, route.answers) | {"security": [{"token": []}]}
        paths.setdefault(route.path, _shared(route.path))[route.method] = made
    return {
        "openapi": "3.1.0",
        "info": {"title": "hilum", "version": hilum.__version__, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": base_url}],
        "paths": paths,
        "components": {
            "schemas": {
                "OperationOutcome": _OUTCOME,
                "PatchOperation": _OPERATION,
                "Type": {"enum": [resource.type for resource in surface.resources]},
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_METADATA = _Route(
    "get", "/fhir/metadata", "metadata", "The CapabilityStatement", [_FORMAT], (406,), result="CapabilityStatement"
)


def _shared(path: str) -> dict[str, Any]:
    """The parameters that stand in a path."""
    parameters: list[dict[str, Any]] = []
    if "{type}" in path:
        schema = {"$ref": "#/components/schemas/Type"}
        parameters.append({"name": "type", "in": "path", "required": True, "schema": schema})
    if "{id}" in path:
        parameters.append({"name": "id", "in": "path", "required": True, "schema": _ID})
    return {"parameters": parameters} if parameters else {}


def _operation(route: _Route, answers: tuple[int, ...]) -> dict[str, Any]:
    kind: dict[str, Any] = {"const": route.result} if route.result else {"type": "string"}
    schema = {"type": "object", "required": ["resourceType"], "properties": {"resourceType": kind}}
    refusals = () if route is _METADATA else _REFUSED
    responses: dict[str, Any] = {}
    if route.path in (_FILE, _STATUS) and route.method == "get":
        media = "application/fhir+ndjson" if route.path == _FILE else JSON
        responses["200"] = {"description": "The file, or the manifest", "content": {media: {}}}
    for status in answers:
        content = {"content": {_FHIR: {"schema": schema}}} if status in (200, 201) else {}
        responses[str(status)] = {"description": _SAID[status], **content}
    responses |= {str(status): _problem(status) for status in sorted({*route.errors, *refusals})}
    made = {"operationId": route.id, "summary": route.text, "parameters": route.parameters, "responses": responses}
    if route.body is not None:
        media, body = route.body
        also = {_FHIR: _PARAMETERS, MERGE_PATCH: {"schema": {"type": "object"}}} if route.body is _AS_PATCH else {}
        made["requestBody"] = {"required": True, "content": {media: body, **also}}
    return made


_SAID = {
    200: "Done; with Prefer: return=minimal without a body",
    201: "Created",
    202: "Under way; Content-Location and Retry-After say where and when to ask",
    204: "There is none any more",
    304: "The caller has it already",
}


def _open(id_: str, text: str, errors: dict[int, Any]) -> dict[str, Any]:
    ok = {"description": text, "content": {JSON: {"schema": {"type": "object"}}}}
    responses = {"200": ok} | {str(status): problem for status, problem in errors.items()}
    return {"operationId": id_, "summary": text, "responses": responses}


def _metrics() -> dict[str, Any]:
    ok = {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}
    responses = {"200": ok} | {str(status): _problem(status) for status in (400, 401, 403, 429, 503)}
    text = "Prometheus metrics; on the machine itself no token is needed"
    return {"operationId": "metrics_", "summary": text, "responses": responses, "security": [{"token": []}, {}]}


def _problem(status: int) -> dict[str, Any]:
    content = {_FHIR: {"schema": {"$ref": "#/components/schemas/OperationOutcome"}}}
    return {"description": _TEXT[status], "content": content}

"""The OpenAPI 3.1 document of the routes, for tools that do not speak FHIR; truthful, tested by generated requests."""

from __future__ import annotations

from typing import Any

import msgspec

import hilum
from hilum.app.api.exchange import Call, Reply
from hilum.app.api.negotiation import JSON
from hilum.app.api.surface import ResourceSurface, Surface

__all__ = ["OpenApi", "document"]

_FHIR = "application/fhir+json"
_ID = {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}
_FORMAT = {
    "name": "_format",
    "in": "query",
    "schema": {"enum": ["json", "application/json", "application/fhir+json"]},
}
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
    403: "The token's role may not do this",
    404: "There is none",
    406: "Only JSON is served",
    410: "It was deleted",
    413: "The body is too large",
    414: "The URL is too long",
    415: "The body is not a form",
    429: "Too many requests without a valid token",
    503: "The access could not be audited, or the store cannot answer",
}


class OpenApi:
    """Serves `/openapi.json`."""

    def __init__(self, surface: Surface, base_url: str) -> None:
        self._body = msgspec.json.encode(document(surface, base_url))

    async def __call__(self, _: Call) -> Reply:
        """The document; it holds no PHI and needs no token."""
        return Reply(200, self._body, {"Cache-Control": "no-cache"}, content_type=JSON)


def document(surface: Surface, base_url: str) -> dict[str, Any]:
    """The whole document as a tree."""
    paths: dict[str, Any] = {
        "/livez": {"get": _open("alive", "Whether the process answers", {})},
        "/readyz": {"get": _open("ready", "Whether messages are taken in and applied", {503: _problem(503)})},
        "/metrics": {"get": _metrics()},
        "/openapi.json": {"get": _open("openapi", "This document", {})},
        "/fhir/metadata": {
            "get": _operation("metadata", "The CapabilityStatement", [_FORMAT], "CapabilityStatement", (406,))
        },
    }
    for resource in surface.resources:
        paths |= _resource_paths(resource)
    return {
        "openapi": "3.1.0",
        "info": {"title": "hilum", "version": hilum.__version__, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": base_url}],
        "paths": paths,
        "components": {
            "schemas": {"OperationOutcome": _OUTCOME},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _resource_paths(resource: ResourceSurface) -> dict[str, Any]:
    type_ = resource.type
    id_ = {"name": "id", "in": "path", "required": True, "schema": _ID}
    version = {"name": "version", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}
    count = {"name": "_count", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999}}
    tag = {"name": "If-None-Match", "in": "header", "schema": {"type": "string", "pattern": '^(\\*|(W/)?"[0-9]+")$'}}
    one, search = f"/fhir/{type_}/{{id}}", f"/fhir/{type_}"
    found = (400, 404, 406)
    return {
        search: {
            "get": _data(f"search{type_}", f"Search {type_}", [*_search(resource), count, _FORMAT], "Bundle", found)
        },
        f"{search}/_search": {"post": _post(resource)},
        one: {"get": _data(f"read{type_}", f"Read one {type_}", [id_, tag, _FORMAT], type_, (*found, 410))},
        f"{one}/_history": {
            "get": _data(f"history{type_}", f"Versions of one {type_}", [id_, count, _FORMAT], "Bundle", found)
        },
        f"{one}/_history/{{version}}": {
            "get": _data(f"vread{type_}", f"One version of one {type_}", [id_, version, tag], type_, (*found, 410))
        },
    }


def _search(resource: ResourceSurface) -> list[dict[str, Any]]:
    return [{"name": parameter.name, "in": "query", "schema": {"type": "string"}} for parameter in resource.parameters]


def _post(resource: ResourceSurface) -> dict[str, Any]:
    fields = {parameter.name: {"type": "string"} for parameter in resource.parameters}
    operation = _data(
        f"post{resource.type}", f"Search {resource.type} by a form", [], "Bundle", (400, 404, 406, 413, 415)
    )
    form = {"schema": {"type": "object", "properties": fields, "additionalProperties": False}}
    return operation | {"requestBody": {"content": {"application/x-www-form-urlencoded": form}}}


def _data(
    id_: str, text: str, parameters: list[dict[str, Any]], result: str, errors: tuple[int, ...]
) -> dict[str, Any]:
    """An operation that needs a token."""
    refusals = (401, 403, 414, 429, 503)
    return _operation(id_, text, parameters, result, (*errors, *refusals)) | {"security": [{"token": []}]}


def _operation(
    id_: str, text: str, parameters: list[dict[str, Any]], result: str, errors: tuple[int, ...]
) -> dict[str, Any]:
    schema = {"type": "object", "required": ["resourceType"], "properties": {"resourceType": {"const": result}}}
    responses: dict[str, Any] = {
        "200": {"description": result, "content": {_FHIR: {"schema": schema}}},
        "304": {"description": "The caller has it already"},
    }
    responses |= {str(status): _problem(status) for status in sorted(errors)}
    return {"operationId": id_, "summary": text, "parameters": parameters, "responses": responses}


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

"""The OpenAPI 3.1 document of the routes, for tools that do not speak FHIR; truthful, tested by generated requests."""

from __future__ import annotations

from typing import Any

import msgspec

import hilum
from hilum.app.api.exchange import Call, Reply
from hilum.app.api.negotiation import JSON
from hilum.app.api.openapi_parts import ANY_RESOURCE, ENTRIES, FHIR, FORMAT, ID, OPERATION, OUTCOME, TEXT, text
from hilum.app.api.openapi_routes import (
    AS_PATCH,
    BULK,
    FILE,
    GLASS,
    PARAMETERS,
    REFUSED,
    ROUTES,
    STATUS,
    SUBSCRIBED,
    Route,
)
from hilum.app.api.patching import MERGE_PATCH
from hilum.app.api.surface import Surface

__all__ = ["OpenApi", "document"]


class OpenApi:
    """Serves `/openapi.json`."""

    def __init__(
        self,
        surface: Surface,
        base_url: str,
        *,
        exports: bool = False,
        subscriptions: bool = False,
        glass: bool = False,
    ) -> None:
        tree = document(surface, base_url, exports=exports, subscriptions=subscriptions, glass=glass)
        self._body = msgspec.json.encode(tree)

    async def __call__(self, _: Call) -> Reply:
        """The document; it holds no PHI and needs no token."""
        return Reply(200, self._body, {"Cache-Control": "no-cache"}, content_type=JSON)


def document(
    surface: Surface, base_url: str, *, exports: bool = False, subscriptions: bool = False, glass: bool = False
) -> dict[str, Any]:
    """The whole document as a tree. `exports`, `subscriptions`, `glass`: whether there are these."""
    paths: dict[str, Any] = {
        "/livez": {"get": _open("alive", "Whether the process answers", {})},
        "/readyz": {"get": _open("ready", "Whether messages are taken in and applied", {503: _problem(503)})},
        "/metrics": {"get": _metrics()},
        "/openapi.json": {"get": _open("openapi", "This document", {})},
        "/fhir/metadata": {"get": _operation(_METADATA, (200, 304))},
    }
    more = (*(BULK if exports else ()), *(SUBSCRIBED if subscriptions else ()), *(GLASS if glass else ()))
    for route in (*ROUTES, *more):
        made = _operation(route, route.answers) | {"security": [{"token": []}]}
        paths.setdefault(route.path, _shared(route.path))[route.method] = made
    known = "|".join(resource.type for resource in surface.resources)
    return {
        "openapi": "3.1.0",
        "info": {"title": "hilum", "version": hilum.__version__, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": base_url}],
        "paths": paths,
        "components": {
            "schemas": {
                "OperationOutcome": OUTCOME,
                "PatchOperation": OPERATION,
                "Resource": ANY_RESOURCE,
                "Types": text(f"({known})(,({known}))*"),
                "Entries": ENTRIES,
                "Type": {"enum": [resource.type for resource in surface.resources]},
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_METADATA = Route(
    "get", "/fhir/metadata", "metadata", "The CapabilityStatement", [FORMAT], (406,), result="CapabilityStatement"
)


def _shared(path: str) -> dict[str, Any]:
    """The parameters that stand in a path."""
    parameters: list[dict[str, Any]] = []
    if "{type}" in path:
        schema = {"$ref": "#/components/schemas/Type"}
        parameters.append({"name": "type", "in": "path", "required": True, "schema": schema})
    if "{id}" in path:
        parameters.append({"name": "id", "in": "path", "required": True, "schema": ID})
    return {"parameters": parameters} if parameters else {}


def _operation(route: Route, answers: tuple[int, ...]) -> dict[str, Any]:
    kind: dict[str, Any] = {"const": route.result} if route.result else {"type": "string"}
    schema = {"type": "object", "required": ["resourceType"], "properties": {"resourceType": kind}}
    refusals = () if route is _METADATA else REFUSED
    responses: dict[str, Any] = {}
    if route.path in (FILE, STATUS) and route.method == "get":
        media = "application/fhir+ndjson" if route.path == FILE else JSON
        responses["200"] = {"description": "The file, or the manifest", "content": {media: {}}}
    for status in answers:
        content: dict[str, Any] = {"content": {FHIR: {"schema": schema}}} if status in (200, 201) else {}
        if content and route.id in ("read", "vread"):
            content["content"]["*/*"] = {"schema": {}}  # what a Binary holds, for who does not ask for FHIR
        responses[str(status)] = {"description": _SAID[status], **content}
    responses |= {str(status): _problem(status) for status in sorted({*route.errors, *refusals})}
    made = {"operationId": route.id, "summary": route.text, "parameters": route.parameters, "responses": responses}
    if route.body is not None:
        media, body = route.body
        also = {FHIR: PARAMETERS, MERGE_PATCH: {"schema": {"type": "object"}}} if route.body is AS_PATCH else {}
        made["requestBody"] = {"required": not route.path.endswith("/_search"), "content": {media: body, **also}}
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
    content = {FHIR: {"schema": {"$ref": "#/components/schemas/OperationOutcome"}}}
    return {"description": TEXT[status], "content": content}

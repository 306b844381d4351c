"""The operations of the OpenAPI document, one row each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from hilum.app.api.openapi_parts import (
    ANYTHING,
    BUNDLE,
    CONDITION,
    COUNT,
    CREATE_ONLY,
    DATES,
    FHIR,
    FORM,
    FORMAT,
    ID,
    IF_MATCH,
    IF_NONE,
    INSTANTS,
    PAST,
    PATCH,
    PREFER,
    RESOURCE,
    SEARCH,
    SOMETHING,
    TYPES,
    VERSION,
    header,
    query,
)
from hilum.app.api.searching import COMPARTMENTS

__all__ = ["AS_PATCH", "BULK", "FILE", "GLASS", "PARAMETERS", "REFUSED", "ROUTES", "STATUS", "SUBSCRIBED", "Route"]

REFUSED = (401, 403, 414, 429, 503)
_READ = (400, 404, 406)
_TOLD = (400, 406)
_BODY = (400, 404, 406, 408, 413, 415)


class Route(Struct, frozen=True):
    """One operation. `body` is media type and schema, `answers` what may come of it besides errors."""

    method: str
    path: str
    id: str
    text: str
    parameters: list[dict[str, Any]]
    errors: tuple[int, ...]
    answers: tuple[int, ...] = (200,)
    body: tuple[str, Any] | None = None
    result: str = ""


_TYPE, _ONE = "/fhir/{type}", "/fhir/{type}/{id}"
_OWNER = {"name": "owner", "in": "path", "required": True, "schema": {"enum": list(COMPARTMENTS)}}
_TEXTS: dict[str, Any] = {"type": "string"}
_SEVERAL = query("_type", TYPES)
_PATIENT = query("patient", SOMETHING) | {"required": True}
_EVERYTHING = [*(query(name, DATES) for name in ("start", "end", "_since")), query("_type", TYPES), COUNT, FORMAT]
_LASTN = [
    _PATIENT,
    *(query(name, SOMETHING) for name in ("category", "code")),
    query("date", DATES),
    query("max", {"type": "integer", "minimum": 1}),
    FORMAT,
]
_DOCREF = [_PATIENT, *(query(name, DATES) for name in ("start", "end")), query("type", _TEXTS), COUNT, FORMAT]
_EXPAND = [
    query("url", _TEXTS) | {"required": True},
    query("filter", _TEXTS),
    COUNT,
    query("offset", {"type": "integer", "minimum": 0, "maximum": 999_999_999}),
    FORMAT,
]
PARAMETERS = {
    "schema": {"type": "object", "required": ["resourceType"], "properties": {"resourceType": {"const": "Parameters"}}}
}
_AS_RESOURCE, AS_PATCH = (FHIR, RESOURCE), ("application/json-patch+json", PATCH)
_WRITTEN = (*_BODY, 409, 412, 422)


def _operation_routes(
    path: str, id_: str, text: str, query: list[dict[str, Any]], more: tuple[int, ...] = (), result: str = "Bundle"
) -> Iterator[Route]:
    """An operation that is asked by its URL, or posted as Parameters."""
    yield Route("get", path, id_, text, query, (*_READ, *more), result=result)
    body = (FHIR, PARAMETERS)
    yield Route("post", path, f"{id_}Posted", text, [FORMAT], (*_BODY, *more), body=body, result=result)


ROUTES = [
    Route("post", "/fhir", "bundle", "A batch or transaction", [PREFER], (*_WRITTEN, 405, 410), body=(FHIR, BUNDLE)),
    Route(
        "get", "/fhir", "searchAll", "Search several types, or all", [_SEVERAL, *SEARCH], (*_READ, 408), result="Bundle"
    ),
    Route(
        "post",
        "/fhir/_search",
        "searchAllByForm",
        "The same by a form",
        [],
        _BODY,
        body=("application/x-www-form-urlencoded", FORM),
        result="Bundle",
    ),
    Route("get", _TYPE, "search", "Search one type", SEARCH, (*_READ, 408), result="Bundle"),
    Route(
        "post",
        f"{_TYPE}/_search",
        "searchByForm",
        "Search one type by a form",
        [],
        _BODY,
        body=("application/x-www-form-urlencoded", FORM),
        result="Bundle",
    ),
    Route(
        "post",
        _TYPE,
        "create",
        "Create, also on a condition",
        [header("If-None-Exist", {"type": "string"}), PREFER],
        _WRITTEN,
        (200, 201),
        _AS_RESOURCE,
    ),
    Route(
        "put",
        _TYPE,
        "updateWhere",
        "Update what meets a condition",
        [CONDITION, PREFER],
        _WRITTEN,
        (200, 201),
        _AS_RESOURCE,
    ),
    Route(
        "patch", _TYPE, "patchWhere", "Patch what meets a condition", [CONDITION, PREFER], _WRITTEN, (200,), AS_PATCH
    ),
    Route("delete", _TYPE, "deleteWhere", "Delete what meets a condition", [CONDITION], (*_READ, 412), (200, 204)),
    Route("get", _ONE, "read", "Read one", [IF_NONE, FORMAT], (*_READ, 410), (200, 304)),
    Route(
        "put",
        _ONE,
        "update",
        "Update, or create with this id",
        [IF_MATCH, CREATE_ONLY, PREFER],
        (*_WRITTEN, 405),
        (200, 201),
        _AS_RESOURCE,
    ),
    Route(
        "patch",
        _ONE,
        "patch",
        "Change by a patch",
        [IF_MATCH, PREFER],
        (*_WRITTEN, 410),
        (200,),
        AS_PATCH,
    ),
    Route("delete", _ONE, "delete", "Delete", [IF_MATCH], (*_READ, 412), (200, 204)),
    Route("get", "/fhir/_history", "historyOfAll", "Versions of everything", PAST, _TOLD, result="Bundle"),
    Route("get", f"{_TYPE}/_history", "historyOfType", "Versions of a type", PAST, _READ, result="Bundle"),
    Route("get", f"{_ONE}/_history", "history", "Versions of one", PAST, _READ, result="Bundle"),
    Route(
        "get",
        f"{_ONE}/_history/{{version}}",
        "vread",
        "One version of one",
        [VERSION, IF_NONE],
        (*_READ, 410),
        (200, 304),
    ),
    Route(
        "get",
        "/fhir/{owner}/{id}/{type}",
        "searchCompartment",
        "Search one type within what belongs to a record",
        [_OWNER, *SEARCH],
        _READ,
        result="Bundle",
    ),
    *_operation_routes(
        "/fhir/Patient/{id}/$everything", "everything", "All that belongs to a patient", _EVERYTHING, (410,)
    ),
    *_operation_routes("/fhir/Observation/$lastn", "lastn", "The newest of each code", _LASTN),
    *_operation_routes("/fhir/DocumentReference/$docref", "docref", "The documents of a patient", _DOCREF),
    *_operation_routes("/fhir/ValueSet/$expand", "expand", "The codes of a value set", _EXPAND, (422,), "ValueSet"),
    *_operation_routes(
        "/fhir/ValueSet/{id}/$expand", "expandStored", "The codes of a stored one", _EXPAND[1:], (422,), "ValueSet"
    ),
    Route(
        "post", f"{_TYPE}/$validate", "validate", "Say what is wrong with a resource", [], _BODY, body=(FHIR, ANYTHING)
    ),
    Route("post", f"{_ONE}/$validate", "validateFor", "The same for an update", [], _BODY, body=(FHIR, ANYTHING)),
    Route("get", f"{_ONE}/$validate", "validateStored", "The same of what is stored", [], _READ),
]


_ASYNC = header("Prefer", {"type": "string"}) | {"required": True, "example": "respond-async"}
_EXPORT = [
    _ASYNC,
    query("_type", TYPES),
    query("_since", INSTANTS),
    *[query(n, {"type": "string"}) for n in ("_elements", "_typeFilter")],
]
STATUS, FILE = "/fhir/$export-status/{job}", "/fhir/$export-file/{job}/{name}"
_JOB = {"name": "job", "in": "path", "required": True, "schema": ID}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
BULK = [
    Route(method, path, f"{id_}{method.title()}", text, _EXPORT, errors, (202,), body)
    for path, id_, text in (
        ("/fhir/$export", "export", "Export everything in bulk"),
        ("/fhir/Patient/$export", "exportPatients", "Export what belongs to patients in bulk"),
        ("/fhir/Group/{id}/$export", "exportGroup", "Export what belongs to the members of a group in bulk"),
    )
    for method, errors, body in (("get", _READ, None), ("post", _BODY, (FHIR, PARAMETERS)))
] + [
    Route("get", STATUS, "exportStatus", "How far an export is, or its manifest", [_JOB], (404, 500), (202,)),
    Route("delete", STATUS, "exportCancel", "End an export and delete its files", [_JOB], (404,), (202,)),
    Route("get", FILE, "exportFile", "A file of an export, as NDJSON", [_JOB, _NAME], (404,), ()),
]


_OF_ONE = "/fhir/Subscription/{id}"
_NUMBERS = [query(name, {"type": "integer", "minimum": 0}) for name in ("eventsSinceNumber", "eventsUntilNumber")]
_CONTENT = query("content", {"enum": ["empty", "id-only", "full-resource"]})
SUBSCRIBED = [
    Route(method, path, id_ + end, text, asked, errors, body=body, result="Bundle")
    for path, id_, text, asked in (
        ("/fhir/Subscription/$status", "statuses", "How one's subscriptions stand", [FORMAT]),
        (f"{_OF_ONE}/$status", "status", "How one stands", [FORMAT]),
        (f"{_OF_ONE}/$events", "events", "Its events again", [*_NUMBERS, _CONTENT, FORMAT]),
    )
    for method, end, errors, body in (("get", "", _READ, None), ("post", "Posted", _BODY, (FHIR, PARAMETERS)))
]


GLASS = [
    Route(
        "post",
        "/fhir/Patient/$break-glass",
        "breakGlass",
        "Open a record that is not in a practitioner's care",
        [],
        (*_BODY, 429),
        body=(FHIR, PARAMETERS),
        result="Parameters",
    )
]

"""The CapabilityStatement (R4 capabilitystatement.html), made from the routes and the search table: it cannot lie."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

import hilum
from hilum.app.api.exchange import Call, Reply
from hilum.app.api.negotiation import check_format
from hilum.app.api.patching import PATCH_FORMATS
from hilum.app.api.query import parse_pairs
from hilum.app.api.surface import EVERYWHERE, ResourceSurface, SearchParameter, Surface
from hilum.definitions import Definitions, r4

__all__ = ["Capability", "statement"]

FHIR_VERSION = "4.0.1"
_OPERATORS = "A bearer token made by `hilum token create`, in the Authorization header only."
_OF_ALL = ("transaction", "batch", "history-system", "search-system")
INTERACTIONS = (
    "read",
    "vread",
    "history-instance",
    "history-type",
    "search-type",
    "create",
    "update",
    "patch",
    "delete",
)


class Capability:
    """Serves `metadata`, also without a token: it holds no PHI (R4 http.html 3.1.0.5)."""

    def __init__(
        self,
        surface: Surface,
        base: str,
        *,
        update_creates: bool = True,
        security: dict[str, object] | None = None,
        exports: bool = False,
        topics: Sequence[str] = (),
        definitions: Definitions | None = None,
        glass: bool = False,
    ) -> None:
        tree = statement(
            surface,
            base,
            update_creates=update_creates,
            security=security,
            exports=exports,
            topics=topics,
            definitions=definitions,
            glass=glass,
        )
        self._body = msgspec.json.encode(tree)
        self._etag = f'W/"{hashlib.sha256(self._body).hexdigest()[:16]}"'

    async def metadata(self, call: Call) -> Reply:
        """`GET [base]/metadata`."""
        check_format(call.header("accept"), dict(parse_pairs(call.query)).get("_format"))
        headers = {"ETag": self._etag, "Cache-Control": "no-cache"}
        if call.header("if-none-match").strip() in ("*", self._etag):
            return Reply(304, b"", headers)
        return Reply(200, self._body, headers)


def statement(
    surface: Surface,
    base: str,
    *,
    update_creates: bool = True,
    security: dict[str, object] | None = None,
    exports: bool = False,
    topics: Sequence[str] = (),
    definitions: Definitions | None = None,
    glass: bool = False,
) -> dict[str, object]:
    """The CapabilityStatement as a tree. `base` is the FHIR base; `exports`: whether there are bulk exports.

    `topics`: canonical URLs of what programs may subscribe to. `definitions`: R4 with the packages that are loaded.
    `glass`: whether practitioners may open records out of their care.
    """
    known = definitions or r4()
    guides = {"implementationGuide": list(known.guides)} if known.guides else {}
    bulk = {"operation": [_operation("export", _EXPORTS["System"])]} if exports else {}
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "kind": "instance",
        "software": {"name": "hilum", "version": hilum.__version__},
        "implementation": {"description": "hilum FHIR API", "url": base},
        "fhirVersion": FHIR_VERSION,
        "format": ["json", "application/fhir+json"],
        "patchFormat": list(PATCH_FORMATS),
        **guides,
        "rest": [
            {
                "mode": "server",
                "documentation": "Reading, searching and writing, as JSON. Every access is audited before its answer.",
                "security": security or {"description": _OPERATORS},
                "resource": [
                    _resource(
                        resource, known, update_creates=update_creates, exports=exports, topics=topics, glass=glass
                    )
                    for resource in surface.resources
                ],
                "interaction": [{"code": code} for code in _OF_ALL],
                "searchParam": [_parameter(one, "") for one in (*EVERYWHERE, SearchParameter("_type", "special"))],
                **bulk,
            }
        ],
    }


def _resource(
    resource: ResourceSurface,
    known: Definitions,
    *,
    update_creates: bool,
    exports: bool,
    topics: Sequence[str],
    glass: bool,
) -> dict[str, object]:
    operations = [_operation(name, url) for name, url in operations_of(resource.type)]
    if exports and resource.type in _EXPORTS:
        operations.append(_operation("export", _EXPORTS[resource.type]))
    told: dict[str, object] = {}
    if topics and resource.type == "Subscription":
        operations += [_operation(name, f"{_BACKPORT}/OperationDefinition/{url}") for name, url in _SUBSCRIBING]
        extension = f"{_BACKPORT}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
        told["extension"] = [{"url": extension, "valueCanonical": one} for one in topics]
    written: dict[str, object] = {
        "type": resource.type,
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": update_creates,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "operation": operations,
    }
    if resource.type == "Binary":
        told["documentation"] = "A read that does not ask for FHIR gets the content; content that is posted is kept."
    if glass and resource.type == "Patient":
        told["documentation"] = "POST Patient/$break-glass opens a record that is not in a practitioner's care."
    urls = {one.name: one.url for one in known.search_parameters(resource.type)}
    lists = {
        "supportedProfile": list(known.supported_profiles(resource.type)),
        "searchInclude": list(resource.includes),
        "searchRevInclude": list(resource.revincludes),
        "searchParam": [_parameter(parameter, urls.get(parameter.name, "")) for parameter in resource.parameters],
    }
    # an empty array is not allowed in FHIR JSON (json.html 2.6.2)
    return told | written | {name: items for name, items in lists.items() if items}


_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport"
_SUBSCRIBING = (("status", "backport-subscription-status"), ("events", "backport-subscription-events"))
_BULK = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"
_EXPORTS = {"System": f"{_BULK}/export", "Patient": f"{_BULK}/patient-export", "Group": f"{_BULK}/group-export"}


def _operation(name: str, definition: str) -> dict[str, str]:
    return {"name": name, "definition": definition}


def operations_of(type_: str) -> list[tuple[str, str]]:
    """Names and definitions of what a type offers besides the interactions."""
    every = ("validate", "http://hl7.org/fhir/OperationDefinition/Resource-validate")
    return [every, *_OPERATIONS.get(type_, ())]


_OPERATIONS = {
    "Patient": (("everything", "http://hl7.org/fhir/OperationDefinition/Patient-everything"),),
    "Observation": (("lastn", "http://hl7.org/fhir/OperationDefinition/Observation-lastn"),),
    "ValueSet": (("expand", "http://hl7.org/fhir/OperationDefinition/ValueSet-expand"),),
    "DocumentReference": (("docref", "http://hl7.org/fhir/us/core/OperationDefinition/docref"),),
}


def _parameter(parameter: SearchParameter, definition: str) -> dict[str, str]:
    told = {"name": parameter.name, "definition": definition, "type": parameter.kind}
    return told if definition else {"name": parameter.name, "type": parameter.kind}

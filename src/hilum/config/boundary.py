"""What must hold between the parts of integration.yaml, and between it and the other files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hilum.config.hosts import is_loopback
from hilum.config.integration import Integration
from hilum.config.resource_types import RESOURCE_TYPES
from hilum.config.section import Section
from hilum.config.suggest import did_you_mean
from hilum.config.tree import Tree
from hilum.model import Finding, Severity

__all__ = ["INTEGRATION"]


def _ids_are_unique(tree: Tree) -> Iterator[Finding]:
    it = tree.one(Integration)
    for part in ("systems", "data", "flows"):
        seen: set[str] = set()
        for index, item in enumerate(getattr(it, part)):
            if item.id in seen:
                message = f"`{part}` has `{item.id}` twice"
                yield Finding("id-duplicate", message, tree.where(it, part, index, "id"))
            seen.add(item.id)


def _flows_name_what_exists(tree: Tree) -> Iterator[Finding]:
    it = tree.one(Integration)
    systems = [system.id for system in it.systems]
    ends = sorted({*systems, *tree.names("sources"), *tree.names("destinations")})
    data = [item.id for item in it.data]
    for index, flow in enumerate(it.flows):
        for key, name in (("from", flow.from_), ("to", flow.to)):
            if name not in ends:
                message = f"`{name}` is no system, source or destination"
                yield _unknown(message, tree.where(it, "flows", index, key), name, ends)
        for position, name in enumerate(flow.data):
            if name not in data:
                where = tree.where(it, "flows", index, "data", position)
                yield _unknown(f"`{name}` is not in `data`", where, name, data)


def _routes_lead_somewhere(tree: Tree) -> Iterator[Finding]:
    it = tree.one(Integration)
    destinations = tree.names("destinations")
    for index, route in enumerate(it.routes):
        if route.to not in destinations:
            message = f"there is no destinations/{route.to}.yaml"
            yield _unknown(message, tree.where(it, "routes", index, "to"), route.to, destinations)


def _resource_types_exist(tree: Tree) -> Iterator[Finding]:
    it = tree.one(Integration)
    named = [((("data", index, "resource")), item.resource) for index, item in enumerate(it.data)]
    for index, route in enumerate(it.routes):
        named += [(("routes", index, "types", n), name) for n, name in enumerate(route.types)]  # type: ignore[misc]
    for path, name in named:
        if name not in RESOURCE_TYPES:
            hint = did_you_mean(name, RESOURCE_TYPES)
            message = f"FHIR R4 has no resource `{name}`"
            yield Finding("resource-unknown", message, tree.where(it, *path), hint=hint)


def _every_area_has_owners(tree: Tree) -> Iterator[Finding]:
    it = tree.one(Integration)
    areas = it.owners.__struct_fields__
    named = [area for area in areas if getattr(it.owners, area) is not None]
    missing = [area for area in areas if area not in named]
    if missing and (named or it.flows):
        message = f"nobody owns: {', '.join(missing)}"
        hint = "name business, technical, evidence and launch owners for each"
        where = tree.where(it, "owners")
        yield Finding("owner-area-missing", message, where, Severity.WARNING, hint)


def _api_is_not_exposed(tree: Tree) -> Iterator[Finding]:
    it = tree.one(Integration)
    if it.api.tls is None and not it.api.insecure_allowed and not is_loopback(it.api.host):
        message = "others could read health data in clear text on this host"
        hint = "give `tls`, or listen on 127.0.0.1; `insecure_allowed` where a proxy ends TLS on a closed network"
        yield Finding("api-without-tls", message, tree.where(it, "api", "host"), hint=hint)


def _unknown(message: str, where: str, name: str, options: Sequence[str]) -> Finding:
    return Finding("reference-unknown", message, where, hint=did_you_mean(name, options))


def _checks(tree: Tree) -> Iterable[Finding]:
    for check in (
        _ids_are_unique,
        _flows_name_what_exists,
        _routes_lead_somewhere,
        _resource_types_exist,
        _every_area_has_owners,
        _api_is_not_exposed,
    ):
        yield from check(tree)


INTEGRATION = Section("integration.yaml", Integration, (_checks,))

"""All sections of an integration folder that this version reads, and what must hold between them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from msgspec import structs

from hilum.app.rules import judgement_of
from hilum.app.subscriptions.settings import SECTIONS as SUBSCRIPTIONS
from hilum.config import INTEGRATION, Integration, Section, Tree, is_loopback
from hilum.delivery import FilesDestination, MllpDestination, WebhookDestination
from hilum.errors import ConfigError
from hilum.intake import FilesSource, MllpSource
from hilum.mapping import compile_condition, load_workbook, tables_of
from hilum.mapping.outward import outward_kinds
from hilum.model import Finding, Severity

__all__ = ["SECTIONS"]


def _ports_are_taken_once(tree: Tree) -> Iterator[Finding]:
    """Two listeners on one port: the second could not start."""
    taken = {one.api.port: "the FHIR API (api.port)" for one in tree.all(Integration).values()}
    for name, source in tree.all(MllpSource).items():
        if source.port and source.port in taken:
            message = f"port {source.port} is taken by {taken[source.port]}"
            yield Finding("port-taken-twice", message, tree.where(source, "port"))
        taken.setdefault(source.port, f"source {name}")


def _peers_are_networks(tree: Tree) -> Iterator[Finding]:
    """An entry of `allow` that is no network would keep the listener from starting."""
    for source in tree.all(MllpSource).values():
        for index, one in enumerate(source.allow):
            try:
                ip_network(one)
            except ValueError as error:
                where, hint = tree.where(source, "allow", index), "write networks as 10.2.0.0/16"
                yield Finding("mllp-allow-invalid", f"`allow`: {error}", where, hint=hint)


def _listeners_are_not_exposed(tree: Tree) -> Iterator[Finding]:
    """Others can reach a listener in clear text: allowed, because a VPN may be around it, and said."""
    for source in tree.all(MllpSource).values():
        if source.tls is None and not is_loopback(source.host):
            message = "others can reach this listener, and what they send is not encrypted"
            hint = "give `tls`, or put a VPN or a proxy that does TLS in front of 127.0.0.1"
            where = tree.where(source, "host")
            yield Finding("source-without-tls", message, where, Severity.WARNING, hint)


def _folders_are_watched_once(tree: Tree) -> Iterator[Finding]:
    """Two watchers of one folder would take each other's files."""
    taken: dict[str, str] = {}
    for name, source in tree.all(FilesSource).items():
        folder = str(source.folder.resolve())
        if folder in taken:
            message = f"this folder is watched by source {taken[folder]} already"
            yield Finding("folder-taken-twice", message, tree.where(source, "folder"))
        taken.setdefault(folder, name)


def _rules_can_be_used(tree: Tree) -> Iterator[Finding]:
    """Character set, key and tolerances of a source are words of the HL7 reader."""
    sources: list[MllpSource | FilesSource] = [*tree.all(MllpSource).values(), *tree.all(FilesSource).values()]
    for source in sources:
        try:
            judgement_of(source)
        except ConfigError as error:
            for finding in error.findings:
                part, _, code = finding.location.partition(".")
                path = ("tolerances", code) if code else ({"default_charset": "charset"}.get(part, part),)
                yield structs.replace(finding, location=tree.where(source, *path))


def _routes_have_a_meaning(tree: Tree) -> Iterator[Finding]:
    """A condition that cannot be read would route nothing, or everything."""
    integration = tree.one(Integration)
    for number, route in enumerate(integration.routes):
        try:
            compile_condition(route.when)
        except ConfigError as error:
            yield Finding(error.code, error.message, tree.where(integration, "routes", number, "when"))


def _messages_can_be_made(tree: Tree) -> Iterator[Finding]:
    """A destination asks for a kind of message that the workbook has segments for."""
    asked = {name: one for name, one in tree.all(MllpDestination).items() if one.send}
    kinds = outward_kinds(load_workbook(tree.folder)) if asked else ()
    for one in asked.values():
        for key, kind in (("send", one.send), ("send_deleted", one.send_deleted)):
            if kind and kind not in kinds:
                message = f"the workbook has no segments for {kind}: it can send {', '.join(kinds)}"
                yield Finding("outward-unknown", message, tree.where(one, key))


def _tables_can_be_made(tree: Tree) -> Iterator[Finding]:
    """A destination asks for a table that rows of the workbook write."""
    asked = [one for one in tree.all(FilesDestination).values() if one.send]
    known = tables_of(load_workbook(tree.folder)) if asked else ()
    for one in asked:
        if one.send not in known:
            message = (
                f"no row of the workbook writes {one.send}; the tables that are written: {', '.join(known) or 'none'}"
            )
            yield Finding("csv-table-unknown", message, tree.where(one, "send"))


SECTIONS = (
    structs.replace(INTEGRATION, checks=(*INTEGRATION.checks, _routes_have_a_meaning)),
    Section(
        "sources/*.yaml",
        MllpSource | FilesSource,
        (
            _ports_are_taken_once,
            _peers_are_networks,
            _listeners_are_not_exposed,
            _folders_are_watched_once,
            _rules_can_be_used,
        ),
    ),
    Section(
        "destinations/*.yaml",
        MllpDestination | FilesDestination | WebhookDestination,
        (_messages_can_be_made, _tables_can_be_made),
    ),
    *SUBSCRIPTIONS,
)

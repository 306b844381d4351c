"""The FHIR interactions on single resources: read and vread (R4 http.html 3.1.0.1 - 3.1.0.3)."""

from __future__ import annotations

from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

from hilum.app.api.binaries import context_of, raw_reply
from hilum.app.api.exchange import Call, Reply
from hilum.app.api.negotiation import check_format
from hilum.app.api.outcomes import Problem
from hilum.app.api.projections import projected
from hilum.app.api.query import parse_pairs, projection_of
from hilum.app.api.sight import seen
from hilum.errors import NotFound
from hilum.repository import Repository, Stored

__all__ = ["Resources"]


class Resources:
    """Reads single resources. Bodies go out as the bytes that are stored."""

    def __init__(self, repository: Repository, types: frozenset[str]) -> None:
        self._repository = repository
        self._types = types

    async def read(self, call: Call) -> Reply:
        """`GET [base]/[type]/[id]`, also conditional."""
        type_, id_ = self.address(call)
        stored = self.get(call, type_, id_, by_context=True)
        if stored.deleted:
            raise _gone(stored, "; its versions are under _history")
        return self._reply(call, stored)

    async def vread(self, call: Call) -> Reply:
        """`GET [base]/[type]/[id]/_history/[version]`."""
        type_, id_ = self.address(call)
        written = call.params["version"]
        # only what a version can be written as: FHIR ids of versions here are 1, 2, 3...
        if not written.isascii() or not written.isdigit() or len(written) > 9 or written.startswith("0"):
            raise _no_version(type_, id_)
        call.target += f"/_history/{written}"
        self.get(call, type_, id_, by_context=True)
        stored = self.get(call, type_, id_, int(written), by_context=True)
        if stored.deleted:
            raise _gone(stored, ": this version is the deletion")
        return self._reply(call, stored)

    def address(self, call: Call) -> tuple[str, str]:
        """Type and id of the address. Raises Problem 404."""
        type_, id_ = call.params["type"], call.params["id"]
        if type_ not in self._types:
            raise unknown_type(self._types)
        call.target = f"{type_}/{id_}"
        return type_, id_

    def get(self, call: Call, type_: str, id_: str, version: int | None = None, *, by_context: bool = False) -> Stored:
        """What is out of sight is as absent as what never was. `by_context`: a Binary is seen with what it is of."""
        stored = seen(self._repository, call.sight, type_, id_, version)
        if stored is None and by_context:
            stored = self._proxied(call, type_, id_, version)
        if stored is not None:
            return stored
        if version is not None:
            raise _no_version(type_, id_)
        raise Problem(
            "resource-unknown",
            404,
            "not-found",
            f"there is no {type_} with this id; search for it by its identifier",
        )

    def _proxied(self, call: Call, type_: str, id_: str, version: int | None) -> Stored | None:
        """R4 binary.html, securityContext: who may read what it names may read the Binary."""
        if type_ != "Binary" or call.sight.proxied is None:
            return None
        try:
            stored = self._repository.get(type_, id_, version)
            context = None if stored.deleted else context_of(stored.body)
            is_seen = context is not None and call.sight.sees_context(self._repository.get(*context))
        except NotFound:
            return None
        return stored if is_seen else None

    def _reply(self, call: Call, stored: Stored) -> Reply:
        given = dict(parse_pairs(call.query)) if call.query else {}
        headers = {"ETag": etag(stored), "Last-Modified": http_date(stored.updated // 1_000_000)}
        raw = None
        if stored.type == "Binary":
            raw = raw_reply(stored.body, call.header("accept"), given.get("_format"), headers)
        if raw is None:
            check_format(call.header("accept"), given.get("_format"))
        if self._is_fresh(call, stored):
            call.outcome = "not-modified"
            return Reply(304, b"", headers)
        if raw is not None:
            return raw
        return Reply(200, projected(stored.type, stored.body, projection_of(given)) if given else stored.body, headers)

    def _is_fresh(self, call: Call, stored: Stored) -> bool:
        """Whether the caller has this version already (RFC 9110 13.1.2, 13.1.3, weak comparison)."""
        tags = call.header("if-none-match")
        if tags:
            return tags.strip() == "*" or any(tag.strip() in _tags(stored) for tag in tags.split(","))
        since = call.header("if-modified-since")
        return bool(since) and self._is_unchanged_since(stored, since)

    def _is_unchanged_since(self, stored: Stored, since: str) -> bool:
        try:
            limit = int(parsedate_to_datetime(since).timestamp())
        except (ValueError, OverflowError):
            return False  # RFC 9110 13.1.3: a date that cannot be read is ignored
        updated = stored.updated // 1_000_000
        if updated != limit or stored.version == 1:
            return updated <= limit
        # the date has whole seconds: the caller may hold the version before, if that is of the same second
        try:
            before = self._repository.get(stored.type, stored.id, stored.version - 1)
        except NotFound:
            return False
        return before.updated // 1_000_000 != updated


@lru_cache(maxsize=4_096)
def http_date(seconds: int) -> str:
    """RFC 9110 5.6.7."""
    return formatdate(seconds, usegmt=True)


def etag(stored: Stored) -> str:
    """R4 http.html 3.1.0.1.3: a weak tag of the version id."""
    return f'W/"{stored.version}"'


def unknown_type(types: frozenset[str]) -> Problem:
    """404 for a type that is not served (R4 http.html 3.1.0.1.1)."""
    return Problem(
        "type-unknown", 404, "not-supported", f"this server has no such type; it serves {', '.join(sorted(types))}"
    )


def _tags(stored: Stored) -> tuple[str, str]:
    return f'W/"{stored.version}"', f'"{stored.version}"'


def _gone(stored: Stored, where: str) -> Problem:
    return Problem(
        "resource-gone", 410, "deleted", f"this {stored.type} was deleted{where}", headers={"ETag": etag(stored)}
    )


def _no_version(type_: str, id_: str) -> Problem:
    return Problem("version-unknown", 404, "not-found", f"this {type_} has no such version; see {type_}/{id_}/_history")

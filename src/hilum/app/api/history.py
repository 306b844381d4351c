"""The history of a resource, a type and the server (R4 http.html#history), in pages by the sequence of commits."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from hilum.app.api import bundles
from hilum.app.api.exchange import Call, Reply
from hilum.app.api.negotiation import check_format, is_strict
from hilum.app.api.outcomes import Problem
from hilum.app.api.paging import Paging
from hilum.app.api.query import DEFAULT_COUNT, Ignored, Pairs, parse_pairs, self_query
from hilum.app.api.resources import Resources, unknown_type
from hilum.app.api.searching import ids_told, refused
from hilum.errors import HilumError
from hilum.formats import fhir
from hilum.repository import Past, Repository, Versions

__all__ = ["History"]

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)

Aside = Callable[[Callable[[Past], Versions], Past], Awaitable[Versions]]


class History:
    """Tells of versions, newest first; deletions are entries. `aside` runs a reading beside the event loop."""

    def __init__(
        self,
        repository: Repository,
        resources: Resources,
        aside: Aside,
        types: frozenset[str],
        paging: Paging,
        base: str,
        max_count: int,
    ) -> None:
        self._repository, self._resources, self._aside = repository, resources, aside
        self._types, self._paging, self._base, self._max_count = types, paging, base, max_count

    async def of_one(self, call: Call) -> Reply:
        """`GET [base]/[type]/[id]/_history`."""
        type_, id_ = self._resources.address(call)
        newest = self._resources.get(call, type_, id_)
        past, self_url, is_whole = self._asked(call, type_, id_)
        # how many there are in all is told only to those who may see all of them
        total = newest.version if call.sight.limits is None and is_whole else -1
        return await self._reply(call, past, self_url, total)

    async def of_type(self, call: Call) -> Reply:
        """`GET [base]/[type]/_history`."""
        type_ = call.params["type"]
        if type_ not in self._types:
            raise unknown_type(self._types)
        call.target = f"{type_}/_history"
        past, self_url, _ = self._asked(call, type_)
        return await self._reply(call, past, self_url)

    async def of_all(self, call: Call) -> Reply:
        """`GET [base]/_history`."""
        call.target = "_history"
        past, self_url, _ = self._asked(call)
        return await self._reply(call, past, self_url)

    async def _reply(self, call: Call, past: Past, self_url: str, total: int = -1) -> Reply:
        limits = None if call.sight.limits is None else dict(call.sight.limits)
        try:
            page = await self._aside(self._repository.versions, replace(past, limits=limits))
        except HilumError as error:
            if error.code.startswith("search-"):
                text = "this history took too long: ask for one type, or for a shorter time by _since"
                raise Problem(error.code, 400, "too-costly", text) from None
            raise
        links = [("self", self_url)]
        if page.next is not None:
            cursor = self._paging.history(replace(past, after=page.next))
            links.append(("next", f"{self._url(past)}?_cursor={cursor}"))
        call.detail = f"versions={len(page.versions)}"
        if not past.id:
            call.detail = f"{call.detail} {ids_told(page.versions)}".rstrip()
        return Reply(200, bundles.history(self._base, page.versions, total, links))

    def _url(self, past: Past) -> str:
        return "/".join(part for part in (self._base, past.type, past.id, "_history") if part)

    def _asked(self, call: Call, type_: str = "", id_: str = "") -> tuple[Past, str, bool]:
        """What is asked for, its self link, and whether it is all of that history. Raises Problem 400."""
        pairs = parse_pairs(call.query)
        given = dict(pairs)
        check_format(call.header("accept"), given.get("_format"))
        past = Past(type_, id_, min(DEFAULT_COUNT, self._max_count))
        url = self._url(past)
        if "_cursor" in given:
            past = self._paging.open_history(type_, given["_cursor"], id_)
            return past, f"{url}?_cursor={given['_cursor']}", past.since is None and past.at is None
        ignored = [Ignored(name, "a history takes _count, _since and _at") for name in given if name not in _KNOWN]
        if ignored and is_strict(call.header("prefer")):
            raise refused(ignored)
        past = self._read(past, pairs)
        written = self_query(pairs, ignored)
        return past, f"{url}?{written}" if written else url, past.since is None and past.at is None

    def _read(self, past: Past, pairs: Pairs) -> Past:
        for name, value in pairs:
            value = value.replace(" ", "+")  # a literal + in a URL arrives as a space
            if not value:
                continue  # R4 search.html: what has no value is passed over
            if name == "_count":
                if not value.isascii() or not value.isdigit() or len(value) > 9:
                    raise _invalid(name, "it is a whole number, 0 or more")
                past = replace(past, count=min(int(value), self._max_count))
            elif name == "_since":
                found = fhir.date_range(value) if _INSTANT.fullmatch(value) else None
                if found is None:
                    raise _invalid(name, "it is an instant with a time zone, as in 2026-01-31T08:00:00Z")
                past = replace(past, since=found[0])
            elif name == "_at":
                found = fhir.date_range(value)
                if found is None:
                    raise _invalid(name, "it is a time or a part of one, as in 2026-01-31 or 2026-01-31T08:00:00Z")
                past = replace(past, at=found)
        return past


_KNOWN = frozenset({"_count", "_since", "_at", "_format", "_pretty"})


def _invalid(name: str, why: str) -> Problem:
    return Problem("parameter-invalid", 400, "value", f"{name} cannot be used: {why}", parameter=name)

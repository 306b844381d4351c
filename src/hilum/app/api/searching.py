"""The FHIR search interaction (R4 search.html): GET and POST _search, paging, includes, counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from msgspec.structs import replace

from hilum.app.api import bundles
from hilum.app.api.auth import out_of_scope, token_in_url
from hilum.app.api.exchange import Call, Reply
from hilum.app.api.negotiation import check_format, is_strict
from hilum.app.api.outcomes import Problem, issue, warning
from hilum.app.api.paging import Paging
from hilum.app.api.query import SHAPING, Asked, Ignored, Pairs, ask, parse_pairs, self_query, without, written_name
from hilum.app.api.resources import unknown_type
from hilum.errors import HilumError
from hilum.formats.fhir import Issue
from hilum.repository import Page, Repository, Stored

__all__ = ["COMPARTMENTS", "Searching", "ids_told", "posted_pairs", "refused", "tell", "told"]

UNKNOWN = "search-parameter-unknown"
COMPARTMENTS = ("Patient", "Encounter", "RelatedPerson", "Practitioner", "Device")
_Asked = TypeVar("_Asked")
_Found = TypeVar("_Found")
WORKERS = 2  # searches that run beside the event loop; SQLite lets go of the interpreter while it looks


class Searching:
    """Searches one type, off the event loop, so that a long search does not delay an acknowledgement."""

    def __init__(
        self,
        repository: Repository,
        types: frozenset[str],
        paging: Paging,
        base: str,
        max_count: int,
    ) -> None:
        self._repository = repository
        self._types = types
        self._paging = paging
        self._base = base
        self._max_count = max_count
        self._threads = _threads()

    def close(self) -> None:
        """End the threads; a search that runs is finished. The app may be started again."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._threads = _threads()

    async def by_get(self, call: Call) -> Reply:
        """`GET [base]/[type]?...`."""
        return await self._search(call, parse_pairs(call.query))

    async def by_post(self, call: Call) -> Reply:
        """`POST [base]/[type]/_search` with a form; parameters of the URL count too (R4 http.html 3.1.0.9)."""
        return await self._search(call, await posted_pairs(call))

    async def in_compartment(self, call: Call) -> Reply:
        """`GET [base]/Patient/[id]/[type]?...` (R4 search.html#compartments)."""
        owner = call.params["owner"]
        if owner not in COMPARTMENTS:
            known = ", ".join(COMPARTMENTS)
            raise Problem(
                "compartment-unknown", 404, "not-found", f"there is no compartment of a {owner}; there are {known}"
            )
        return await self._search(call, parse_pairs(call.query), f"{owner}/{call.params['id']}")

    async def of_all(self, call: Call) -> Reply:
        """`GET [base]?...` and `POST [base]/_search`: several types at once, or all (R4 http.html#search)."""
        posted = call.scope["method"] == "POST"
        pairs = await posted_pairs(call) if posted else parse_pairs(call.query)
        given = dict(pairs)
        check_format(call.header("accept"), given.get("_format"))
        if "_cursor" in given:
            place = self._paging.open("", given["_cursor"])
            asked = Asked(place.query, projection=place.projection)
            page, asked = await self.run(_narrowed(asked, call), strict=False)
        else:
            asked = ask("", [one for one in pairs if one[0] != "_type"], max_count=self._max_count)
            types = _types_of(pairs, self._types)
            asked = replace(asked, query=replace(asked.query, types=types or tuple(sorted(self._types))))
            if types and (hidden := [one for one in types if not call.sight.sees_type(one)]):
                raise out_of_scope(hidden[0])
            page, asked = await self.run(_narrowed(asked, call), strict=is_strict(call.header("prefer")))
        tell(call, asked, page)
        written = self_query(pairs, asked.ignored)
        self_url = f"{self._base}?{written}" if written else self._base
        return Reply(200, self._bundle(self._base, self_url, page, asked))

    async def _search(self, call: Call, pairs: Pairs, compartment: str = "") -> Reply:
        type_ = call.params["type"]
        if type_ not in self._types:
            raise unknown_type(self._types)
        call.target = type_
        given = dict(pairs)
        check_format(call.header("accept"), given.get("_format"))
        url = f"{self._base}/{compartment}/{type_}" if compartment else f"{self._base}/{type_}"
        if "_cursor" in given:
            place = self._paging.open(type_, given["_cursor"], compartment=compartment)
            asked = Asked(call.sight.narrowed(place.query), projection=place.projection)
            page, asked = await self.run(asked, strict=False)
            self_url = f"{url}?_cursor={given['_cursor']}"
        else:
            strict = is_strict(call.header("prefer"))
            asked = ask(type_, pairs, max_count=self._max_count)
            query = call.sight.narrowed(replace(asked.query, compartment=compartment))
            page, asked = await self.run(replace(asked, query=query), strict=strict)
            written = self_query(pairs, asked.ignored)
            self_url = f"{url}?{written}" if written else url
        tell(call, asked, page)
        return Reply(200, self._bundle(url, self_url, page, asked))

    def _bundle(self, url: str, self_url: str, page: Page, asked: Asked) -> bytes:
        links = [("self", self_url)]
        if page.next:
            after = replace(asked.query, after=page.next)
            links.append(("next", f"{url}?_cursor={self._paging.search(after, asked.projection)}"))
        return bundles.searchset(
            self._base,
            matches=page.matches,
            included=page.included,
            total=page.total,
            links=links,
            warnings=told(asked.ignored),
            projection=asked.projection,
        )

    async def aside(self, reading: Callable[[_Asked], _Found], asked: _Asked) -> _Found:
        """Run a reading beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, reading, asked)

    async def run(self, asked: Asked, *, strict: bool) -> tuple[Page, Asked]:
        """The page, and what was honoured in the end. In strict handling anything ignored refuses the search."""
        while True:
            if strict and asked.ignored:
                raise refused(asked.ignored)
            try:
                page = await self.aside(self._repository.search, asked.query)
            except HilumError as error:
                asked = _forgive(asked, error)
            else:
                return page, asked


def _narrowed(asked: Asked, call: Call) -> Asked:
    """The same over what may be seen now."""
    return replace(asked, query=call.sight.narrowed(asked.query))


def _types_of(pairs: Pairs, known: frozenset[str]) -> tuple[str, ...]:
    """The types of `_type`, () where it does not stand there. Raises Problem 400."""
    named = [one for name, value in pairs if name == "_type" for one in value.split(",") if one]
    if unknown := [one for one in named if one not in known]:
        text = f"_type is a list of types of this server, as in Patient,Observation; {unknown[0][:64]} is none"
        raise Problem("parameter-invalid", 400, "value", text, parameter="_type")
    return tuple(dict.fromkeys(named))


async def posted_pairs(call: Call) -> Pairs:
    """The parameters of a form and of its URL. Raises Problem 415, 413, 400."""
    kind = call.header("content-type").partition(";")[0].strip().lower()
    body = await call.body()
    if body and kind != "application/x-www-form-urlencoded":
        raise Problem(
            "content-type-unsupported",
            415,
            "not-supported",
            "a search is posted as application/x-www-form-urlencoded",
        )
    pairs = parse_pairs(call.query) + parse_pairs(body, status=413)
    if any(name == "access_token" for name, _ in pairs):
        raise token_in_url()
    return pairs


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(WORKERS, thread_name_prefix="hilum-search")


def _forgive(asked: Asked, error: HilumError) -> Asked:
    """The search without the parameter that the repository does not know. Raises Problem 400 for a bad value."""
    if error.code == UNKNOWN:
        less = without(asked.query, error.location)
        if less != asked.query:
            return replace(asked, query=less, ignored=(*asked.ignored, Ignored(error.location, error.message)))
    if error.code.startswith("search-"):
        kind = "too-costly" if error.code in ("search-too-slow", "search-too-wide") else "value"
        raise Problem(error.code, 400, kind, error.message, parameter=error.location) from None
    raise error


def refused(ignored: Sequence[Ignored]) -> Problem:
    problem = Problem("parameter-unsupported", 400, "not-supported", "")
    problem.issues = tuple(
        issue(
            code="parameter-unsupported",
            kind="not-supported",
            text=f"{item.name}: {item.why}; leave it out, or send Prefer: handling=lenient",
            parameter=item.name,
        )
        for item in ignored
    )
    return problem


def told(ignored: Sequence[Ignored]) -> list[Issue]:
    """What was ignored, as warnings."""
    return [_warning(item) for item in ignored]


def _warning(item: Ignored) -> Issue:
    wider = "" if item.name.partition(":")[0] in SHAPING else "; the result may be wider than asked for"
    text = f"{item.name} was ignored: {item.why}{wider}"
    return warning(code="parameter-ignored", kind="not-supported", text=text, parameter=item.name)


def tell(call: Call, asked: Asked, page: Page) -> None:
    """What the audit holds: names of parameters that hilum knows, counts, and the ids that leave. Never a value."""
    query = asked.query
    names = sorted({written_name(term) for term in query.terms})
    names += [f"_include={item}" for item in query.include] + [f"_revinclude={item}" for item in query.revinclude]
    call.target = f"{query.type}?{','.join(names)}"
    if query.compartment:
        call.target = f"{query.compartment}/{call.target}"
    counts = f"total={page.total} returned={len(page.matches)}+{len(page.included)} ignored={len(asked.ignored)}"
    call.detail = f"{counts} {ids_told((*page.matches, *page.included))}".rstrip()


def ids_told(resources: Sequence[Stored]) -> str:
    """The ids that leave, for the audit."""
    by_type: dict[str, list[str]] = {}
    for stored in resources:
        by_type.setdefault(stored.type, []).append(stored.id)
    return " ".join(f"{type_}:{','.join(ids)}" for type_, ids in by_type.items())

"""`$everything` of a patient (R4 patient-operation-everything.html): the compartment, and what it refers to outside."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from hilum import definitions
from hilum.app.api import bundles
from hilum.app.api.asking import asked_of, care_of, range_of
from hilum.app.api.exchange import Call, Reply
from hilum.app.api.negotiation import check_format, is_strict
from hilum.app.api.outcomes import Problem
from hilum.app.api.paging import Paging
from hilum.app.api.query import DEFAULT_COUNT, Asked, Ignored, Pairs, self_query, whole_number
from hilum.app.api.searching import Searching, tell, told
from hilum.app.api.sight import seen
from hilum.formats import fhir
from hilum.repository import Page, Query, Repository, SearchTerm, Stored

__all__ = ["Everything"]

_TAKES = "$everything takes start, end, _since, _type and _count"


class Everything(Struct, frozen=True):
    """Answers with searchset Bundles, in pages."""

    repository: Repository
    searching: Searching
    paging: Paging
    base: str
    max_count: int

    async def of_patient(self, call: Call) -> Reply:
        """`GET` or `POST [base]/Patient/[id]/$everything`."""
        id_ = call.params["id"]
        record = f"Patient/{id_}"
        call.target = record
        pairs = [one for one in await asked_of(call) if one[1]]  # R4 search.html: what has no value is passed over
        given = dict(pairs)
        check_format(call.header("accept"), given.get("_format"))
        self._check_there(call, id_)
        url = f"{self.base}/{record}/$everything"
        if "_cursor" in given:
            asked = Asked(self.paging.open("", given["_cursor"], compartment=record).query)
        else:
            asked = _asked(record, pairs, self.max_count)
        query = call.sight.narrowed(asked.query)
        page, _ = await self.searching.run(
            replace(asked, query=_reaching(query)), strict=is_strict(call.header("prefer"))
        )
        page = _shown(page, query)
        written = self_query(pairs, asked.ignored)
        links = [("self", f"{url}?{written}" if written else url)]
        if page.next:
            links.append(("next", f"{url}?_cursor={self.paging.search(replace(query, after=page.next))}"))
        tell(call, asked, page)
        call.target = f"{record}/$everything"
        body = bundles.searchset(
            self.base,
            matches=page.matches,
            included=page.included,
            total=page.total,
            links=links,
            warnings=told(asked.ignored),
        )
        return Reply(200, body)

    def _check_there(self, call: Call, id_: str) -> None:
        stored = seen(self.repository, call.sight, "Patient", id_)
        if stored is None:
            raise Problem("resource-unknown", 404, "not-found", "there is no Patient with this id")
        if stored.deleted:
            raise Problem("resource-gone", 410, "deleted", "this Patient was deleted; its versions are under _history")


def _asked(record: str, pairs: Pairs, max_count: int) -> Asked:
    terms: tuple[SearchTerm, ...] = ()
    types: list[str] = []
    count = min(DEFAULT_COUNT, max_count)
    ignored: list[Ignored] = []
    for name, value in pairs:
        if name == "_since":
            range_of(name, value)
            terms = (*terms, SearchTerm("_lastUpdated", (f"ge{value}",)))
        elif name == "_type":
            types += value.split(",")
            if not all(map(fhir.is_resource_type, types)):
                raise Problem("parameter-invalid", 400, "value", "_type is a list of types of R4", parameter="_type")
        elif name == "_count":
            count = whole_number("_count", value, max_count)
        elif name not in ("_format", "_pretty", "start", "end"):
            ignored.append(Ignored(name, _TAKES))
    query = Query("", terms, count, include=("*",), compartment=record, types=tuple(types), care=care_of(dict(pairs)))
    return Asked(query, tuple(ignored))


def _outside(query: Query) -> set[str]:
    """Types that are asked for and do not belong to patients: they come with what refers to them."""
    return set(query.types) - {*definitions.compartment("Patient")}


def _reaching(query: Query) -> Query:
    """What has to be looked at: for types outside, all that may refer to them."""
    return replace(query, types=(), with_total=False) if _outside(query) else query


def _shown(page: Page, query: Query) -> Page:
    """Of the page what was asked for; of what it refers to, what belongs to no patient."""
    outside = [one for one in page.included if one.type not in definitions.compartment("Patient")]
    matches = [one for one in page.matches if not query.types or one.type in query.types]
    outside = [one for one in outside if (not query.types or one.type in query.types) and _is_since(one, query)]
    return replace(page, matches=tuple(matches), included=tuple(outside))


def _is_since(one: Stored, query: Query) -> bool:
    since = [fhir.date_range(value.removeprefix("ge")) for term in query.terms for value in term.values]
    return all(found is None or one.updated >= found[0] * 1000 for found in since)

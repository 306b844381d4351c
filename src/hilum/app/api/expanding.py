"""`$expand` of value sets (R4 valueset-operation-expand.html): those that programs stored, those of R4 and of packages.

A display comes from the value set, from a stored CodeSystem, or from what R4 and packages publish with their codes.
What depends on codes that are not here (LOINC, SNOMED CT) is refused with what is missing, never given in part.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from hilum.app.api.asking import asked_of
from hilum.app.api.bundles import instant
from hilum.app.api.exchange import Call, Reply
from hilum.app.api.negotiation import check_format, is_strict
from hilum.app.api.outcomes import Problem
from hilum.app.api.query import Ignored, whole_number
from hilum.app.api.searching import Searching, refused
from hilum.app.api.sight import seen
from hilum.app.tokens import microseconds
from hilum.definitions import Concepts, Definitions, ValueSet
from hilum.formats import fhir
from hilum.repository import Query, Repository, SearchTerm

__all__ = ["Expanding"]

Codes = dict[tuple[str, str], str]  # system and code -> display, "" where none is known
Find = Callable[[str, str], dict[str, Any] | None]  # type and canonical URL -> what is stored of it

MOST = 10_000  # codes of one answer
DEEPEST = 20  # value sets that include each other
_TAKES = ("url", "filter", "count", "offset", "_format", "_pretty")


class Expanding:
    """Answers with a ValueSet that lists its codes."""

    def __init__(self, repository: Repository, searching: Searching, definitions: Definitions) -> None:
        self._repository, self._searching, self._definitions = repository, searching, definitions

    async def of_type(self, call: Call) -> Reply:
        """`GET` or `POST [base]/ValueSet/$expand?url=...`."""
        return await self._answer(call, "")

    async def of_one(self, call: Call) -> Reply:
        """`GET` or `POST [base]/ValueSet/[id]/$expand`."""
        return await self._answer(call, call.params["id"])

    async def _answer(self, call: Call, id_: str) -> Reply:
        pairs = [one for one in await asked_of(call) if one[1]]
        given = dict(pairs)
        check_format(call.header("accept"), given.get("_format"))
        ignored = [Ignored(name, "$expand takes url, filter, count and offset") for name in given if name not in _TAKES]
        if ignored and is_strict(call.header("prefer")):
            raise refused(ignored)
        call.target = f"ValueSet/{id_}/$expand" if id_ else "ValueSet/$expand"
        most = whole_number("count", given.get("count", str(MOST)), MOST)
        offset = whole_number("offset", given.get("offset", "0"), 10**9)
        definition = self._by_id(call, id_) if id_ else None

        def find(type_: str, url: str) -> dict[str, Any] | None:
            return self._stored(call, type_, url)

        def expanded(url: str) -> tuple[dict[str, Any], Codes]:
            making = _Making(find, self._definitions)
            head = definition or find("ValueSet", url)
            return (_head(head), making.codes(head)) if head is not None else making.known(url)

        if not id_ and "url" not in given:
            raise Problem("parameter-missing", 400, "required", "$expand needs the url of a value set")
        head, codes = await self._searching.aside(expanded, given.get("url", ""))
        kept = [one for one in codes.items() if _fits(one, given.get("filter", ""))]
        if len(kept) > MOST and "count" not in given:
            text = f"it has {len(kept)} codes: ask for some of them by filter, or for parts by count and offset"
            raise Problem("value-set-wide", 422, "too-costly", text)
        told = [{"name": name, **_typed(name, given[name])} for name in _TAKES[1:4] if name in given]
        return Reply(200, msgspec.json.encode(_filled(head, kept, offset, most, told)))

    def _by_id(self, call: Call, id_: str) -> dict[str, Any]:
        stored = seen(self._repository, call.sight, "ValueSet", id_)
        if stored is None or stored.deleted:
            raise Problem("resource-unknown", 404, "not-found", "there is no ValueSet with this id")
        body: dict[str, Any] = fhir.decode(stored.body)
        return body

    def _stored(self, call: Call, type_: str, url: str) -> dict[str, Any] | None:
        """What the caller may see of this URL; of several the newest."""
        if not call.sight.sees_type(type_):
            return None
        plain, _, version = url.partition("|")
        terms = [SearchTerm(name, (text,)) for name, text in (("url", plain), ("version", version)) if text]
        query = Query(type_, tuple(terms), 1, sort=("-_lastUpdated",), with_total=False)
        found = self._repository.search(call.sight.narrowed(query)).matches
        body: dict[str, Any] | None = fhir.decode(found[0].body) if found else None
        return body


class _Making:
    """The codes of one value set, and of those that it includes."""

    def __init__(self, find: Find, definitions: Definitions) -> None:
        self._find, self._definitions = find, definitions
        self._depth = 0
        self._sets: dict[str, Codes] = {}
        self._systems: dict[str, dict[str, Any] | None] = {}

    def codes(self, definition: Mapping[str, Any]) -> Codes:
        """Of a ValueSet as it is stored. Raises Problem 422 `value-set-open`."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise _open("value sets that include each other")
        compose = definition.get("compose") or {}
        found: Codes = {}
        if not compose:
            found = dict(_listed((definition.get("expansion") or {}).get("contains", ())))
        for part in compose.get("include", ()):
            found |= self._part(part)
        for part in compose.get("exclude", ()):
            taken = self._part(part)
            found = {one: display for one, display in found.items() if one not in taken}
        self._depth -= 1
        return found

    def known(self, url: str) -> tuple[dict[str, Any], Codes]:
        """Of R4 or a package. Raises Problem 404 `value-set-unknown`, 422 `value-set-open`."""
        one = self._definitions.value_set(url)
        if one is None:
            text = "no value set of this url is stored, and none is among R4 and the packages of this server"
            raise Problem("value-set-unknown", 404, "not-found", text)
        head = {"resourceType": "ValueSet", "url": one.url, "status": "active"}
        return head | ({"title": one.title} if one.title else {}), self._reduced(one)

    def _reduced(self, one: ValueSet) -> Codes:
        if one.open:
            some = [system for system in sorted(one.open) if system != "*"] + sorted(one.missing)
            raise _open(", ".join(some) or "several value sets at once")
        found: Codes = {}
        for system, codes in sorted(one.codes.items()):
            displays = self._concepts(system)
            found |= {(system, code): displays.get(code, "") for code in sorted(codes)}
        for system in sorted(one.whole):
            found |= self._whole(system)
        return found

    def _part(self, part: Mapping[str, Any]) -> Codes:
        """One `include` or `exclude`: all that it says holds together."""
        some = [self._set(url) for url in part.get("valueSet", ())]
        system = part.get("system")
        if system is not None:
            some.insert(0, self._of_system(system, part))
        if not some:
            return {}
        first, *others = some
        return {one: display for one, display in first.items() if all(one in other for other in others)}

    def _set(self, url: str) -> Codes:
        if url not in self._sets:
            stored = self._find("ValueSet", url)
            if stored is None and self._definitions.value_set(url) is None:
                raise _open(url)
            self._sets[url] = self.codes(stored) if stored is not None else self.known(url)[1]
        return self._sets[url]

    def _of_system(self, system: str, part: Mapping[str, Any]) -> Codes:
        if "concept" in part:
            displays = self._concepts(system)
            listed = part["concept"]
            return {(system, one["code"]): one.get("display") or displays.get(one["code"], "") for one in listed}
        whole = self._whole(system)
        definition = self._system(system)
        for one in part.get("filter", ()):
            concepts = Concepts(definition) if definition is not None else Concepts.flat(code for _, code in whole)
            kept = concepts.where(one["property"], one["op"], one["value"])
            if kept is None:
                raise _open(f"a filter over {system}")
            whole = {(system, code): display for (_, code), display in whole.items() if code in kept}
        return whole

    def _whole(self, system: str) -> Codes:
        definition = self._system(system)
        if definition is not None and definition.get("content") == "complete":
            return {(system, code): display for code, display in self._concepts(system).items()}
        known = self._definitions.code_system(system)
        if known is None or not known.is_complete:
            raise _open(system)
        displays = self._concepts(system)
        return {(system, code): displays.get(code, "") for code in sorted(known.codes)}

    def _system(self, system: str) -> dict[str, Any] | None:
        if system not in self._systems:
            self._systems[system] = self._find("CodeSystem", system)
        return self._systems[system]

    def _concepts(self, system: str) -> dict[str, str]:
        """Code -> display, of a stored CodeSystem, in its order; else of R4 and packages."""
        found: dict[str, str] = {}
        waiting = list(reversed((self._system(system) or {}).get("concept", ())))
        while waiting:
            one = waiting.pop()
            found[one["code"]] = one.get("display", "")
            waiting += reversed(one.get("concept", ()))
        return found or self._definitions.displays(system)


def _listed(contains: Iterable[Mapping[str, Any]]) -> Iterable[tuple[tuple[str, str], str]]:
    for one in contains:
        if "code" in one and not one.get("abstract"):
            yield (one.get("system", ""), one["code"]), one.get("display", "")
        yield from _listed(one.get("contains", ()))


def _fits(one: tuple[tuple[str, str], str], words: str) -> bool:
    """Every word of the filter is in the code or in the display, in whatever case."""
    (_, code), display = one
    text = fhir.fold(f"{code} {display}")
    return all(fhir.fold(word) in text for word in words.split())


def _head(definition: Mapping[str, Any]) -> dict[str, Any]:
    names = ("resourceType", "id", "url", "identifier", "version", "name", "title", "status")
    return {name: definition[name] for name in names if name in definition}


def _filled(
    head: dict[str, Any], kept: list[tuple[tuple[str, str], str]], offset: int, most: int, told: list[dict[str, Any]]
) -> dict[str, Any]:
    contains = [
        ({"system": system} if system else {}) | {"code": code} | ({"display": display} if display else {})
        for (system, code), display in kept[offset : offset + most]
    ]
    expansion: dict[str, Any] = {
        "identifier": f"urn:uuid:{uuid.uuid4()}",
        "timestamp": instant(microseconds()),
        "total": len(kept),
        "offset": offset,
    }
    some = {"parameter": told, "contains": contains}
    return head | {"expansion": expansion | {name: value for name, value in some.items() if value}}


def _typed(name: str, value: str) -> dict[str, Any]:
    return {"valueString": value} if name == "filter" else {"valueInteger": min(int(value), 2**31 - 1)}


def _open(what: str) -> Problem:
    text = (
        f"its codes depend on {what[:400]}, which is not here whole: store a ValueSet of this url that lists the codes "
        "you use (PUT /fhir/ValueSet/[id], or `hilum load fhir`) or that CodeSystem, or add the package that has it"
    )
    return Problem("value-set-open", 422, "not-found", text)

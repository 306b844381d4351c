"""Operations that search: `$lastn`, `$docref`.

R4 observation-operation-lastn.html; the docref operation of US Core.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from hilum.app.api import bundles
from hilum.app.api.asking import asked_of, care_of
from hilum.app.api.exchange import Call, Reply
from hilum.app.api.negotiation import check_format, is_strict
from hilum.app.api.outcomes import Problem
from hilum.app.api.paging import Paging
from hilum.app.api.query import Asked, Ignored, ask, whole_number
from hilum.app.api.searching import Searching, refused, told
from hilum.formats import fhir
from hilum.repository import Stored

__all__ = ["Special"]

MOST_LOOKED_AT = 10_000  # observations that $lastn groups
PAGE = 500


class Special:
    """Answers with searchset Bundles."""

    def __init__(self, searching: Searching, paging: Paging, base: str, max_count: int) -> None:
        self._searching, self._paging, self._base, self._max_count = searching, paging, base, max_count

    async def lastn(self, call: Call) -> Reply:
        """`GET` or `POST [base]/Observation/$lastn`: of each code the newest `max`, one by default."""
        given = [one for one in await asked_of(call) if one[1]]
        pairs = [one for one in given if one[0] != "max"]
        most = whole_number("max", dict(given).get("max", "1"), self._max_count)
        names = {re.split("[:.]", name)[0] for name, _ in pairs}
        call.target = "Observation"
        check_format(call.header("accept"), dict(pairs).get("_format"))
        if not names & {"patient", "subject"} or not names & {"category", "code"} or not most:
            text = "$lastn needs a patient or subject, a category or code, and max of 1 or more"
            raise Problem("parameter-missing", 400, "required", text)
        asked = ask("Observation", pairs, max_count=PAGE)
        query = replace(asked.query, count=PAGE, sort=("-date",), include=(), revinclude=(), total_only=False)
        asked = replace(asked, query=call.sight.narrowed(query))
        kept: dict[object, list[Stored]] = {}
        looked_at = 0
        while True:
            page, asked = await self._searching.run(asked, strict=is_strict(call.header("prefer")))
            for one in page.matches:
                some = kept.setdefault(_code(one), [])
                if len(some) < most:
                    some.append(one)
            looked_at += len(page.matches)
            if not page.next or looked_at >= MOST_LOOKED_AT:
                break
            asked = replace(asked, query=replace(asked.query, after=page.next, with_total=False))
        if page.next:
            text = f"there are more than {MOST_LOOKED_AT} such observations: name a code or a date"
            raise Problem("search-too-wide", 400, "too-costly", text)
        found = [one for some in kept.values() for one in some]
        return self._answer(call, "Observation/$lastn", asked, found)

    async def docref(self, call: Call) -> Reply:
        """`GET` or `POST [base]/DocumentReference/$docref?patient=...&start=...&end=...&type=...`."""
        given = [one for one in await asked_of(call) if one[1]]
        call.target = "DocumentReference"
        check_format(call.header("accept"), dict(given).get("_format"))
        if not dict(given).get("patient"):
            raise Problem("parameter-missing", 400, "required", "$docref needs a patient", parameter="patient")
        pairs = [one for one in given if one[0] in ("patient", "type", "_count")]
        known = ("patient", "type", "_count", "start", "end", "_format", "_pretty")
        ignored = [
            Ignored(name, "$docref takes patient, start, end and type") for name, _ in given if name not in known
        ]
        asked = ask("DocumentReference", pairs, max_count=self._max_count)
        query = replace(call.sight.narrowed(asked.query), care=care_of(dict(given)))
        asked = replace(asked, query=query, ignored=(*asked.ignored, *ignored))
        if is_strict(call.header("prefer")) and asked.ignored:
            raise refused(asked.ignored)
        page, asked = await self._searching.run(asked, strict=False)
        return self._answer(call, "DocumentReference/$docref", asked, page.matches, page.total, page.next)

    def _answer(
        self, call: Call, address: str, asked: Asked, found: Sequence[Stored], total: int = -1, next_: str = ""
    ) -> Reply:
        url = f"{self._base}/{address}"
        links = [("self", f"{url}?{call.query.decode('latin-1')}" if call.query else url)]
        if next_:
            cursor = self._paging.search(replace(asked.query, after=next_))
            links.append(("next", f"{self._base}/{asked.query.type}?_cursor={cursor}"))
        call.target = f"{address}?{','.join(sorted({term.name for term in asked.query.terms}))}"
        call.detail = f"returned={len(found)} {asked.query.type}:{','.join(one.id for one in found)}"
        body = bundles.searchset(
            self._base,
            matches=found,
            included=(),
            total=len(found) if total < 0 else total,
            links=links,
            warnings=told(asked.ignored),
        )
        return Reply(200, body)


def _code(stored: Stored) -> object:
    """What an observation is grouped by: its codings, or its text where it has none."""
    code = fhir.decode(stored.body).get("code")
    if not isinstance(code, dict):
        return ""
    codings = frozenset((one.get("system"), one.get("code")) for one in _dicts(code.get("coding")) if one.get("code"))
    return codings or str(code.get("text"))


def _dicts(value: Any) -> Iterable[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []

"""The patients among whom somebody who signed in may choose, and how two of them are told apart."""

from __future__ import annotations

import asyncio
from typing import Any

from hilum.app.smart.caring import Caring
from hilum.app.smart.records import User
from hilum.errors import NotFound
from hilum.formats import fhir
from hilum.repository import Query, Repository, SearchTerm, Stored
from hilum.safeguards import Person

__all__ = ["Choosing", "told_apart"]

SHOWN = 20  # patients in a list to choose from


class Choosing:
    """`caring`: practitioners choose among the patients in their care; None: among all."""

    def __init__(self, repository: Repository, caring: Caring | None) -> None:
        self._repository, self._caring = repository, caring

    async def one(self, id_: str, user: User) -> Stored | None:
        """The patient of this id, if this person may choose them."""
        panel = await self._panel(user)
        if not fhir.is_id(id_) or (panel is not None and id_ not in panel):
            return None
        try:
            stored = self._repository.get("Patient", id_)
        except NotFound:
            return None
        return None if stored.deleted else stored

    async def find(self, text: str, user: User) -> list[Stored]:
        """By number or by name, whichever finds somebody."""
        panel = await self._panel(user)
        if not text or (panel is not None and not panel):
            return []
        return await asyncio.to_thread(self._find, text, panel)

    async def _panel(self, user: User) -> frozenset[str] | None:
        if self._caring is None or user.person is not Person.PRACTITIONER:
            return None
        return await self._caring.panel(user.own)

    def _find(self, text: str, panel: frozenset[str] | None) -> list[Stored]:
        found: dict[str, Stored] = {}
        among = () if panel is None else (SearchTerm("_id", tuple(sorted(panel))),)
        for name, words in (("identifier", [text]), ("name", text.split())):
            terms = tuple(SearchTerm(name, (word,)) for word in words)
            page = self._repository.search(Query("Patient", (*terms, *among), SHOWN, with_total=False))
            found |= {one.id: one for one in page.matches}
        return list(found.values())[:SHOWN]


def told_apart(patient: Stored) -> str:
    """Name, birth date and one number: enough to tell two people apart."""
    body = fhir.decode(patient.body)
    names = _dicts(body, "name")
    name = ""
    if names:
        given = " ".join(str(part) for part in names[0].get("given", []) if isinstance(part, str))
        name = str(names[0].get("text") or f"{given} {names[0].get('family', '')}".strip())
    number = next((str(one["value"]) for one in _dicts(body, "identifier") if one.get("value")), "")
    facts = [name or "without a name", str(body.get("birthDate", "")), f"no. {number}" if number else ""]
    return ", ".join(filter(None, facts))


def _dicts(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = body.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []

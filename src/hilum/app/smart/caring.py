"""Which patients are in the care of a practitioner, by what the folder declares (safeguards.practitioners)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from msgspec.structs import replace

from hilum.app.api.auth import Denied
from hilum.app.tokens import Grant
from hilum.config import InCare, Tie
from hilum.errors import HilumError
from hilum.formats import fhir
from hilum.repository import Query, Repository, SearchTerm, Stored
from hilum.safeguards import Person

__all__ = ["Caring"]

KEPT_SECONDS = 5.0  # that what was found is taken for true; a request after them looks again
MOST_PATIENTS = 5_000  # in the care of one practitioner
MOST_PRACTITIONERS = 1_000  # remembered
PAGE = 500

_WRONG = "cancelled,entered-in-error"


class Caring:
    """Limits what practitioners see. `clock` gives seconds since 1970."""

    def __init__(
        self,
        repository: Repository,
        declared: InCare,
        *,
        clock: Callable[[], float] = time.time,
        opened: Callable[[str], frozenset[str]] = lambda _: frozenset(),
    ) -> None:
        """`opened`: the patients whose records a practitioner opened though they are not in their care."""
        self._repository, self._declared, self._clock, self._opened = repository, declared, clock, opened
        self._found: dict[str, tuple[float, asyncio.Task[frozenset[str]]]] = {}

    async def limited(self, grant: Grant) -> Grant:
        """The same grant, of a practitioner with the patients in their care. Raises Denied 403 `panel-too-wide`."""
        rights = grant.rights
        if rights is None or rights.person is not Person.PRACTITIONER:
            return grant
        try:
            panel = await self.panel(rights.own)
        except Denied as denied:
            denied.actor = grant.actor
            raise
        return replace(grant, rights=replace(rights, panel=panel))

    async def panel(self, practitioner: str) -> frozenset[str]:
        """Ids of the patients in the care of the practitioner of this id, and of those whose records they opened.

        Requests that wait share one look at the first; the others are looked up each time.
        """
        now = time.monotonic()
        kept = self._found.get(practitioner)
        if kept is None or now >= kept[0] or kept[1].cancelled() or (kept[1].done() and kept[1].exception()):
            if len(self._found) >= MOST_PRACTITIONERS:
                self._found.clear()
            kept = (now + KEPT_SECONDS, asyncio.create_task(asyncio.to_thread(self._look, practitioner)))
            self._found[practitioner] = kept
        return await asyncio.shield(kept[1]) | self._opened(practitioner)

    def _look(self, practitioner: str) -> frozenset[str]:
        patients: set[str] = set()
        try:
            me = tuple(self._records(practitioner))
            for tie in self._declared.by:
                for query in _queries(tie, me, self._clock(), self._declared.days):
                    for stored in self._all(query):
                        patients.update(_patients_of(stored))
                        if len(patients) > MOST_PATIENTS:
                            raise _too_wide()
        except HilumError as error:
            if error.code != "search-too-slow":
                raise
            raise _too_wide() from None
        return frozenset(patients)

    def _records(self, practitioner: str) -> Iterator[str]:
        """The practitioner, and the roles that they have."""
        yield f"Practitioner/{practitioner}"
        mine = SearchTerm("practitioner", (f"Practitioner/{practitioner}",))
        for one in self._all(Query("PractitionerRole", (mine, SearchTerm("active", ("false",), "not")))):
            yield f"PractitionerRole/{one.id}"

    def _all(self, query: Query) -> Iterator[Stored]:
        query = replace(query, count=PAGE, with_total=False)
        while True:
            page = self._repository.search(query)
            yield from page.matches
            if not page.next:
                return
            query = replace(query, after=page.next)


def _queries(tie: Tie, me: tuple[str, ...], now: float, days: int) -> Iterator[Query]:
    """What says that a patient is in their care: resources that name the patient."""
    today = datetime.fromtimestamp(now, UTC)
    before, after = (f"{today + timedelta(days=n):%Y-%m-%d}" for n in (-days, days))
    match tie:
        case Tie.GENERAL_PRACTITIONER:
            yield Query("Patient", (SearchTerm("general-practitioner", me),))
        case Tie.ENCOUNTER:
            mine, right = SearchTerm("participant", me), SearchTerm("status", tuple(_WRONG.split(",")), "not")
            yield Query("Encounter", (mine, right, SearchTerm("date", (f"ge{before}",))))
            open_ = SearchTerm("status", ("planned", "arrived", "triaged", "in-progress", "onleave"))
            yield Query("Encounter", (mine, open_, SearchTerm("date", ("true",), "missing")))
        case Tie.APPOINTMENT:
            right = SearchTerm("status", ("noshow", *_WRONG.split(",")), "not")
            window = (SearchTerm("date", (f"ge{before}",)), SearchTerm("date", (f"le{after}",)))
            yield Query("Appointment", (SearchTerm("actor", me), right, *window))
        case Tie.CARE_TEAM:
            right = SearchTerm("status", ("proposed", "suspended", "inactive", "entered-in-error"), "not")
            mine = SearchTerm("participant", me)
            for still in (SearchTerm("date", (f"ap{today:%Y-%m-%d}",)), SearchTerm("date", ("true",), "missing")):
                yield Query("CareTeam", (mine, right, still))
        case Tie.EPISODE_OF_CARE:
            open_ = SearchTerm("status", ("planned", "waitlist", "active", "onhold"))
            yield Query("EpisodeOfCare", (SearchTerm("care-manager", me[:1]), open_))


def _patients_of(stored: Stored) -> Iterator[str]:
    if stored.type == "Patient":
        yield stored.id
        return
    for number, target, _ in fhir.facts_of(stored.type, stored.body).references:
        if number in _naming(stored.type) and target.startswith("Patient/"):
            yield target.removeprefix("Patient/")


@lru_cache(maxsize=8)
def _naming(type_: str) -> frozenset[int]:
    """The numbers of the parameters under which a type's patients stand."""
    patient = fhir.find_parameter(type_, "patient")
    assert patient is not None
    found = (fhir.find_parameter(type_, name) for name in patient.found_under)
    return frozenset(one.number for one in found if one is not None)


def _too_wide() -> Denied:
    text = (
        f"more than {MOST_PATIENTS} patients are in the care of this practitioner by what the folder declares: have "
        "its operator narrow safeguards.practitioners"
    )
    return Denied("panel-too-wide", 403, "too-costly", text)

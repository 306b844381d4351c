"""Breaking the glass: a practitioner opens one record out of their care, where the folder declares how.

An owner is told first, by an exception; then the record is open, by one commit with its audit row; then the answer goes
out. A kill in between leaves a record that is closed and an owner who was told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from hilum.app.api import Call, Reply
from hilum.app.api.asking import asked_of
from hilum.app.api.auth import authorize
from hilum.app.api.bundles import instant
from hilum.app.api.outcomes import Problem
from hilum.app.smart.records import SECOND
from hilum.app.tokens import Permission, Tokens, microseconds
from hilum.errors import HilumError
from hilum.formats import fhir
from hilum.model import AuditEvent, ExceptionItem
from hilum.repository import Query, Repository, SearchTerm
from hilum.safeguards import Person

if TYPE_CHECKING:
    import apsw

    from hilum.config import BreakGlass
    from hilum.journal import SqliteJournal
    from hilum.store import Store

__all__ = ["ACTION", "PATH", "Glass"]

ACTION = "break-glass"
PATH = "/fhir/Patient/$break-glass"
MOST_OPEN = 20  # records that one practitioner has open so at a time
_OPEN = "SELECT patient FROM smart_glass WHERE practitioner = ? AND ends > ?"


class Glass:
    """Opens records, and knows which are open."""

    def __init__(
        self, store: Store, journal: SqliteJournal, repository: Repository, tokens: Tokens, declared: BreakGlass
    ) -> None:
        self._store, self._journal, self._repository = store, journal, repository
        self._tokens, self._declared = tokens, declared

    def opened(self, practitioner: str) -> frozenset[str]:
        """Ids of the patients whose records are open to the practitioner of this id, now."""
        return self._store.read(lambda connection: _opened(connection, practitioner, microseconds()))

    async def open(self, call: Call) -> Reply:
        """`POST /fhir/Patient/$break-glass`: `patient` or `identifier`, and `reason`. Raises Problem."""
        rights = authorize(call, self._tokens, Permission.READ).rights
        if rights is None or rights.person is not Person.PRACTITIONER:
            text = "only a practitioner who signed in opens a record so; others see what their token is for"
            raise Problem("glass-not-yours", 403, "forbidden", text)
        given = dict(await asked_of(call))
        reason = given.get("reason", "")
        if reason not in self._declared.reasons:
            text = f"say why as `reason`, one of {', '.join(self._declared.reasons)}"
            raise Problem("parameter-invalid", 400, "value", text, parameter="reason")
        patient = self._patient(given)
        call.target, call.detail = f"Patient/{patient}", f"reason={reason}"
        if len(self.opened(rights.own) - {patient}) >= MOST_OPEN:
            raise _many()
        await self._repository.report([self._told(call, reason)])
        ends = await self._store.write(lambda connection: self._opening(connection, call, rights.own, patient, reason))
        call.is_audited = True
        said: list[dict[str, Any]] = [
            {"name": "patient", "valueReference": {"reference": f"Patient/{patient}"}},
            {"name": "until", "valueInstant": instant(ends)},
        ]
        return Reply(200, msgspec.json.encode({"resourceType": "Parameters", "parameter": said}))

    def _patient(self, given: dict[str, str]) -> str:
        """The id of whom is meant. Raises Problem 400, 404 `resource-unknown`."""
        id_ = given.get("patient", "").removeprefix("Patient/")
        if bool(id_) == bool(given.get("identifier")):
            text = "name the patient by `patient` (Patient/[id]) or by `identifier` (system|value)"
            raise Problem("parameter-missing", 400, "required", text)
        if id_ and not fhir.is_id(id_):
            raise Problem("parameter-invalid", 400, "value", "this is no id of a patient", parameter="patient")
        if given.get("identifier", "").endswith("|"):  # all numbers of a system are nobody's number
            raise Problem("parameter-invalid", 400, "value", "write system|value", parameter="identifier")
        term = SearchTerm("_id", (id_,)) if id_ else SearchTerm("identifier", (given["identifier"],))
        try:
            found = self._repository.search(Query("Patient", (term,), 2, with_total=False)).matches
        except HilumError as error:
            raise Problem("parameter-invalid", 400, "value", error.message, parameter="identifier") from None
        if len(found) != 1:
            text = "no patient has this number" if not found else "several patients have this number: give its system"
            raise Problem("resource-unknown", 404, "not-found", text)
        return found[0].id

    def _told(self, call: Call, reason: str) -> ExceptionItem:
        return ExceptionItem(
            code="glass-broken",
            message=f"{call.actor} opened a record out of their care, for {self._declared.minutes} minutes: {reason}",
            location=call.target,
            owner=self._declared.owner,
        )

    def _opening(self, connection: apsw.Connection, call: Call, practitioner: str, patient: str, reason: str) -> int:
        now = microseconds()
        ends = now + self._declared.minutes * 60 * SECOND
        if len(_opened(connection, practitioner, now) - {patient}) >= MOST_OPEN:
            raise _many()
        connection.execute("DELETE FROM smart_glass WHERE ends <= ?", (now,))
        row = (practitioner, patient, reason, now, ends)
        connection.execute("INSERT OR REPLACE INTO smart_glass VALUES (?, ?, ?, ?, ?)", row)
        detail = f"{call.detail} until={instant(ends)}"
        self._journal.audit_in(connection, [AuditEvent(now, call.actor, ACTION, call.target, "ok", detail)])
        return ends


def _opened(connection: apsw.Connection, practitioner: str, now: int) -> frozenset[str]:
    return frozenset(str(patient) for (patient,) in connection.execute(_OPEN, (practitioner, now)).fetchall())


def _many() -> Problem:
    text = f"{MOST_OPEN} records are open to you out of your care: wait until the first of them closes"
    return Problem("glass-many", 429, "throttled", text)

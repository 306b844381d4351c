"""A hospital that never was: an endless, seeded stream of what its applications send, and what should become of it.

Pure: no clock, no I/O. The same seed gives the same bytes on every machine and Python.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from random import Random
from typing import TypeVar

from msgspec import Struct

from hilum.simulator import broken, messages
from hilum.simulator.names import CLINICIANS
from hilum.simulator.state import (
    Appointment,
    Order,
    Patient,
    Visit,
    draw_appointment,
    draw_location,
    draw_order,
    draw_patient,
    draw_phone,
    draw_value,
)
from hilum.simulator.wire import ADT, LAB, SCHED, Dialect

__all__ = ["Expect", "Hospital", "SimMessage"]

_EASTERN = timezone(timedelta(hours=-5))
_START = datetime(2026, 2, 2, 6, 0, tzinfo=_EASTERN)
_MAX_PATIENTS = 20_000  # after that nobody new comes, so that an endless stream needs no endless memory
_MAX_OPEN = 2_000  # visits, orders and appointments that something may still happen to

T = TypeVar("T")


class Expect(StrEnum):
    """What should become of a message."""

    ACCEPT = "accept"
    HOLD = "hold"  # answered positively, and kept for a person
    AE = "AE"
    AR = "AR"
    DUPLICATE = "duplicate"  # answered positively again, without a second effect

    @property
    def answers(self) -> tuple[str, ...]:
        """Codes of MSA-1 that say so, in original and in enhanced mode."""
        if self is Expect.AE:
            return ("AE", "CE")
        return ("AR", "CR") if self is Expect.AR else ("AA", "CA")


class SimMessage(Struct, frozen=True):
    """One message as it goes out, without framing."""

    body: bytes
    source: str  # adt, lab or sched: which application sends it
    kind: str  # "ADT^A01"; "" for what is no message
    expect: Expect
    patient: str  # MRN; "" where there is none
    control_id: str
    lane: int  # messages of one lane must stay in order
    note: str = ""  # what is special about it


class Hospital:
    """`stream` yields messages for ever. `broken` is the share of messages that something is wrong with."""

    def __init__(self, seed: int, *, start: datetime = _START, broken: float = 0.05) -> None:
        """Raises ValueError when `start` has no zone or `broken` is not a share."""
        if start.tzinfo is None or not 0 <= broken <= 1:
            raise ValueError("start needs a zone, and broken is a share between 0 and 1")
        self.patients: dict[str, Patient] = {}
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose
        self._moment = start.astimezone(_EASTERN) if start.tzinfo is UTC else start
        self._broken = broken
        self._counts: dict[str, int] = {}
        self._charts: list[Patient] = []
        self._inside: list[Visit] = []
        self._left: list[Visit] = []
        self._reported: list[Order] = []
        self._booked: list[Appointment] = []
        self._duplicates: list[tuple[Patient, Patient]] = []
        self._retired: list[Patient] = []
        self._recent: deque[SimMessage] = deque(maxlen=40)

    def stream(self) -> Iterator[SimMessage]:
        """Messages in the order in which they are sent."""
        while True:
            self._moment += timedelta(seconds=self._random.randrange(5, 240))
            is_broken = self._charts and self._random.random() < self._broken
            message = self._something_broken() if is_broken else self._something()
            if message.expect is Expect.ACCEPT:
                self._recent.append(message)
            yield message

    def _something(self) -> SimMessage:
        while True:
            message = self._random.choices(_EVENTS, _EVENT_WEIGHTS)[0](self)
            if message is not None:
                return message

    # What happens to patients

    def _admit(self) -> SimMessage:
        patient = self._new_patient() if self._wants_somebody_new() else self._somebody()
        kind = self._random.choices("IEO", (30, 30, 40))[0]
        number = f"V{self._next('visit', 500_000)}"
        location = draw_location(self._random, kind)
        attending = self._random.randrange(len(CLINICIANS))
        visit = Visit(number, patient, kind, location, attending, self._moment, diagnosis=self._random.randrange(6))
        _keep(self._inside, visit)
        return self._adt("A01" if kind == "I" else "A04", patient, visit)

    def _transfer(self) -> SimMessage | None:
        visit = self._any(self._inside)
        if visit is None or visit.kind == "O":
            return None
        prior, visit.kind = visit.location, "I"
        visit.location = draw_location(self._random, "I")
        return self._adt("A02", visit.patient.current, visit, prior=prior)

    def _discharge(self) -> SimMessage | None:
        visit = self._take(self._inside)
        if visit is None:
            return None
        visit.discharged = self._moment
        _keep(self._left, visit)
        return self._adt("A03", visit.patient.current, visit)

    def _cancel_admission(self) -> SimMessage | None:
        visit = self._take(self._inside)
        return None if visit is None else self._adt("A11", visit.patient.current, visit, note="cancelled admission")

    def _cancel_discharge(self) -> SimMessage | None:
        visit = self._take(self._left)
        if visit is None:
            return None
        visit.discharged = None
        _keep(self._inside, visit)
        return self._adt("A13", visit.patient.current, visit, note="cancelled discharge")

    def _update_visit(self) -> SimMessage | None:
        visit = self._any(self._inside)
        if visit is None:
            return None
        patient = visit.patient.current
        what = self._random.random()
        if what < 0.15:
            patient.phone = ""
            return self._adt("A08", patient, visit, only=(13,), note="telephone deleted")
        patient.phone = draw_phone(self._random)
        if what < 0.6:
            return self._adt("A08", patient, visit, only=(13,), note="only the telephone")
        return self._adt("A08", patient, visit)

    def _add_person(self) -> SimMessage:
        patient = self._new_patient() if self._wants_somebody_new() else self._somebody()
        return self._adt("A28", patient, None)

    def _update_person(self) -> SimMessage | None:
        patient = self._any(self._charts)
        if patient is None:
            return None
        patient = patient.current
        patient.marital = self._random.choice((("M", "Married"), ("D", "Divorced")))
        patient.phone = patient.phone or draw_phone(self._random)
        return self._adt("A31", patient, None)

    # Two charts of one human

    def _register_twice(self) -> SimMessage | None:
        pending = [twin for _, twin in self._duplicates]
        known = self._any(pending if self._random.random() < 0.4 else self._charts)
        if known is None or len(pending) >= 20:
            return None
        twin = draw_patient(self._random, self._next_mrn(), known.human)
        twin.name, twin.sex, twin.birth = known.name, known.sex, known.birth
        self._enrol(twin)
        self._duplicates.append((known, twin))
        return self._adt("A28", twin, None, note="a second chart of a known patient")

    def _merge(self) -> SimMessage | None:
        pair = self._take(self._duplicates)
        if pair is None:
            return None
        survivor, retired = pair[0].current, pair[1].current
        if survivor is retired:
            return None
        is_chain = any(chart.merged_into is retired for chart in self._retired)
        retired.merged_into = survivor
        self._charts.remove(retired)
        _keep(self._retired, retired)
        control_id = self._control_id(ADT)
        body = ADT.bytes(messages.merge(survivor, retired, control_id=control_id, moment=self._moment))
        note = "chain of merges" if is_chain else "merge"
        return self._message(body, ADT, "ADT^A40", survivor, control_id, note)

    def _late_result(self) -> SimMessage | None:
        """The laboratory has not heard of the merge yet."""
        retired = self._any(self._retired)
        if retired is None:
            return None
        order = self._draw_order(retired, None)
        order.patient = Patient(**{name: getattr(retired, name) for name in retired.__struct_fields__})
        order.patient.merged_into = None
        return self._oru(order, "F", "late result on a retired number")

    # Laboratory

    def _result(self) -> SimMessage | None:
        visit = self._any(self._inside)
        if visit is None:
            return None
        order = self._draw_order(visit.patient.current, visit)
        _keep(self._reported, order)
        return self._oru(order, "P" if self._random.random() < 0.2 else "F")

    def _correction(self) -> SimMessage | None:
        order = self._take(self._reported)
        if order is None:
            return None
        wrong = self._random.choice(order.results)
        wrong.value, wrong.status = draw_value(self._random, wrong.analyte), "C"
        return self._oru(order, "C", "corrected result")

    def _draw_order(self, patient: Patient, visit: Visit | None) -> Order:
        collected = self._moment - timedelta(minutes=self._random.randrange(30, 180))
        return draw_order(self._random, self._next("order", 700_000), patient, visit, collected)

    # Appointments

    def _book(self) -> SimMessage | None:
        patient = self._any(self._charts)
        if patient is None:
            return None
        start = self._next_slot()
        number = f"AP{self._next('slot', 300_000)}"
        slot = draw_appointment(self._random, number, patient, start, len(CLINICIANS))
        _keep(self._booked, slot)
        return self._siu("S12", slot)

    def _move(self) -> SimMessage | None:
        slot = self._any(self._booked)
        if slot is None:
            return None
        slot.start = self._next_slot()
        return self._siu("S13", slot)

    def _change(self) -> SimMessage | None:
        slot = self._any(self._booked)
        if slot is None:
            return None
        slot.clinician = self._random.randrange(len(CLINICIANS))
        return self._siu("S14", slot)

    def _end_slot(self) -> SimMessage | None:
        slot = self._take(self._booked)
        return None if slot is None else self._siu(self._random.choice(("S15", "S15", "S17", "S26")), slot)

    def _next_slot(self) -> datetime:
        day = (self._moment + timedelta(days=self._random.randrange(1, 60))).replace(minute=0, second=0)
        return day.replace(hour=self._random.randrange(8, 17), minute=self._random.choice((0, 20, 30, 40)))

    # What is wrong with a message

    def _something_broken(self) -> SimMessage:
        fault = self._random.choices(_FAULTS, _FAULT_WEIGHTS)[0]
        made = fault(self)
        return made if made is not None else self._something()

    def _undecodable(self) -> SimMessage:
        return self._spoiled(broken.undecodable, Expect.AE, "bytes outside the declared charset")

    def _without_id(self) -> SimMessage:
        return self._spoiled(broken.without_patient_id, Expect.AE, "no patient identifier")

    def _unknown_event(self) -> SimMessage:
        return self._spoiled(broken.unknown_event, Expect.AR, "unknown trigger event")

    def _broken_line(self) -> SimMessage:
        return self._spoiled(broken.line_break, Expect.HOLD, "line break inside a field")

    def _unknown_class(self) -> SimMessage:
        return self._spoiled(None, Expect.HOLD, "unknown class of visit (PV1-2)", kind="ZZ")

    def _garbage(self) -> SimMessage:
        body = self._random.choice(broken.GARBAGE)
        return SimMessage(body, ADT.source, "", Expect.AR, "", "", 0, "no HL7 at all")

    def _resent(self) -> SimMessage | None:
        if not self._recent:
            return None
        first = self._random.choice(self._recent)
        return SimMessage(
            first.body,
            first.source,
            first.kind,
            Expect.DUPLICATE,
            first.patient,
            first.control_id,
            first.lane,
            "sent again",
        )

    def _reused_id(self) -> SimMessage | None:
        earlier = [message for message in self._recent if message.source == ADT.source]
        visit = self._any(self._inside)
        if not earlier or visit is None:
            return None
        visit.patient.current.phone = draw_phone(self._random)
        control_id = self._random.choice(earlier).control_id
        note = "control id of an earlier message"
        return self._adt("A08", visit.patient.current, visit, note=note, control_id=control_id)

    def _out_of_order(self) -> SimMessage | None:
        visit = self._any(self._inside)
        if visit is None:
            return None
        before = visit.admitted - timedelta(minutes=30)
        return self._adt("A08", visit.patient.current, visit, note="older than what came before", moment=before)

    def _spoiled(self, spoil: Callable[[bytes], bytes] | None, expect: Expect, note: str, kind: str = "") -> SimMessage:
        """A message of somebody who is never heard of again: what is held must hold up nobody else."""
        patient = draw_patient(self._random, self._next_mrn(), self._next("human", 0))
        number = f"V{self._next('visit', 500_000)}"
        visit = Visit(number, patient, "I", draw_location(self._random, "I"), 0, self._moment)
        whole = self._adt("A01", patient, visit, kind=kind)
        body = whole.body if spoil is None else spoil(whole.body)
        key = patient.mrn if expect is Expect.HOLD else ""
        return SimMessage(body, whole.source, whole.kind, expect, key, whole.control_id, whole.lane, note)

    # Making messages

    def _adt(
        self,
        event: str,
        patient: Patient,
        visit: Visit | None,
        *,
        only: tuple[int, ...] = (),
        prior: tuple[str, str, str] | None = None,
        kind: str = "",
        note: str = "",
        control_id: str = "",
        moment: datetime | None = None,
    ) -> SimMessage:
        control_id = control_id or self._control_id(ADT)
        segments = messages.adt(
            event,
            patient,
            visit,
            control_id=control_id,
            moment=moment or self._moment,
            only=only,
            prior=prior,
            kind=kind,
        )
        return self._message(ADT.bytes(segments), ADT, f"ADT^{event}", patient, control_id, note)

    def _oru(self, order: Order, status: str, note: str = "") -> SimMessage:
        control_id = self._control_id(LAB)
        segments = messages.results(order, control_id=control_id, moment=self._moment, status=status)
        return self._message(LAB.bytes(segments), LAB, "ORU^R01", order.patient.current, control_id, note)

    def _siu(self, event: str, slot: Appointment) -> SimMessage:
        control_id = self._control_id(SCHED)
        segments = messages.appointment(event, slot, control_id=control_id, moment=self._moment)
        return self._message(SCHED.bytes(segments), SCHED, f"SIU^{event}", slot.patient.current, control_id, "")

    def _message(
        self, body: bytes, dialect: Dialect, kind: str, patient: Patient, control_id: str, note: str
    ) -> SimMessage:
        return SimMessage(body, dialect.source, kind, Expect.ACCEPT, patient.mrn, control_id, patient.human, note)

    # Drawing

    def _next(self, what: str, first: int) -> int:
        self._counts[what] = self._counts.get(what, first) + 1
        return self._counts[what]

    def _next_mrn(self) -> str:
        return str(self._next("mrn", 100_000))

    def _control_id(self, dialect: Dialect) -> str:
        return f"{dialect.application}{self._next(dialect.application, 0):08d}"

    def _wants_somebody_new(self) -> bool:
        return not self._charts or (len(self.patients) < _MAX_PATIENTS and self._random.random() < 0.6)

    def _new_patient(self) -> Patient:
        return self._enrol(draw_patient(self._random, self._next_mrn(), self._next("human", 0)))

    def _enrol(self, patient: Patient) -> Patient:
        self.patients[patient.mrn] = patient
        self._charts.append(patient)
        return patient

    def _somebody(self) -> Patient:
        return self._random.choice(self._charts)

    def _any(self, items: list[T]) -> T | None:
        return self._random.choice(items) if items else None

    def _take(self, items: list[T]) -> T | None:
        if not items:
            return None
        index = self._random.randrange(len(items))
        items[index], items[-1] = items[-1], items[index]
        return items.pop()


def _keep(items: list[T], item: T) -> None:
    """Remember something that may still change, and forget the oldest when there is too much."""
    if len(items) >= _MAX_OPEN:
        del items[0]
    items.append(item)


_Step = Callable[[Hospital], SimMessage | None]

# How often what happens; parts of a thousand, roughly.
_USUAL: dict[_Step, int] = {
    Hospital._admit: 170,
    Hospital._update_visit: 150,
    Hospital._transfer: 90,
    Hospital._discharge: 120,
    Hospital._cancel_admission: 12,
    Hospital._cancel_discharge: 10,
    Hospital._add_person: 30,
    Hospital._update_person: 30,
    Hospital._register_twice: 14,
    Hospital._merge: 12,
    Hospital._late_result: 4,
    Hospital._result: 220,
    Hospital._correction: 35,
    Hospital._book: 60,
    Hospital._move: 15,
    Hospital._change: 12,
    Hospital._end_slot: 16,
}
_EVENTS, _EVENT_WEIGHTS = list(_USUAL), list(_USUAL.values())

_FAULTY: dict[_Step, int] = {
    Hospital._resent: 30,
    Hospital._out_of_order: 15,
    Hospital._reused_id: 10,
    Hospital._undecodable: 10,
    Hospital._without_id: 10,
    Hospital._unknown_event: 10,
    Hospital._unknown_class: 7,
    Hospital._broken_line: 4,
    Hospital._garbage: 4,
}
_FAULTS, _FAULT_WEIGHTS = list(_FAULTY), list(_FAULTY.values())

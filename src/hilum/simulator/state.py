"""What the simulated hospital knows: patients, their visits, orders and appointments. Changes as events happen."""

from __future__ import annotations

from datetime import date, datetime
from random import Random

from msgspec import Struct

from hilum.simulator.catalog import APPOINTMENTS, CODED_RESULTS, PANELS, WARDS, Analyte, Panel
from hilum.simulator.names import CITIES, Name, draw_name, draw_street

__all__ = [
    "Appointment",
    "Order",
    "Patient",
    "Result",
    "Visit",
    "draw_appointment",
    "draw_location",
    "draw_order",
    "draw_patient",
    "draw_phone",
    "draw_value",
]

_RACES = (
    ("2106-3", "White"),
    ("2054-5", "Black or African American"),
    ("2028-9", "Asian"),
    ("2131-1", "Other Race"),
)
_LANGUAGES = (("en", "English"), ("es", "Spanish"), ("zh", "Chinese"), ("vi", "Vietnamese"), ("ar", "Arabic"))
_ETHNICITIES = (("2186-5", "Not Hispanic or Latino"), ("2135-2", "Hispanic or Latino"))
_MARITAL = (("M", "Married"), ("S", "Single"), ("D", "Divorced"), ("W", "Widowed"))


class Patient(Struct):
    """A chart. Two charts of one `human` are duplicates until they are merged."""

    mrn: str
    human: int
    name: Name
    middle: str
    sex: str
    birth: date
    race: tuple[str, str]
    ethnicity: tuple[str, str]
    language: tuple[str, str]
    marital: tuple[str, str]
    street: str
    city: tuple[str, str, str, str]
    postal_tail: str
    phone: str  # "" once it was deleted
    email: str
    merged_into: Patient | None = None

    @property
    def current(self) -> Patient:
        """The chart that survived all merges."""
        return self if self.merged_into is None else self.merged_into.current

    @property
    def postal_code(self) -> str:
        """Five digits."""
        return self.city[2] + self.postal_tail


class Visit(Struct):
    """An encounter. `kind` is the class of HL7 table 0004."""

    number: str
    patient: Patient
    kind: str
    location: tuple[str, str, str]
    attending: int
    admitted: datetime
    discharged: datetime | None = None
    diagnosis: int = 0


class Result(Struct):
    """One measured value as text, so that its digits are kept."""

    analyte: Analyte
    value: str
    status: str = "F"


class Order(Struct):
    """An order with what was measured."""

    placer: str
    filler: str
    patient: Patient
    visit: Visit | None
    panel: Panel
    ordered_by: int
    collected: datetime
    results: list[Result]
    coded: int | None = None  # a coded result beside the measured ones


class Appointment(Struct):
    """A booked slot."""

    number: str
    patient: Patient
    reason: int
    start: datetime
    clinician: int
    room: str


def draw_patient(random: Random, mrn: str, human: int) -> Patient:
    """Somebody new."""
    sex = random.choices("FMOU", (50, 47, 2, 1))[0]
    name = draw_name(random, sex)
    return Patient(
        mrn=mrn,
        human=human,
        name=name,
        middle=random.choice(("", "", "A", "J", "R")),
        sex=sex,
        birth=date.fromordinal(random.randrange(date(1932, 1, 1).toordinal(), date(2025, 6, 1).toordinal())),
        race=random.choice(_RACES),
        ethnicity=random.choice(_ETHNICITIES),
        language=random.choices(_LANGUAGES, (70, 15, 5, 5, 5))[0],
        marital=random.choice(_MARITAL),
        street=draw_street(random),
        city=random.choice(CITIES),
        postal_tail=f"{random.randrange(1, 99):02d}",
        phone=draw_phone(random),
        email=f"patient{mrn}@example.org",
    )


def draw_phone(random: Random) -> str:
    """A local number of those that are set aside for fiction."""
    return f"55501{random.randrange(100):02d}"


def draw_location(random: Random, kind: str) -> tuple[str, str, str]:
    """Point of care, room, bed for a class of visit."""
    if kind == "O":
        return ("CLINIC", f"C{random.randrange(1, 13)}", "")
    ward, first, beds = WARDS[-1] if kind == "E" else random.choice(WARDS[:-1])
    return (ward, str(first + random.randrange(24)), random.choice(beds))


def draw_order(random: Random, number: int, patient: Patient, visit: Visit | None, collected: datetime) -> Order:
    """An order of 3 to 12 measured values."""
    panel = random.choice(PANELS)
    count = random.randrange(3, len(panel.analytes) + 1)
    chosen = random.sample(panel.analytes, count)
    return Order(
        placer=f"P{number}",
        filler=f"L{number}",
        patient=patient,
        visit=visit,
        panel=panel,
        ordered_by=visit.attending if visit else 0,
        collected=collected,
        results=[Result(analyte, draw_value(random, analyte)) for analyte in chosen],
        coded=random.randrange(len(CODED_RESULTS)) if count < 12 and random.random() < 0.2 else None,
    )


def draw_value(random: Random, analyte: Analyte) -> str:
    """Mostly normal, sometimes far outside."""
    middle, spread = (analyte.low + analyte.high) / 2, (analyte.high - analyte.low) / 3
    value = max(analyte.low / 10, random.gauss(middle, spread))
    return f"{value:.{analyte.digits}f}"


def draw_appointment(random: Random, number: str, patient: Patient, start: datetime, clinicians: int) -> Appointment:
    """A slot in the clinic."""
    reason = random.randrange(len(APPOINTMENTS))
    return Appointment(number, patient, reason, start, random.randrange(clinicians), f"C{random.randrange(1, 13)}")

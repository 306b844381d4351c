"""The segments of each message, from what the hospital knows. One function per message, no randomness."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from hilum.simulator.catalog import ALLERGIES, APPOINTMENTS, CODED_RESULTS, DIAGNOSES, INSURERS
from hilum.simulator.names import CLINICIANS
from hilum.simulator.state import Appointment, Order, Patient, Result, Visit
from hilum.simulator.wire import ADT, LAB, NULL, SCHED, Dialect, Value, segment

__all__ = ["adt", "appointment", "merge", "results"]

# An arc of OIDs that HL7 sets aside for examples: 2.16.840.1.113883.19
PATIENT_IDS = ("GENERAL", "2.16.840.1.113883.19.5.1", "ISO")
VISIT_IDS = ("GENERAL", "2.16.840.1.113883.19.5.2", "ISO")
NPI = ("NPI", "2.16.840.1.113883.4.6", "ISO")
_PLACER = ("HIS", "2.16.840.1.113883.19.5.3", "ISO")
_FILLER = ("LABSYS", "2.16.840.1.113883.19.5.4", "ISO")
_INSURER_IDS = ("INSURERS", "2.16.840.1.113883.19.5.6", "ISO")
_CLINICS = ("CLINICS", "2.16.840.1.113883.19.5.7", "ISO")
_SLOTS = ("SCHED", "2.16.840.1.113883.19.5.5", "ISO")

_STRUCTURES = {
    "A01": "ADT_A01",
    "A02": "ADT_A02",
    "A03": "ADT_A03",
    "A04": "ADT_A01",
    "A08": "ADT_A01",
    "A11": "ADT_A09",
    "A13": "ADT_A01",
    "A28": "ADT_A05",
    "A31": "ADT_A05",
    "A40": "ADT_A39",
}
_WITHOUT_VISIT = frozenset({"A28", "A31"})
_FULL = frozenset({"A01", "A04", "A08", "A28", "A31"})


def adt(
    event: str,
    patient: Patient,
    visit: Visit | None,
    *,
    control_id: str,
    moment: datetime,
    only: Collection[int] = (),
    prior: tuple[str, str, str] | None = None,
    kind: str = "",
) -> list[str]:
    """An admission message. `only`: a sparse update with just these fields of PID; `prior`: where the patient was."""
    out = [
        ADT.header(f"ADT^{event}", _STRUCTURES[event], control_id, moment),
        segment(ADT, "EVN", {1: event, 2: ADT.time(moment), 6: ADT.time(moment)}),
        _pid(ADT, patient, visit, only),
    ]
    is_full = event in _FULL and not only
    if is_full:
        out += [
            segment(ADT, "PD1", {4: _clinician(patient.human)}),
            _next_of_kin(patient),
        ]
    if visit is None or event in _WITHOUT_VISIT:
        out.append(segment(ADT, "PV1", {1: "1", 2: "N"}))
    else:
        out.append(_pv1(ADT, visit, prior, kind))
    if is_full:
        out += _clinical(patient, visit)
    return out


def merge(survivor: Patient, retired: Patient, *, control_id: str, moment: datetime) -> list[str]:
    """ADT^A40: `retired` turned out to be `survivor`."""
    return [
        ADT.header("ADT^A40", _STRUCTURES["A40"], control_id, moment),
        segment(ADT, "EVN", {1: "A40", 2: ADT.time(moment), 6: ADT.time(moment)}),
        _pid(ADT, survivor, None, ()),
        segment(ADT, "MRG", {1: (retired.mrn, "", "", PATIENT_IDS, "MR")}),
    ]


def results(order: Order, *, control_id: str, moment: datetime, status: str) -> list[str]:
    """ORU^R01. `status` of the order: P preliminary, F final, C corrected."""
    patient = order.patient.current
    code, name = order.panel.code, order.panel.name
    out = [
        LAB.header("ORU^R01", "ORU_R01", control_id, moment),
        _pid(LAB, patient, order.visit, (5, 7, 8, 18)),
        *([_pv1(LAB, order.visit, None, "")] if order.visit else []),
        segment(
            LAB,
            "ORC",
            {1: "RE", 2: (order.placer, *_PLACER), 3: (order.filler, *_FILLER), 5: "CM" if status != "P" else "IP"},
        ),
        segment(
            LAB,
            "OBR",
            {
                1: "1",
                2: (order.placer, *_PLACER),
                3: (order.filler, *_FILLER),
                4: (code, name, "LN"),
                7: LAB.time(order.collected),
                14: LAB.time(order.collected + timedelta(minutes=15)),
                16: _clinician(order.ordered_by),
                22: LAB.time(moment),
                24: "LAB",
                25: status,
            },
        ),
    ]
    out += [_measured(index, result, order, status) for index, result in enumerate(order.results, 1)]
    if order.coded is not None:
        out.append(_found(len(order.results) + 1, order, status))
    if status == "C":
        out.append(segment(LAB, "NTE", {1: "1", 2: "L", 3: "Corrected result: replaces the value reported before."}))
    out.append(segment(LAB, "SPM", {1: "1", 4: (*order.panel.specimen, "HL70487"), 17: LAB.time(order.collected)}))
    return out


def appointment(event: str, slot: Appointment, *, control_id: str, moment: datetime) -> list[str]:
    """SIU: S12 booked, S13 moved, S14 changed, S15 cancelled, S17 deleted, S26 missed."""
    code, text, minutes = APPOINTMENTS[slot.reason]
    start, end = SCHED.time(slot.start), SCHED.time(slot.start + timedelta(minutes=minutes))
    status = ({"S15": "Cancelled", "S17": "Deleted", "S26": "Noshow"}.get(event, "Booked"), "", "HL70278")
    action = {"S12": "A", "S15": "D", "S17": "D"}.get(event, "U")
    clinician = _clinician(slot.clinician)
    return [
        SCHED.header(f"SIU^{event}", "SIU_S12", control_id, moment),
        segment(
            SCHED,
            "SCH",
            {
                1: (slot.number, *_SLOTS),
                2: (slot.number, *_SLOTS),
                6: (code, text, "L"),
                7: (code, text, "HL70276"),
                8: ("Normal", "Routine schedule request type", "HL70277"),
                9: str(minutes),
                10: ("min", "minute", "UCUM"),
                11: ("", "", f"M{minutes}", start, end),
                16: clinician,
                20: clinician,
                25: status,
            },
        ),
        _pid(SCHED, slot.patient.current, None, (5, 7, 8, 13)),
        segment(SCHED, "PV1", {1: "1", 2: "O"}),
        segment(SCHED, "RGS", {1: "1", 2: action}),
        segment(
            SCHED,
            "AIS",
            {
                1: "1",
                2: action,
                3: (code, text, "L"),
                4: start,
                7: str(minutes),
                8: ("min", "minute", "UCUM"),
                10: status,
            },
        ),
        segment(SCHED, "AIL", {1: "1", 2: action, 3: ("CLINIC", slot.room, "", _CLINICS), 12: status}),
        segment(SCHED, "AIP", {1: "1", 2: action, 3: clinician, 12: status}),
    ]


def _pid(dialect: Dialect, patient: Patient, visit: Visit | None, only: Collection[int]) -> str:
    """PID; with `only`, just the identifier and these fields."""
    values: dict[int, Value] = {
        1: "1",
        3: (patient.mrn, "", "", PATIENT_IDS, "MR"),
        5: _name(dialect, patient),
        7: patient.birth.strftime("%Y%m%d"),
        8: patient.sex,
        10: (*patient.race, "CDCREC"),
        11: (patient.street, "", patient.city[0], patient.city[1], patient.postal_code, "USA", "H"),
        13: _phones(patient),
        15: (*patient.language, "ISO639"),
        16: (*patient.marital, "HL70002"),
        22: (*patient.ethnicity, "CDCREC"),
    }
    if visit is not None:
        values[18] = (visit.number, "", "", VISIT_IDS, "AN")
    keep = {1, 3, *only} if only else values.keys()
    return segment(dialect, "PID", {number: value for number, value in values.items() if number in keep})


def _name(dialect: Dialect, patient: Patient) -> Value:
    """As its owner writes it, then in Latin letters; Latin only where the application cannot write anything else."""
    name = patient.name
    latin = (name.latin_family, name.latin_given, patient.middle, "", "", "", "L", "A")
    own = (name.family, name.given, patient.middle, "", "", "", "L", "" if name.is_latin else "I")
    if name.is_latin:
        return own
    return latin if dialect.codec != "utf-8" else [own, latin]


def _phones(patient: Patient) -> Value:
    if not patient.phone:
        return NULL
    phone = ("", "PRN", "PH", "", "1", patient.city[3], patient.phone)
    return [phone, ("", "NET", "Internet", patient.email)] if patient.email else phone


def _next_of_kin(patient: Patient) -> str:
    name = (patient.name.latin_family, "Robin", "", "", "", "", "L")
    phone = ("", "PRN", "PH", "", "1", patient.city[3], "5550199")
    return segment(ADT, "NK1", {1: "1", 2: name, 3: ("SPO", "Spouse", "HL70063"), 5: phone})


def _clinical(patient: Patient, visit: Visit | None) -> list[str]:
    """Allergies, diagnoses and cover, the same for one human every time."""
    out = []
    if patient.human % 3 == 0:
        kind, code, name, severity, reaction = ALLERGIES[patient.human % len(ALLERGIES)]
        system = "RXNORM" if kind == "DA" else "SCT"
        out.append(segment(ADT, "AL1", {1: "1", 2: kind, 3: (code, name, system), 4: severity, 5: reaction}))
    if visit is not None:
        code, name = DIAGNOSES[visit.diagnosis]
        diagnosis: dict[int, Value] = {1: "1", 3: (code, name, "I10"), 5: ADT.time(visit.admitted), 6: "A"}
        out.append(segment(ADT, "DG1", diagnosis))
    if patient.human % 4:
        plan, plan_name, insurer, insurer_name = INSURERS[patient.human % len(INSURERS)]
        cover: dict[int, Value] = {
            1: "1",
            2: (plan, plan_name),
            3: (insurer, "", "", _INSURER_IDS),
            4: (insurer_name,),
            12: "20260101",
            13: "20261231",
            17: ("SEL", "Self", "HL70063"),
            36: f"M{patient.human:07d}",
        }
        out.append(segment(ADT, "IN1", cover))
    return out


def _pv1(dialect: Dialect, visit: Visit, prior: tuple[str, str, str] | None, kind: str) -> str:
    clinician = _clinician(visit.attending)
    values: dict[int, Value] = {
        1: "1",
        2: kind or visit.kind,
        3: _place(visit.location),
        4: "E" if visit.kind == "E" else "R",
        7: clinician,
        10: "MED",
        14: "7" if visit.kind == "E" else "1",
        17: clinician,
        19: (visit.number, "", "", VISIT_IDS, "VN"),
        44: dialect.time(visit.admitted),
    }
    if prior is not None:
        values[6] = _place(prior)
    if visit.discharged is not None:
        values |= {36: "01", 45: dialect.time(visit.discharged)}
    return segment(dialect, "PV1", values)


def _place(location: tuple[str, str, str]) -> tuple[str | tuple[str, ...], ...]:
    return (*location, ("GENERAL", "2.16.840.1.113883.19.5", "ISO"))


def _clinician(index: int) -> tuple[str | tuple[str, ...], ...]:
    number, family, given = CLINICIANS[index % len(CLINICIANS)]
    return (number, family, given, "", "", "", "", "", NPI, "L", "", "", "NPI")


def _measured(index: int, result: Result, order: Order, status: str) -> str:
    analyte, value = result.analyte, float(result.value)
    flag = "L" if value < analyte.low else "H" if value > analyte.high else "N"
    values: dict[int, Value] = {
        1: str(index),
        2: "NM",
        3: (analyte.code, analyte.name, "LN"),
        5: result.value,
        6: (analyte.unit, analyte.unit, "UCUM"),
        7: f"{analyte.low:.{analyte.digits}f}-{analyte.high:.{analyte.digits}f}",
        8: flag,
        11: result.status if status != "P" else "P",
        14: LAB.time(order.collected),
    }
    return segment(LAB, "OBX", values)


def _found(index: int, order: Order, status: str) -> str:
    code, name, (concept, text) = CODED_RESULTS[order.coded or 0]
    values: dict[int, Value] = {
        1: str(index),
        2: "CWE",
        3: (code, name, "LN"),
        5: (concept, text, "SCT"),
        11: "P" if status == "P" else "F",
        14: LAB.time(order.collected),
    }
    return segment(LAB, "OBX", values)

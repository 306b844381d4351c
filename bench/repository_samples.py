"""Made-up effects for the repository's benchmark and dictionary: what the base workbook makes of ADT and ORU messages.

60 % admissions and updates (about nine resources and a Provenance), 40 % reports of ten results. Seeded.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw

from hilum.model import Accounting, Draft, Effects

__all__ = ["START", "effects", "resource_id"]

START = 1_793_526_900_000_000  # microseconds
FAMILY = ("Doe", "Smith", "Garcia", "Khan", "Chen", "Ivanova", "Novak", "Silva", "Okafor", "Lindqvist")
GIVEN = ("Jane", "John", "Maria", "Ahmed", "Li", "Olga", "Peter", "Ana", "Ngozi", "Per")
CODES = "http://terminology.hl7.org/CodeSystem/"
RESULTS = (
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 13.5, 17.5),
    ("4544-3", "Hematocrit [Volume Fraction] of Blood", "%", 41, 53),
    ("6690-2", "Leukocytes [#/volume] in Blood", "10*3/uL", 4.5, 11),
    ("777-3", "Platelets [#/volume] in Blood", "10*3/uL", 150, 400),
    ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", 70, 99),
    ("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma", "mg/dL", 7, 20),
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", 0.6, 1.3),
    ("2951-2", "Sodium [Moles/volume] in Serum or Plasma", "mmol/L", 136, 145),
    ("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", 3.5, 5.1),
    ("17861-6", "Calcium [Mass/volume] in Serum or Plasma", "mg/dL", 8.6, 10.3),
)


def effects(count: int, *, patients: int = 90_000, seed: int = 7) -> Iterator[Effects]:
    """`count` messages in order, numbered from 1, one second apart."""
    rng = random.Random(seed)
    for seq in range(1, count + 1):
        mrn = 100_000 + rng.randrange(patients)
        maker = _adt if rng.random() < 0.6 else _oru
        at = START + seq * 1_000_000
        drafts = maker(rng, seq, mrn, _instant(seq))
        yield Effects(seq, seq % 8, at, key=f"{mrn}|HOSP", drafts=drafts, accounting=Accounting(60, 50, 8, 2))


def resource_id(type_: str, system: str, value: str) -> str:
    """20 characters of base32, as the mapping makes them."""
    digest = hashlib.sha256(f"{type_}|{system}|{value}".encode()).digest()
    return base64.b32encode(digest)[:20].decode().lower()


def _instant(seq: int) -> str:
    minutes, seconds = divmod(seq, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"2026-11-{1 + days % 28:02}T{hours:02}:{minutes:02}:{seconds:02}-06:00"


def _draft(type_: str, key: tuple[str, str], elements: dict[str, Any], slots: dict[str, Any] | None = None) -> Draft:
    id_ = resource_id(type_, *key)
    profile = f"http://hl7.org/fhir/us/core/StructureDefinition/us-core-{type_.lower()}"
    whole = {"meta": {"profile": [profile]}, **elements}
    return Draft(type_, id_, {name: Raw(msgspec.json.encode(value)) for name, value in whole.items()}, slots=slots or {})


def _reference(draft: Draft) -> dict[str, str]:
    return {"reference": f"{draft.type}/{draft.id}"}


def _concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _identifier(system: str, value: str, code: str) -> dict[str, Any]:
    return {"type": {"coding": [{"system": f"{CODES}v2-0203", "code": code}]}, "system": system, "value": value}


def _name(rng: random.Random) -> dict[str, Any]:
    return {"use": "official", "family": rng.choice(FAMILY), "given": [rng.choice(GIVEN), rng.choice("QRST")]}


def _address(rng: random.Random) -> dict[str, Any]:
    line = f"{rng.randrange(1, 999)} Main St"
    return {"line": [line], "city": "Springfield", "state": "IL", "postalCode": f"6270{rng.randrange(10)}", "country": "USA"}


def _patient(rng: random.Random, mrn: int, account: int) -> Draft:
    return _draft(
        "Patient",
        ("urn:oid:2.16.840.1.113883.19.5", str(mrn)),
        {
            "identifier": [
                _identifier("urn:oid:2.16.840.1.113883.19.5", str(mrn), "MR"),
                _identifier("http://hl7.org/fhir/sid/us-ssn", f"9{mrn}", "SS"),
                _identifier("urn:oid:2.16.840.1.113883.19.5.1", str(account), "AN"),
            ],
            "name": [_name(rng)],
            "telecom": [{"system": "phone", "value": f"(217)555-{rng.randrange(1000, 9999)}", "use": "home"}],
            "gender": rng.choice(("male", "female")),
            "birthDate": f"19{rng.randrange(30, 99)}-0{rng.randrange(1, 10)}-1{rng.randrange(10)}",
            "address": [_address(rng)],
            "maritalStatus": _concept(f"{CODES}v3-MaritalStatus", "M", "Married"),
        },
        {"identifier": (("PID-3", 2), ("PID-18", 1)), "telecom": (("PID-13", 1),)},
    )


def _practitioner(number: str, family: str, given: str) -> Draft:
    system = "urn:oid:2.16.840.1.113883.19.6"
    return _draft(
        "Practitioner",
        (system, number),
        {"identifier": [{"system": system, "value": number}], "name": [{"family": family, "given": [given]}]},
    )


def _shared(rng: random.Random) -> tuple[Draft, Draft, Draft, Draft]:
    """Resources that most messages name and few change."""
    room = str(rng.randrange(400, 430))
    organization = _draft("Organization", ("hd", "HOSP"), {"active": True, "name": "HOSP"})
    location = _draft("Location", ("pl", f"4W {room} A"), {"name": f"4W {room} A", "mode": "instance", "status": "active"})
    return _practitioner("1234", "Welby", "Marcus"), _practitioner("5678", "House", "Gregory"), organization, location


def _encounter(rng: random.Random, visit: int, patient: Draft, shared: tuple[Draft, ...], at: str) -> Draft:
    attending, referring, organization, location = shared
    kind = rng.choice((("IMP", "inpatient encounter"), ("AMB", "ambulatory"), ("EMER", "emergency")))
    role = _concept(f"{CODES}v3-ParticipationType", "ATND", "attender")
    system = "urn:oid:2.16.840.1.113883.19.5.1"
    return _draft(
        "Encounter",
        (system, str(visit)),
        {
            "identifier": [_identifier(system, str(visit), "VN")],
            "status": "in-progress",
            "class": {"system": f"{CODES}v3-ActCode", "code": kind[0], "display": kind[1]},
            "subject": _reference(patient),
            "participant": [
                {"type": [role], "individual": _reference(attending)},
                {"individual": _reference(referring)},
            ],
            "period": {"start": at},
            "location": [{"location": _reference(location), "status": "active"}],
            "serviceProvider": _reference(organization),
        },
        {"identifier": (("PV1-19", 1),), "participant": (("PV1-7", 1), ("PV1-8", 1))},
    )


def _provenance(seq: int, at: str, agent: Draft, targets: list[Draft]) -> Draft:
    return _draft(
        "Provenance",
        ("LAB|HOSP", f"X{seq}"),
        {
            "target": [_reference(one) for one in targets],
            "recorded": at,
            "activity": _concept(f"{CODES}v3-DataOperation", "UPDATE", "revise"),
            "agent": [{"type": _concept(f"{CODES}provenance-participant-type", "author", "Author"), "who": _reference(agent)}],
            "entity": [{"role": "source", "what": {"identifier": {"value": f"X{seq}"}}}],
        },
    )


def _adt(rng: random.Random, seq: int, mrn: int, at: str) -> list[Draft]:
    visit = 500_000 + seq
    patient, shared = _patient(rng, mrn, visit), _shared(rng)
    encounter = _encounter(rng, visit, patient, shared, at)
    kin = _draft(
        "RelatedPerson",
        (patient.id, "kin"),
        {
            "patient": _reference(patient),
            "relationship": [_concept(f"{CODES}v3-RoleCode", "SPS", "spouse")],
            "name": [_name(rng)],
            "telecom": [{"system": "phone", "value": "(217)555-0000"}],
            "address": [_address(rng)],
        },
    )
    allergies = [_allergy(patient, *one) for one in (("7980", "Penicillin", "medication"), ("256349002", "Peanut", "food"))]
    conditions = [
        _condition(patient, encounter, *one)
        for one in (("I10", "Essential hypertension"), ("E11.9", "Type 2 diabetes mellitus"))
    ]
    coverage = _draft(
        "Coverage",
        (patient.id, "BCBS01"),
        {
            "status": "active",
            "type": _concept(f"{CODES}v3-ActCode", "PPO", "preferred provider organization policy"),
            "subscriberId": f"S{mrn}",
            "beneficiary": _reference(patient),
            "period": {"start": "2026-01-01", "end": "2026-12-31"},
            "payor": [_reference(shared[2])],
        },
    )
    made = [patient, encounter, kin, *allergies, *conditions, coverage]
    return [*made, *shared, _provenance(seq, at, shared[2], made)]


def _allergy(patient: Draft, code: str, display: str, category: str) -> Draft:
    return _draft(
        "AllergyIntolerance",
        (patient.id, code),
        {
            "clinicalStatus": _concept(f"{CODES}allergyintolerance-clinical", "active", "Active"),
            "verificationStatus": _concept(f"{CODES}allergyintolerance-verification", "confirmed", "Confirmed"),
            "category": [category],
            "code": _concept("http://www.nlm.nih.gov/research/umls/rxnorm", code, display),
            "patient": _reference(patient),
            "reaction": [{"manifestation": [{"text": "Hives"}], "severity": "severe"}],
        },
    )


def _condition(patient: Draft, encounter: Draft, code: str, display: str) -> Draft:
    return _draft(
        "Condition",
        (encounter.id, code),
        {
            "clinicalStatus": _concept(f"{CODES}condition-clinical", "active", "Active"),
            "category": [_concept(f"{CODES}condition-category", "encounter-diagnosis", "Encounter Diagnosis")],
            "code": _concept("http://hl7.org/fhir/sid/icd-10-cm", code, display),
            "subject": _reference(patient),
            "encounter": _reference(encounter),
            "recordedDate": "2026-11-01",
        },
    )


def _oru(rng: random.Random, seq: int, mrn: int, at: str) -> list[Draft]:
    visit = 500_000 + seq
    patient, shared = _patient(rng, mrn, visit), _shared(rng)
    encounter = _encounter(rng, visit, patient, shared, at)
    category = [_concept(f"{CODES}v2-0074", "LAB", "Laboratory")]
    order = _draft(
        "ServiceRequest",
        ("EPIC", str(visit)),
        {
            "identifier": [_identifier("urn:id:EPIC", str(visit), "PLAC"), _identifier("urn:id:LAB", f"L{visit}", "FILL")],
            "status": "completed",
            "intent": "order",
            "code": _concept("http://loinc.org", "58410-2", "CBC panel"),
            "subject": _reference(patient),
            "encounter": _reference(encounter),
            "authoredOn": at,
            "requester": _reference(shared[0]),
        },
    )
    results = [_observation(rng, visit, patient, encounter, at, *one) for one in RESULTS]
    report = _draft(
        "DiagnosticReport",
        ("LAB", f"L{visit}"),
        {
            "identifier": [_identifier("urn:id:LAB", f"L{visit}", "FILL")],
            "basedOn": [_reference(order)],
            "status": "final",
            "category": category,
            "code": _concept("http://loinc.org", "58410-2", "CBC panel"),
            "subject": _reference(patient),
            "encounter": _reference(encounter),
            "effectiveDateTime": at,
            "issued": at,
            "result": [_reference(one) for one in results],
        },
    )
    made = [patient, encounter, order, *results, report]
    return [*made, *shared, _provenance(seq, at, shared[2], made)]


def _observation(
    rng: random.Random, visit: int, patient: Draft, encounter: Draft, at: str, *result: Any
) -> Draft:
    code, display, unit, low, high = result
    value = Raw(f"{rng.uniform(3, 200):.1f}".encode())
    return _draft(
        "Observation",
        ("LAB", f"L{visit}-{code}"),
        {
            "identifier": [{"system": "urn:id:LAB:result", "value": f"L{visit}-{code}"}],
            "status": "final",
            "category": [_concept(f"{CODES}observation-category", "laboratory", "Laboratory")],
            "code": _concept("http://loinc.org", code, display),
            "subject": _reference(patient),
            "encounter": _reference(encounter),
            "effectiveDateTime": at,
            "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
            "interpretation": [_concept(f"{CODES}v3-ObservationInterpretation", "N", "Normal")],
            "referenceRange": [{"low": {"value": low, "unit": unit}, "high": {"value": high, "unit": unit}}],
        },
    )

"""Resources of people who never lived, written for these tests: all of them are right."""

from __future__ import annotations

import copy
from typing import Any

Json = dict[str, Any]

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>Ada Probe</p></div>'

PATIENT: Json = {
    "resourceType": "Patient",
    "id": "p1",
    "text": {"status": "generated", "div": DIV},
    "contained": [{"resourceType": "Organization", "id": "clinic", "name": "Test Clinic"}],
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName", "valueString": "Prior"}],
    "identifier": [{"system": "urn:oid:2.999.1", "value": "77", "period": {"start": "2020-01-01", "end": "2021"}}],
    "active": True,
    "name": [{"use": "official", "family": "Probe", "given": ["Ada", None], "_given": [None, {"id": "second"}]}],
    "telecom": [{"system": "phone", "value": "555-0100", "rank": 1}],
    "gender": "female",
    "birthDate": "1984-02-29",
    "deceasedBoolean": False,
    "maritalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M"}]},
    "contact": [{"name": {"family": "Prior"}}],
    "managingOrganization": {"reference": "#clinic"},
}

OBSERVATION: Json = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "category": [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
    ],
    "code": {"coding": [{"system": "http://loinc.org", "code": "2345-7"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2026-11-01T10:30:00+01:00",
    "issued": "2026-11-01T10:31:00.123Z",
    "valueQuantity": {"value": 5.4, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
    "referenceRange": [{"low": {"value": 3.9}, "high": {"value": 5.5}}],
}

CONDITION: Json = {
    "resourceType": "Condition",
    "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "active"}]},
    "verificationStatus": {"coding": [{"system": VERIFIED, "code": "confirmed"}]},
    "code": {"text": "something that was found"},
    "subject": {"reference": "Patient/p1"},
    "onsetDateTime": "2024-05",
}

ENCOUNTER: Json = {
    "resourceType": "Encounter",
    "status": "finished",
    "class": {"system": ACT, "code": "AMB"},
    "subject": {"reference": "Patient/p1"},
    "period": {"start": "2026-01-05T08:00:00Z", "end": "2026-01-05T09:00:00+01:00"},
}

BUNDLE: Json = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "urn:uuid:0a8d6b0e-2f4e-4c11-9f3a-000000000001",
            "resource": {"resourceType": "Patient", "name": [{"family": "Probe"}]},
            "request": {"method": "POST", "url": "Patient"},
        },
        {
            "fullUrl": "urn:uuid:0a8d6b0e-2f4e-4c11-9f3a-000000000002",
            "resource": {
                "resourceType": "Observation",
                "status": "final",
                "code": {"text": "a test"},
                "subject": {"reference": "urn:uuid:0a8d6b0e-2f4e-4c11-9f3a-000000000001"},
            },
            "request": {"method": "POST", "url": "Observation"},
        },
    ],
}
# The end of this one lies before its start when the zones are looked at: the hour above is 08:00Z to 08:00Z.

QUESTIONNAIRE: Json = {
    "resourceType": "Questionnaire",
    "status": "active",
    "item": [{"linkId": "1", "type": "group", "item": [{"linkId": "1.1", "type": "string"}]}],
}

GOOD = {
    "Patient": PATIENT,
    "Observation": OBSERVATION,
    "Condition": CONDITION,
    "Encounter": ENCOUNTER,
    "Bundle": BUNDLE,
    "Questionnaire": QUESTIONNAIRE,
}


def good(name: str) -> Json:
    """A copy that may be changed."""
    return copy.deepcopy(GOOD[name])

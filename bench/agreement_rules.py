"""Differences between the base workbook and what other projects expect, each with the code of its reason.

The reasons are in docs/mapping-differences.md, under the same codes: differences on purpose, what is not mapped, and
expected values that no reader of FHIR could want.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["RULES", "Rule", "unmade"]

Resource = dict[str, Any]
MS, WHISTLE, REPORTSTREAM = "ms-fhir-converter", "whistle-wstl1", "reportstream"

# Types that the base makes of no message.
_NEVER = {
    "MessageHeader": "message-header",
    "Bundle": "message-header",
    "Device": "device",
    "PractitionerRole": "practitioner-role",
    "Linkage": "merge-not-linkage",
    "Consent": "consent",
    "ResearchStudy": "research-study",
    "MedicationDispense": "charged-drug",
    "Task": "task",
    "ClaimResponse": "claims",
    "Substance": "specimen-additive",
}


def _is_authority(one: Resource) -> bool:
    """An Organization that says no more than the parts of an HD or of a facility's number."""
    return not one.get("telecom") and not one.get("contact") and not one.get("name")


def _is_order(one: Resource) -> bool:
    """A Specimen that says no more than the numbers and the time of an order."""
    numbers = {code["code"] for each in one.get("identifier", []) for code in each.get("type", {}).get("coding", [])}
    return bool(numbers) and numbers <= {"PLAC", "FILL"} and "type" not in one


def _always(_: Resource) -> bool:
    return True


# What a project makes of something that the base makes no resource of: (code, type, test).
_UNMADE: tuple[tuple[str, str, Callable[[Resource], bool]], ...] = (
    ("authority-organization", "Organization", _is_authority),
    ("message-header", "Organization", lambda one: "GHH Inc" in str(one.get("name"))),
    ("converter-provenance", "Provenance", _always),
    ("participants", "Organization", lambda one: set(one) <= {"resourceType", "id", "name", "identifier", "meta"}),
    ("organization-details", "Organization", _always),
    ("places-named-once", "Location", _always),
    ("participants", "Practitioner", _always),
    ("empty-resource", "RelatedPerson", lambda one: not one.get("name")),
    ("participants", "RelatedPerson", _always),
    ("specimen-of-an-order", "Specimen", _is_order),
    ("empty-resource", "Specimen", lambda one: not one.get("type") and not one.get("identifier")),
    ("order-of-a-result", "ServiceRequest", _always),
    ("report-of-an-order", "DiagnosticReport", _always),
    ("visit-without-number", "Encounter", _always),
    ("visit-without-number", "EpisodeOfCare", _always),
    ("events-not-mapped", "Observation", lambda one: "v2-to-fhir-converter" in str(one.get("code"))),
    ("events-not-mapped", "Procedure", _always),
    ("events-not-mapped", "Condition", lambda one: not one.get("code")),
    ("blg-account", "Account", _always),
    ("order-as-written", "MedicationRequest", _always),
    ("order-as-written", "Medication", _always),
    ("document-in-result", "DocumentReference", _always),
)


def unmade(resource: Resource) -> str:
    """The code of the reason why there is no such resource of ours; "" when there should be one."""
    type_ = resource["resourceType"]
    if type_ in _NEVER:
        return _NEVER[type_]
    return next((code for code, name, test in _UNMADE if name == type_ and test(resource)), "")


@dataclass(frozen=True)
class Rule:
    """A difference in a field: where (a regular expression over `Type.path`), and when."""

    code: str
    path: str
    folder: str = ""
    when: Callable[[Any, Any], bool] = lambda *_: True
    # Why the expected value cannot be wanted: `wrong` (an error or invention of the project), `tables` (HL7's own
    # V2-to-FHIR tables, which both follow, say what we say).
    theirs: str = ""

    def holds(self, folder: str, path: str, expected: Any, ours: Any) -> bool:
        """Whether this is the reason for a field that differs."""
        if self.folder and self.folder != folder:
            return False
        return re.fullmatch(self.path, path) is not None and self.when(expected, ours)


def _both(expected: Any, ours: Any) -> bool:
    return expected is not None and ours is not None


def _nothing(_: Any, ours: Any) -> bool:
    return ours is None


def _same_words(expected: Any, ours: Any) -> bool:
    """The same letters and digits in another order or with other marks."""
    return ours is not None and sorted(re.findall(r"\w+", str(expected))) == sorted(re.findall(r"\w+", str(ours)))


def _contains(expected: Any, ours: Any) -> bool:
    return ours is not None and str(expected).casefold() in str(ours).casefold()


def _invented(expected: Any, _: Any) -> bool:
    return bool(re.match(r"https?://example\.com/|urn:id:|https?://reportstream\.", str(expected)))


def _turned(*pairs: tuple[str, str]) -> Callable[[Any, Any], bool]:
    """The expected value and ours are one of these pairs."""
    return lambda expected, ours: (expected, ours) in pairs


def _no_oid(expected: Any, _: Any) -> bool:
    """The first arc of an object identifier is 0, 1 or 2 (X.660)."""
    return bool(re.match(r"urn:oid:(?![012]\.)", str(expected)))


def _wrong(code: str, path: str, folder: str = "", when: Callable[[Any, Any], bool] = lambda *_: True) -> Rule:
    return Rule(code, path, folder, when, theirs="wrong")


def _against(code: str, path: str, folder: str = "", when: Callable[[Any, Any], bool] = lambda *_: True) -> Rule:
    return Rule(code, path, folder, when, theirs="tables")


def _is(*values: str) -> Callable[[Any, Any], bool]:
    return lambda expected, _: expected in values


RULES: tuple[Rule, ...] = (
    # what is wrong or made up in the expected resources themselves
    _wrong("joined-by-hyphens", r".*", MS, lambda e, _: "--" in str(e)),
    _wrong("version-of-another-system", r".*(coding|class)\.version", when=_nothing),
    _wrong("invented-system", r".*system", when=_invented),
    _wrong("invented-system", r".*system", WHISTLE, lambda e, _: ":" not in str(e)),
    _wrong("invented-system", r".*identifier.*\.system", REPORTSTREAM, lambda e, _: "." not in str(e)),
    _wrong("canonical-system", r".*system", when=lambda e, o: "us-npi" in str(o) or str(e).rstrip("/") == str(o)),
    _wrong("number-of-another-person", r"Patient\.identifier\..*", MS, _nothing),
    _wrong("number-of-another-person", r"Patient\.(name|address|telecom)\..*", MS, _nothing),
    _wrong("units-in-ucum", r".*Quantity\.(code|system|unit)", when=_is("beats/min", "urn:iso:std:iso:3986", "MMOLL")),
    _wrong("obx-11-decided", r"Observation\.status", when=_is("unknown")),
    _wrong("status-decided", r"(Procedure|ServiceRequest)\.status", when=_is("unknown")),
    _wrong("mobile-is-a-use", r".*telecom\.use", when=lambda _, o: o == "mobile"),
    _wrong("codes-of-a-converter", r"Procedure\.performer\.function\..*", MS),
    _wrong("codes-of-a-converter", r".*", MS, _is("1002", "African Religions", "PLN", "Policy Number", "CLIP")),
    _wrong("codes-of-a-converter", r"Observation\.component\.code\..*", MS, _is("AJRI", "ADI", "PNI")),
    _wrong(
        "codes-of-a-converter",
        r"Observation\.component\.code\..*display",
        MS,
        _is("Accident Job Related Indicator", "Accident Death Indicator", "Police Notified Indicator"),
    ),
    _wrong("codes-of-a-converter", r"Observation\.code\..*", MS, _is("injury-incident", "death-certificate")),
    _wrong("codes-of-a-converter", r"Observation\.code\..*", MS, _is("autopsy", "coroner")),
    _wrong("codes-of-a-converter", r"Procedure\.code\..*", MS, _is("death-certification", "autopsy-performed")),
    _wrong("codes-of-a-converter", r"(Condition|AllergyIntolerance)\.identifier\.type\..*", MS),
    _wrong("codes-of-a-converter", r"Observation\.identifier\.type\.coding\.code", MS, _nothing),
    _wrong("codes-of-a-converter", r"Location\.identifier\.(value|type\..*)", REPORTSTREAM),
    _wrong("codes-of-a-converter", r"ChargeItem\.identifier\.type\..*", MS, _is("TID", "ChargeItem Transaction ID")),
    _wrong("codes-of-a-converter", r"MedicationRequest\.identifier\.type\..*", MS, _is("PRN", "Prescription Number")),
    _wrong("codes-of-a-converter", r"(Device|Organization)\.identifier\.type\..*", MS, _nothing),
    _wrong("codes-of-a-converter", r"Patient\.identifier\.type\.coding\.code", WHISTLE, _is("MRN", "NHSNMBR", "MRN4")),
    _wrong("made-of-nothing", r"Patient\.identifier\.(type\..*|system)", WHISTLE, _nothing),
    _wrong("made-of-nothing", r"Patient\.(active|multipleBirthBoolean)", WHISTLE, _nothing),
    _wrong("number-of-another-person", r"RelatedPerson\.(identifier|relationship)\..*", MS, _nothing),
    _wrong("us-numbers", r".*identifier\.system", when=lambda e, o: "us-ssn" in str(e) and "us-ssn" not in str(o)),
    _wrong("status-decided", r"ChargeItem\.status", when=_is("unknown")),
    _wrong("coverage-details", r"Coverage\.costToBeneficiary\.type\..*", MS),
    _wrong("place-levels", r"Location\.identifier\.value", MS, _no_oid),
    _wrong("place-levels", r"Location\.(alias|type\..*)", MS, _nothing),
    _wrong("made-of-nothing", r"RelatedPerson\.telecom\.system", MS, _nothing),
    # what HL7's own tables say otherwise: PL, PR1-7, PV1-3, PV1-11 and PV1-42, AL1-6, EVN-6, SCH-8, XCN.12, XPN.15
    _against("planned-times", r"Procedure\.performedDateTime", MS, _nothing),
    _against("name-called-by", r"Patient\.name\.(given|use)", MS, _both),
    _against("place-levels", r"Location\.physicalType\.coding\.code", MS, _turned(("lvl", "wa"))),
    _against(
        "innermost-place",
        r"Encounter\.location\.status",
        MS,
        _turned(("planned", "reserved"), ("planned", "active"), ("active", "planned")),
    ),
    _against("innermost-place", r"Encounter\.location\.location\.reference", MS, _both),
    _against("innermost-place", r"Encounter\.location\..*", WHISTLE, _nothing),
    _against("allergy-severity", r"AllergyIntolerance\.reaction\.onset", MS),
    _against("times-of-a-message", r"Provenance\.occurredDateTime", MS, _both),
    _against("alternate-codings", r"Appointment\.appointmentType\..*", MS, _both),
    _against("checked-digits", r"Practitioner\.identifier\.extension\.valueCode", REPORTSTREAM),
    _wrong("shifted-fixtures", r".*(date|Date|time|Time|start|end|recorded|onset|issued)", WHISTLE),
    # systems and codes
    Rule("invented-system", r".*system", when=lambda _, o: str(o).startswith("urn:hilum:")),
    Rule("invented-system", r".*identifier.*\.system", REPORTSTREAM),
    Rule("times-of-a-message", r"Provenance\..*"),
    Rule("identifier-type", r".*[iI]dentifier\.type\..*"),
    Rule("identifier-type", r"Device\.identifier\.(system|value)"),
    Rule("device-of-a-result", r"Observation\.(device\.reference|performer\.reference)"),
    Rule("text-beside-coding", r".*(type|relationship|function|code|category)\.text"),
    Rule("units-in-ucum", r".*Quantity\.(code|system|unit)|Encounter\.length\.unit"),
    Rule("place-levels", r"Location\.(physicalType|identifier|type|alias|status|address|partOf)\b.*"),
    Rule("extensions-not-mapped", r"(Patient|RelatedPerson|Encounter|Condition|Observation)\.extension\..*"),
    Rule("alternate-codings", r".*(coding\.(code|system|display|version)|class\.(code|version))"),
    # people
    Rule("us-numbers", r"Patient\.identifier\.(system|value|period\..*)"),
    Rule("sensitive-numbers", r"RelatedPerson\.identifier\.(system|value|period\..*)"),
    Rule("contact-is-a-person", r"Patient\.contact\.(telecom|name|organization|address|relationship)\b.*"),
    Rule("contact-is-a-person", r"RelatedPerson\.(name|telecom|address|gender|period|birthDate)\b.*", MS),
    Rule("phone-in-one-value", r".*telecom\.(use|value|system|rank|period\..*|extension\..*)"),
    Rule("name-called-by", r"(Patient|Practitioner)\.name\..*", MS),
    Rule("name-use", r".*name\.use"),
    Rule("name-assembly", r".*name\.extension\..*", when=_nothing),
    Rule("words-in-order", r".*", when=_same_words),
    Rule("checked-digits", r".*identifier\.extension\..*"),
    Rule("provider-directory", r"Practitioner\.(telecom|address)\b.*"),
    Rule("provider-directory", r"Organization\.(identifier|address|telecom)\b.*"),
    # places and visits
    Rule("innermost-place", r"Encounter\.location\..*|Encounter\.hospitalization\.destination.*"),
    Rule("status-by-event", r"Encounter\.status|Appointment\.participant\.status"),
    Rule("innermost-place", r"Appointment\.participant\.actor\.reference"),
    Rule("planned-times", r"Encounter\.period\..*", MS),
    # results, orders and documents
    Rule("obx-11-decided", r"(Observation|DiagnosticReport)\.status"),
    Rule("status-decided", r"(Procedure|ChargeItem|ServiceRequest|DocumentReference)\.(status|docStatus)"),
    Rule("note-author-by-name", r".*note\.(authorReference\..*|authorString|text|time)"),
    Rule("allergy-severity", r"AllergyIntolerance\.(criticality|reaction\.onset)"),
    Rule("coverage-details", r"Coverage\.(network|identifier\..*)"),
    Rule("identity-without-status", r"Patient\.(active|multipleBirthBoolean)"),
    Rule("charge-details", r"(ChargeItem\.(supportingInformation|service)\..*)"),
    Rule("timing-of-meals", r".*repeat\.(when|offset)"),
)

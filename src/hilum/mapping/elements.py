"""What the compiler must know of FHIR R4 (4.0.1): lists, required elements and choices of the types that rows write.

Written as one line per type: `name` a single element, `name*` a list, `name!` required, `name[x]` a choice. Types that
are not here are looked up in the definitions, which takes longer.
"""

from __future__ import annotations

import difflib
from functools import cache

from msgspec import Struct

__all__ = [
    "CHOICES",
    "NESTED_ANY",
    "NESTED_REQUIRED",
    "PRIMITIVES",
    "TOGETHER",
    "Shape",
    "choice_of",
    "is_required",
    "is_simple_quantity",
    "near_types",
    "shape",
]

_COMMON = "id meta implicitRules language text contained* extension* modifierExtension*"

_TYPES = {
    "Account": "identifier* status! type name subject* servicePeriod coverage* owner description guarantor* partOf",
    "AllergyIntolerance": (
        "identifier* clinicalStatus verificationStatus type category* criticality code patient!"
        " encounter onset[x] recordedDate recorder asserter lastOccurrence note* reaction*"
    ),
    "Appointment": (
        "identifier* status! cancelationReason serviceCategory* serviceType* specialty* appointmentType"
        " reasonCode* reasonReference* priority description supportingInformation* start end"
        " minutesDuration slot* created comment patientInstruction basedOn* participant*!"
        " requestedPeriod*"
    ),
    "ChargeItem": (
        "identifier* definitionUri* definitionCanonical* status! partOf* code! subject! context"
        " occurrence[x] performer* performingOrganization requestingOrganization costCenter quantity"
        " bodysite* factorOverride priceOverride overrideReason enterer enteredDate reason* service*"
        " product[x] account* note* supportingInformation*"
    ),
    "Composition": (
        "identifier status! type! category* subject encounter date! author*! title! confidentiality"
        " attester* custodian relatesTo* event* section*"
    ),
    "Condition": (
        "identifier* clinicalStatus verificationStatus category* severity code bodySite* subject!"
        " encounter onset[x] abatement[x] recordedDate recorder asserter stage* evidence* note*"
    ),
    "Coverage": (
        "identifier* status! type policyHolder subscriber subscriberId beneficiary! dependent"
        " relationship period payor*! class* order network costToBeneficiary* subrogation contract*"
    ),
    "Device": (
        "identifier* definition udiCarrier* status statusReason* distinctIdentifier manufacturer"
        " manufactureDate expirationDate lotNumber serialNumber deviceName* modelNumber partNumber type"
        " specialization* version* property* patient owner contact* location url note* safety* parent"
    ),
    "DiagnosticReport": (
        "identifier* basedOn* status! category* code! subject encounter effective[x] issued performer*"
        " resultsInterpreter* specimen* result* imagingStudy* media* conclusion conclusionCode*"
        " presentedForm*"
    ),
    "DocumentReference": (
        "masterIdentifier identifier* status! docStatus type category* subject date author*"
        " authenticator custodian relatesTo* description securityLabel* content*! context"
    ),
    "Encounter": (
        "identifier* status! statusHistory* class! classHistory* type* serviceType priority subject"
        " episodeOfCare* basedOn* participant* appointment* period length reasonCode* reasonReference*"
        " diagnosis* account* hospitalization location* serviceProvider partOf"
    ),
    "EpisodeOfCare": (
        "identifier* status! statusHistory* type* diagnosis* patient! managingOrganization period"
        " referralRequest* careManager team* account*"
    ),
    "Immunization": (
        "identifier* status! statusReason vaccineCode! patient! encounter occurrence[x]! recorded"
        " primarySource reportOrigin location manufacturer lotNumber expirationDate site route"
        " doseQuantity performer* note* reasonCode* reasonReference* isSubpotent subpotentReason*"
        " education* programEligibility* fundingSource reaction* protocolApplied*"
    ),
    "Location": (
        "identifier* status operationalStatus name alias* description mode type* telecom* address"
        " physicalType position managingOrganization partOf hoursOfOperation* availabilityExceptions"
        " endpoint*"
    ),
    "Medication": "identifier* code status manufacturer form amount ingredient* batch",
    "MedicationAdministration": (
        "identifier* instantiates* partOf* status! statusReason* category medication[x]! subject!"
        " context supportingInformation* effective[x]! performer* reasonCode* reasonReference* request"
        " device* note* dosage"
    ),
    "MedicationDispense": (
        "identifier* partOf* status! statusReason[x] category medication[x]! subject context"
        " supportingInformation* performer* location authorizingPrescription* type quantity daysSupply"
        " whenPrepared whenHandedOver destination receiver* note* dosageInstruction* substitution"
    ),
    "MedicationRequest": (
        "identifier* status! statusReason intent! category* priority doNotPerform reported[x]"
        " medication[x]! subject! encounter supportingInformation* authoredOn requester performer"
        " performerType recorder reasonCode* reasonReference* basedOn* groupIdentifier"
        " courseOfTherapyType insurance* note* dosageInstruction* dispenseRequest substitution"
        " priorPrescription"
    ),
    "MessageHeader": (
        "event[x]! destination* sender enterer author source! responsible reason response focus* definition"
    ),
    "Observation": (
        "identifier* basedOn* partOf* status! category* code! subject focus* encounter effective[x]"
        " issued performer* value[x] dataAbsentReason interpretation* note* bodySite method specimen"
        " device referenceRange* hasMember* derivedFrom* component*"
    ),
    "Organization": "identifier* active type* name alias* telecom* address* partOf contact* endpoint*",
    "Patient": (
        "identifier* active name* telecom* gender birthDate deceased[x] address* maritalStatus"
        " multipleBirth[x] photo* contact* communication* generalPractitioner* managingOrganization link*"
    ),
    "Practitioner": "identifier* active name* telecom* address* gender birthDate photo* qualification* communication*",
    "PractitionerRole": (
        "identifier* active period practitioner organization code* specialty* location*"
        " healthcareService* telecom* availableTime* notAvailable* availabilityExceptions endpoint*"
    ),
    "Procedure": (
        "identifier* basedOn* partOf* status! statusReason category code subject! encounter performed[x]"
        " recorder asserter performer* location reasonCode* reasonReference* bodySite* outcome report*"
        " complication* followUp* note*"
    ),
    "Provenance": ("target*! occurred[x] recorded! policy* location reason* activity agent*! entity* signature*"),
    "RelatedPerson": (
        "identifier* active patient! relationship* name* telecom* gender birthDate address* photo*"
        " period communication*"
    ),
    "ServiceRequest": (
        "identifier* basedOn* replaces* requisition status! intent! category* priority doNotPerform code"
        " orderDetail* quantity[x] subject! encounter occurrence[x] asNeeded[x] authoredOn requester"
        " performerType performer* locationCode* locationReference* reasonCode* reasonReference*"
        " insurance* supportingInfo* specimen* bodySite* note* patientInstruction relevantHistory*"
    ),
    "Slot": (
        "identifier* serviceCategory* serviceType* specialty* appointmentType schedule! status! start!"
        " end! overbooked comment"
    ),
    "Specimen": (
        "identifier* accessionIdentifier status type subject receivedTime parent* request* collection"
        " processing* container* condition* note*"
    ),
    "Task": (
        "identifier* basedOn* groupIdentifier partOf* status! statusReason businessStatus intent!"
        " priority code description focus for encounter executionPeriod authoredOn lastModified requester"
        " performerType* owner location reasonCode reasonReference insurance* note* relevantHistory*"
        " restriction input* output*"
    ),
}

NESTED_REQUIRED: dict[str, tuple[str, ...]] = {
    "Account.coverage": ("coverage",),
    "Account.guarantor": ("party",),
    "AllergyIntolerance.note": ("text",),
    "AllergyIntolerance.reaction": ("manifestation",),
    "AllergyIntolerance.reaction.note": ("text",),
    "Appointment.participant": ("status",),
    "ChargeItem.note": ("text",),
    "ChargeItem.performer": ("actor",),
    "Coverage.class": ("type", "value"),
    "Coverage.costToBeneficiary": ("value[x]",),
    "DocumentReference.content": ("attachment",),
    "DocumentReference.relatesTo": ("code", "target"),
    "Encounter.classHistory": ("class", "period"),
    "Encounter.diagnosis": ("condition",),
    "Encounter.location": ("location",),
    "Encounter.statusHistory": ("status", "period"),
    "EpisodeOfCare.diagnosis": ("condition",),
    "Immunization.note": ("text",),
    "Immunization.performer": ("actor",),
    "Medication.ingredient": ("item[x]",),
    "MedicationDispense.note": ("text",),
    "MedicationDispense.performer": ("actor",),
    "MedicationDispense.substitution": ("wasSubstituted",),
    "MedicationRequest.note": ("text",),
    "MedicationRequest.substitution": ("allowed[x]",),
    "Observation.component": ("code",),
    "Patient.communication": ("language",),
    "Patient.link": ("other", "type"),
    "PaymentReconciliation.detail": ("type",),
    "Practitioner.qualification": ("code",),
    "Procedure.note": ("text",),
    "Procedure.performer": ("actor",),
    "Provenance.agent": ("who",),
    "Provenance.entity": ("role", "what"),
    "RelatedPerson.communication": ("language",),
    "ServiceRequest.note": ("text",),
    "Specimen.note": ("text",),
}

# Of an item that R4 wants to say one of these at least (app-1, pat-1).
NESTED_ANY: dict[str, tuple[str, ...]] = {
    "Appointment.participant": ("type", "actor"),
    "Patient.contact": ("name", "telecom", "address", "organization"),
}

# Of elements that R4 wants both of or neither (app-3): where the first is, the second must be.
TOGETHER: dict[str, tuple[tuple[str, str], ...]] = {"Appointment": (("start", "end"), ("end", "start"))}

# What R4 has as SimpleQuantity, a Quantity without a comparator: by its name alone, or `quantity` of these types.
_SIMPLE_WORDS = (
    "low high doseQuantity rateQuantity maxDosePerAdministration maxDosePerLifetime capacity specimenQuantity dose"
    " daysSupply origin"
)
_SIMPLE_NAMES = frozenset(_SIMPLE_WORDS.split())
_MEASURED_WORDS = (
    "ActivityDefinition CarePlan Claim ClaimResponse Contract CoverageEligibilityRequest ExplanationOfBenefit"
    " MedicationDispense MedicationKnowledge MedicationRequest NutritionOrder Specimen Substance SupplyDelivery"
)
_MEASURED = frozenset(_MEASURED_WORDS.split())

# Every data type that R4 allows behind a choice name that rows may write.
_SUFFIXES_WORDS = (
    "Quantity CodeableConcept String Boolean Integer Range Ratio SampledData Time DateTime Period Date"
    " Instant Age Timing Annotation Reference Attachment Coding Uri Code Identifier Money Decimal"
)
_SUFFIXES = _SUFFIXES_WORDS.split()
CHOICES = frozenset(_SUFFIXES)


# Elements that are primitive in the types above: an extension below one of them is written to `_name`.
_PRIMITIVES_WORDS = (
    "active birthDate gender status intent priority name description comment start end recorded issued"
    " created date deceasedBoolean deceasedDateTime multipleBirthBoolean multipleBirthInteger"
    " effectiveDateTime authoredOn text value family given prefix suffix line city district state"
    " postalCode country use system code display valueString valueDateTime occurrenceDateTime"
    " onsetDateTime recordedDate criticality subscriberId dependent conclusion reference"
)
PRIMITIVES = frozenset(_PRIMITIVES_WORDS.split())


class Shape(Struct, frozen=True):
    """Top-level elements of one type."""

    lists: frozenset[str]
    singles: frozenset[str]
    required: tuple[str, ...]  # choices as `value[x]`
    choices: frozenset[str]  # "value" of value[x]


@cache
def shape(type_: str) -> Shape | None:
    """What R4 says of a type's top level; None for a type that R4 does not have."""
    text = _TYPES.get(type_)
    if text is None:
        return _defined(type_)
    words = f"{_COMMON} {text}".split()
    bare = [(word.rstrip("*!"), word) for word in words]
    return Shape(
        frozenset(name for name, word in bare if "*" in word),
        frozenset(name for name, word in bare if "*" not in word and not name.endswith("[x]")),
        tuple(name for name, word in bare if word.endswith("!")),
        frozenset(name.removesuffix("[x]") for name, _ in bare if name.endswith("[x]")),
    )


def _defined(type_: str) -> Shape | None:
    """A type that no row of the base writes, as R4 defines it."""
    from hilum import definitions  # reading them takes 0.3 s, and most workbooks need none

    known = definitions.structure(type_) if type_ in definitions.types("resource") else None
    if known is None:
        return None
    top = [one for one in known.elements if one.path.count(".") == 1 and not one.slice]
    return Shape(
        frozenset(one.name for one in top if one.is_list),
        frozenset(one.name for one in top if not one.is_list and not one.is_choice),
        tuple(one.name for one in top if one.min),
        frozenset(one.name.removesuffix("[x]") for one in top if one.is_choice),
    )


def near_types(name: str) -> list[str]:
    """The resource type of R4 that is called most like this; [] when none is."""
    from hilum import definitions  # as above

    return difflib.get_close_matches(name, definitions.types("resource"), 1)


@cache
def choice_of(type_: str, name: str) -> str:
    """`value` for `valueQuantity` of an Observation; "" when the element is no choice."""
    known = shape(type_)
    if known is None or name in known.singles or name in known.lists:
        return ""
    for choice in known.choices:
        if name.startswith(choice) and (name[len(choice) :] in CHOICES or name == f"{choice}[x]"):
            return choice
    return ""


def is_simple_quantity(type_: str, name: str) -> bool:
    """Whether R4 allows the quantity of that name, somewhere in a resource of that type, no comparator."""
    return name in _SIMPLE_NAMES or (name == "quantity" and type_ in _MEASURED)


def is_required(type_: str, name: str) -> bool:
    """Whether R4 requires this top-level element of a resource, or the choice that it is a member of."""
    known = shape(type_)
    if known is None:
        return False
    choice = choice_of(type_, name)
    return (f"{choice}[x]" if choice else name) in known.required

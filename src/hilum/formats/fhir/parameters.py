"""The search parameters that are indexed for the types that hilum makes of messages, as one table.

They are those that US Core 6.1 and 7.0 ask of a server for the types that hilum makes, and the references by which
these types hang together. Names, kinds and elements are those of R4 (searchparameter-registry.html). `_id` and
`_lastUpdated` exist for every type and need no row. The other parameters of R4 are in registry.py.

A row is: name, kind, where the values are. Paths are separated by commas; `[Patient]` keeps only references to that
type; `= a b` means that the values are found under these parameters (nothing is stored twice); `*` marks the date by
which a type is ordered in time. `identifier` is a token over Identifiers.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from .places import Place

__all__ = ["PARAMETERS", "Kind", "Parameter", "Part"]


class Kind(StrEnum):
    """How values are read, stored and compared. For a CapabilityStatement, `identifier` is a `token`."""

    TOKEN = "token"  # noqa: S105 - code, Coding, CodeableConcept, boolean
    IDENTIFIER = "identifier"  # a token of which almost every resource has its own
    STRING = "string"
    DATE = "date"
    REFERENCE = "reference"
    QUANTITY = "quantity"
    NUMBER = "number"
    URI = "uri"
    COMPOSITE = "composite"

    @property
    def fhir(self) -> str:
        """The type of the search parameter in R4."""
        return "token" if self is Kind.IDENTIFIER else self.value


class Part(Struct, frozen=True):
    """One component of a composite: how its values are compared, and where they are below `context`."""

    name: str
    kind: Kind
    places: tuple[Place, ...]


class Parameter(Struct, frozen=True):
    """One search parameter of one type. `number` stands for it in stored indexes."""

    type: str
    name: str
    kind: Kind
    number: int
    paths: tuple[str, ...] = ()  # from the resource: "name.family"
    target: str = ""  # only references to this type
    found_under: tuple[str, ...] = ()  # parameters whose stored values it searches; its own name when it has paths
    ordering: bool = False  # the date that orders resources of this type
    is_indexed: bool = True  # else it is tested on the bodies that the other terms of a search leave
    places: tuple[Place, ...] = ()  # where its values are, with their datatypes
    targets: tuple[str, ...] = ()  # of a reference: types that it may point to; () is any
    parts: tuple[tuple[tuple[str, ...], tuple[Part, ...]], ...] = ()  # of a composite: context -> its components


_TABLE = """
Patient
    identifier             identifier  identifier
    family                 string      name.family
    given                  string      name.given
    name                   string      name.text,name.prefix,name.suffix = family given
    birthdate              date        birthDate                  *
    death-date             date        deceasedDateTime
    gender                 token       gender
    general-practitioner   reference   generalPractitioner
    organization           reference   managingOrganization
    link                   reference   link.other
Encounter
    identifier             identifier  identifier
    status                 token       status
    class                  token       class
    type                   token       type
    date                   date        period                     *
    subject                reference   subject
    patient                reference   [Patient]                  = subject
    participant            reference   participant.individual
    practitioner           reference   [Practitioner]             = participant
    location               reference   location.location
    service-provider       reference   serviceProvider
    part-of                reference   partOf
    diagnosis              reference   diagnosis.condition
    discharge-disposition  token       hospitalization.dischargeDisposition
RelatedPerson
    identifier             identifier  identifier
    patient                reference   patient
    name                   string      name.family,name.given,name.text,name.prefix,name.suffix
    relationship           token       relationship
AllergyIntolerance
    identifier             identifier  identifier
    patient                reference   patient
    clinical-status        token       clinicalStatus
    verification-status    token       verificationStatus
    category               token       category
    code                   token       code,reaction.substance
    date                   date        recordedDate               *
    recorder               reference   recorder
    asserter               reference   asserter
Condition
    identifier             identifier  identifier
    subject                reference   subject
    patient                reference   [Patient]                  = subject
    encounter              reference   encounter
    category               token       category
    clinical-status        token       clinicalStatus
    verification-status    token       verificationStatus
    code                   token       code
    onset-date             date        onsetDateTime,onsetPeriod  *
    recorded-date          date        recordedDate
    abatement-date         date        abatementDateTime,abatementPeriod
    asserter               reference   asserter
Coverage
    identifier             identifier  identifier
    beneficiary            reference   beneficiary
    patient                reference   [Patient]                  = beneficiary
    subscriber             reference   subscriber
    policy-holder          reference   policyHolder
    payor                  reference   payor
    status                 token       status
    type                   token       type
Practitioner
    identifier             identifier  identifier
    family                 string      name.family
    given                  string      name.given
    name                   string      name.text,name.prefix,name.suffix = family given
Organization
    identifier             identifier  identifier
    name                   string      name,alias
    address                string      address.text,address.line,address.district \
                                       = address-city address-state address-postalcode address-country
    address-city           string      address.city
    address-state          string      address.state
    address-postalcode     string      address.postalCode
    address-country        string      address.country
    partof                 reference   partOf
Location
    identifier             identifier  identifier
    name                   string      name,alias
    address                string      address.text,address.line,address.district \
                                       = address-city address-state address-postalcode address-country
    address-city           string      address.city
    address-state          string      address.state
    address-postalcode     string      address.postalCode
    address-country        string      address.country
    organization           reference   managingOrganization
    partof                 reference   partOf
DiagnosticReport
    identifier             identifier  identifier
    subject                reference   subject
    patient                reference   [Patient]                  = subject
    encounter              reference   encounter
    status                 token       status
    category               token       category
    code                   token       code
    date                   date        effectiveDateTime,effectivePeriod  *
    issued                 date        issued
    result                 reference   result
    performer              reference   performer
    based-on               reference   basedOn
    specimen               reference   specimen
Observation
    identifier             identifier  identifier
    subject                reference   subject
    patient                reference   [Patient]                  = subject
    encounter              reference   encounter
    status                 token       status
    category               token       category
    code                   token       code
    date                   date        effectiveDateTime,effectivePeriod,effectiveInstant  *
    value-quantity         quantity    valueQuantity
    value-concept          token       valueCodeableConcept
    performer              reference   performer
    based-on               reference   basedOn
    specimen               reference   specimen
    has-member             reference   hasMember
    derived-from           reference   derivedFrom
Specimen
    identifier             identifier  identifier
    accession              identifier  accessionIdentifier
    subject                reference   subject
    patient                reference   [Patient]                  = subject
    type                   token       type
    collected              date        collection.collectedDateTime,collection.collectedPeriod  *
ServiceRequest
    identifier             identifier  identifier
    subject                reference   subject
    patient                reference   [Patient]                  = subject
    encounter              reference   encounter
    status                 token       status
    intent                 token       intent
    category               token       category
    code                   token       code
    authored               date        authoredOn                 *
    requester              reference   requester
    performer              reference   performer
    based-on               reference   basedOn
    specimen               reference   specimen
Appointment
    identifier             identifier  identifier
    status                 token       status
    date                   date        start                      *
    actor                  reference   participant.actor
    patient                reference   [Patient]                  = actor
    practitioner           reference   [Practitioner]             = actor
    location               reference   [Location]                 = actor
    service-type           token       serviceType
    appointment-type       token       appointmentType
    based-on               reference   basedOn
Provenance
    target                 reference   target
    patient                reference   [Patient]                  = target
    recorded               date        recorded                   *
    agent                  reference   agent.who
    entity                 reference   entity.what
"""


def _read_table(text: str) -> tuple[Parameter, ...]:
    rows: list[Parameter] = []
    type_ = ""
    for line in text.strip().splitlines():
        if not line.startswith(" "):
            type_ = line
            continue
        head, _, found_under = line.partition("=")
        name, kind, where, *marks = head.split()
        is_filter = where.startswith("[")
        rows.append(
            Parameter(
                type=type_,
                name=name,
                kind=Kind(kind),
                number=len(rows) + 1,
                paths=() if is_filter else tuple(where.split(",")),
                target=where.strip("[]") if is_filter else "",
                found_under=tuple(found_under.split()) + (() if is_filter else (name,)),
                ordering="*" in marks,
            )
        )
    return tuple(rows)


PARAMETERS: tuple[Parameter, ...] = _read_table(_TABLE)

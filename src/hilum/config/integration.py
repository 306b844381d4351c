"""integration.yaml: the one-page map of what crosses the boundary, for whom, at whose risk."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from hilum.config.safeguards import Safeguards
from hilum.config.secrets import Secret
from hilum.config.smart import Smart
from hilum.errors import ConfigError

__all__ = [
    "Api",
    "Area",
    "Data",
    "Direction",
    "Flow",
    "Integration",
    "Level",
    "Owners",
    "Risk",
    "Route",
    "StoreSettings",
    "System",
    "Tls",
    "User",
    "ValidationPolicy",
    "retention_days",
]

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
_DURATION = r"^P(?=[0-9])(?:[0-9]+Y)?(?:[0-9]+M)?(?:[0-9]+W)?(?:[0-9]+D)?$"
Duration = Annotated[str, Meta(pattern=_DURATION)]


class Direction(StrEnum):
    """Which way data goes, and who starts it."""

    READ = "read"
    WRITE_BACK = "write-back"
    BIDIRECTIONAL = "bidirectional"
    NOTIFICATION = "notification"
    BATCH = "batch"
    MANUAL_REVIEW = "manual-review"


class Level(StrEnum):
    """How much is at stake."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ValidationPolicy(StrEnum):
    """What becomes of a message whose resources are not what FHIR asks for."""

    OFF = "off"  # nobody looks
    WARN = "warn"  # it is applied, and a person is told
    HOLD = "hold"  # it is held for a person


class User(Struct, frozen=True, forbid_unknown_fields=True):
    """People who work with what this integration brings."""

    role: Annotated[str, Meta(min_length=1, description="What they are: nurse, patient, lab technician.")]
    count: Annotated[int, Meta(ge=1, description="How many they are.")] | None = None
    site: Annotated[str, Meta(description="Where they work.")] = ""


class System(Struct, frozen=True, forbid_unknown_fields=True):
    """A system on either side of the boundary."""

    id: Annotated[Id, Meta(description="Its name in this folder: letters, digits, - and _.")]
    kind: Annotated[str, Meta(min_length=1, description="What it speaks or is: hl7-v2, fhir-r4, files, application.")]
    vendor: Annotated[str, Meta(description="Who makes it.")] = ""
    environment: Annotated[str, Meta(description="Which installation it is: sandbox, production.")] = ""
    owner: Annotated[str, Meta(description="Who answers for it.")] = ""


class Data(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of data that crosses the boundary."""

    id: Annotated[Id, Meta(description="Its name in this folder.")]
    resource: Annotated[str, Meta(description="The FHIR R4 resource that carries it.")]
    fields: Annotated[list[str], Meta(description="Elements of the resource that cross; empty: all of them.")] = []
    phi: Annotated[bool, Meta(description="Whether it says something about a person's health.")] = True
    labels: Annotated[list[str], Meta(description="Security labels: N, R, V, or a sensitivity such as HIV.")] = []
    retain: Annotated[Duration, Meta(description="How long it is kept: P7Y, P18M, P90D.")] | None = None


class Flow(Struct, frozen=True, forbid_unknown_fields=True):
    """Data on its way from one system to another."""

    id: Annotated[Id, Meta(description="Its name in this folder.")]
    from_: Annotated[str, Meta(description="A system, source or destination.")] = field(name="from")
    to: Annotated[str, Meta(description="A system, source or destination.")]
    data: Annotated[list[str], Meta(min_length=1, description="Which data, by id.")]
    direction: Annotated[Direction, Meta(description="Which way, and who starts it.")]
    via: Annotated[str, Meta(description="How it is connected: mllp, smart-backend, sftp.")] = ""


class Risk(Struct, frozen=True, forbid_unknown_fields=True):
    """What is at stake when this integration is wrong, leaks or stops."""

    safety: Annotated[Level | None, Meta(description="Harm to a patient.")] = None
    phi: Annotated[Level | None, Meta(description="Health data seen by the wrong people.")] = None
    billing: Annotated[Level | None, Meta(description="Wrong charges or claims.")] = None
    downtime: Annotated[Level | None, Meta(description="Work that stops when this stops.")] = None
    ai: Annotated[Level | None, Meta(description="Decisions that an automated feature takes part in.")] = None


class Area(Struct, frozen=True, forbid_unknown_fields=True):
    """The four who own an area."""

    business: Annotated[str, Meta(min_length=1, description="Decides what is wanted.")]
    technical: Annotated[str, Meta(min_length=1, description="Makes it work.")]
    evidence: Annotated[str, Meta(min_length=1, description="Shows that it works.")]
    launch: Annotated[str, Meta(min_length=1, description="Says that it may go live.")]


class Owners(Struct, frozen=True, forbid_unknown_fields=True):
    """Who owns what; every area has four owners."""

    workflow: Annotated[Area | None, Meta(description="The work of the people who use the data.")] = None
    vendor_access: Annotated[Area | None, Meta(description="Access to the EHR and its vendor.")] = None
    mapping: Annotated[Area | None, Meta(description="Mapping and reconciliation.")] = None
    security: Annotated[Area | None, Meta(description="Security and compliance.")] = None
    release: Annotated[Area | None, Meta(description="Release and support.")] = None


class StoreSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where journal and repository are kept."""

    path: Annotated[
        str, Meta(min_length=1, description="The database file; a relative path starts at the integration folder.")
    ] = ".hilum/hilum.db"
    key: Annotated[
        Secret | None,
        Meta(description="The encryption key; without it a key file of mode 0600 is made beside the store."),
    ] = None
    retain: (
        Annotated[Duration, Meta(description="How long messages stay in the live journal: P7Y, P90D; empty: for good.")]
        | None
    ) = None

    def file(self, folder: Path) -> Path:
        """The database file, for the integration folder `folder`."""
        return folder / Path(self.path).expanduser()


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """Files of a TLS server."""

    certificate: Annotated[Path, Meta(description="PEM file with the certificate and its chain.")]
    key: Annotated[Path, Meta(description="PEM file with the private key, readable by hilum only.")]
    client_ca: Annotated[
        Path | None, Meta(description="PEM file of the authority that clients must have a certificate from.")
    ] = None


class Api(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the FHIR API listens."""

    host: Annotated[str, Meta(min_length=1, description="The address to listen on; this machine only by default.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Meta(ge=0, le=65535, description="The port to listen on; 0 takes a free one.")] = 8080
    tls: Annotated[Tls | None, Meta(description="TLS files; needed as soon as others can reach the host.")] = None
    insecure_allowed: Annotated[
        bool,
        Meta(description="Others may reach the host without TLS: only where a proxy ends TLS on a closed network."),
    ] = False
    base_url: Annotated[
        str,
        Meta(
            pattern=r"^(|https?://[^\s?#]+)$",
            description="How callers reach it, without /fhir, where that is not host and port (behind a proxy).",
        ),
    ] = ""
    max_count: Annotated[int, Meta(ge=1, le=5_000, description="Resources on one page of a search, at most.")] = 500
    update_creates: Annotated[
        bool, Meta(description="Programs may create with ids of their own, by PUT; else this server gives all ids.")
    ] = True


class Route(Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent to a destination."""

    to: Annotated[str, Meta(description="The name of a destination.")]
    when: Annotated[str, Meta(description="A condition on the message; empty: every message.")] = ""
    types: Annotated[list[str], Meta(description="FHIR types that are sent; empty: all of them.")] = []
    writes: Annotated[
        bool, Meta(description="Also what programs write through the API; `when` does not apply to it.")
    ] = False


class Integration(Struct, frozen=True, forbid_unknown_fields=True):
    """The boundary: what crosses it, which way, for whom, at what risk, and who owns it."""

    use: Annotated[Id, Meta(description="The one job of this integration: lab-results-to-portal.")]
    users: Annotated[list[User], Meta(description="Who works with the data.")] = []
    systems: Annotated[list[System], Meta(description="The systems on both sides.")] = []
    data: Annotated[list[Data], Meta(description="What crosses the boundary.")] = []
    flows: Annotated[list[Flow], Meta(description="Which data goes where.")] = []
    risk: Annotated[Risk, Meta(description="What is at stake.")] = Risk()
    owners: Annotated[Owners, Meta(description="Who owns what.")] = Owners()
    store: Annotated[StoreSettings, Meta(description="Where journal and repository are kept.")] = StoreSettings()
    api: Annotated[Api, Meta(description="Where the FHIR API listens.")] = Api()
    smart: Annotated[Smart, Meta(description="How apps and people are let in by SMART on FHIR.")] = Smart()
    safeguards: Annotated[Safeguards, Meta(description="Who may see whom.")] = Safeguards()
    routes: Annotated[list[Route], Meta(description="What is sent to which destination.")] = []
    validation: Annotated[
        ValidationPolicy,
        Meta(description="Resources made of messages are validated: off, warn (a person is told) or hold."),
    ] = ValidationPolicy.OFF
    learn_days: Annotated[
        int,
        Meta(ge=0, le=366, description="Days from a sender's first message; what is new after them makes an item."),
    ] = 7
    params: Annotated[
        dict[str, str | int | float | bool], Meta(description="Decisions that the workbook asks for, by name.")
    ] = {}


_UNITS = {"Y": 366, "M": 31, "W": 7, "D": 1}


def retention_days(duration: str) -> int:
    """Days of an ISO 8601 duration such as P7Y or P18M, rounded up: nothing is given up early.

    Raises ConfigError `period-invalid`.
    """
    if not re.fullmatch(_DURATION, duration):
        text = "write a duration as P7Y, P18M, P4W or P90D: years, months, weeks, days"
        raise ConfigError(text, code="period-invalid")
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"([0-9]+)([YMWD])", duration))

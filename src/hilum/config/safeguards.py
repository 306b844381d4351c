"""The `safeguards` part of integration.yaml: who may see whom."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["BreakGlass", "InCare", "Safeguards", "Tie"]


class Tie(StrEnum):
    """What puts a patient into the care of a practitioner."""

    GENERAL_PRACTITIONER = "general-practitioner"  # Patient.generalPractitioner
    ENCOUNTER = "encounter"  # Encounter.participant, while it lasts and for some days
    APPOINTMENT = "appointment"  # Appointment.participant, some days before and after
    CARE_TEAM = "care-team"  # CareTeam.participant, while the team is there
    EPISODE_OF_CARE = "episode-of-care"  # EpisodeOfCare.careManager, while it lasts


class BreakGlass(Struct, frozen=True, forbid_unknown_fields=True):
    """A practitioner opens one record out of their care for a while, says why, and is looked into afterwards."""

    reasons: Annotated[
        list[Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{0,39}$")]],
        Meta(min_length=1, description="Why, as in `emergency`: one of these is given. No names of people."),
    ]
    owner: Annotated[str, Meta(min_length=1, description="Who looks into it: each time is an exception of theirs.")]
    minutes: Annotated[int, Meta(ge=5, le=1_440, description="For how long a record is open.")] = 60


class InCare(Struct, frozen=True, forbid_unknown_fields=True):
    """Practitioners see the records of patients in their care."""

    by: Annotated[
        list[Tie],
        Meta(min_length=1, description="What puts a patient into the care of a practitioner: one of these is enough."),
    ]
    days: Annotated[
        int,
        Meta(ge=0, le=3_660, description="Days after the end of an encounter, and before and after an appointment."),
    ] = 30
    break_glass: Annotated[
        BreakGlass | None,
        Meta(description="How they open a record out of their care; without it nobody does."),
    ] = None


class Safeguards(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may see whom, beyond what scopes say."""

    practitioners: Annotated[
        InCare | None,
        Meta(description="Whose records practitioners see in apps; without it those of all patients."),
    ] = None

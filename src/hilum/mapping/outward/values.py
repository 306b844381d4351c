"""What going out is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from hilum.mapping.mapped import Problem
from hilum.model import Accounting, ExceptionItem

__all__ = ["Outward", "OutwardContext", "OutwardTrace", "Receiver"]

Repetition = Mapping[tuple[int, int], str]


class Receiver(Struct, frozen=True):
    """Who gets the message, and as whom it is sent (MSH-3 to MSH-6, MSH-11, MSH-12, MSH-18)."""

    application: str = ""
    facility: str = ""
    sending_application: str = "HILUM"
    sending_facility: str = ""
    processing_id: str = "P"
    version: str = "2.5.1"
    charset: str = "UNICODE UTF-8"

    @property
    def name(self) -> str:
        """`APP|FACILITY`: what `sender` cells of namespaces and maps are compared with."""
        return f"{self.application}|{self.facility}"


class OutwardContext(Struct, frozen=True):
    """What is true of one message only. `now` in microseconds since 1970.

    `before` holds the earlier versions of the resources by reference (`Patient/1`): what they had and the new ones
    have not is sent as `""`. `root` names the resource that the message is about, where there are several.
    """

    receiver: Receiver
    control_id: str
    now: int
    root: str = ""
    before: Mapping[str, Mapping[str, Any]] = {}


class OutwardTrace(Struct, frozen=True):
    """Where one value of the message comes from."""

    location: str  # "PID-5[1].1"
    value: str
    row: str
    element: str  # "Patient/1 name[0].family"; "" for what no element says


class Outward(Struct, frozen=True):
    """One message, not written yet: `segments` is what `formats.hl7v2.build` takes.

    `accounting` counts leaves of the resources: valued = mapped + ignored + exceptions. When `held` is set the message
    is not to be sent.
    """

    segments: tuple[tuple[str, Mapping[int, Sequence[Repetition]]], ...]
    accounting: Accounting = Accounting()
    exceptions: tuple[ExceptionItem, ...] = ()
    held: Problem | None = None
    traces: tuple[OutwardTrace, ...] = ()

"""HL7 v2 as different applications write it: own delimiters, line ends, character sets, times. Knows no parser."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from msgspec import Struct

__all__ = ["ADT", "LAB", "NULL", "SCHED", "Dialect", "Value", "segment"]

# text; components; repetitions. A component may be a tuple of subcomponents.
Value: TypeAlias = "str | tuple[str | tuple[str, ...], ...] | list[str | tuple[str | tuple[str, ...], ...]]"
NULL = '""'  # HL7 v2: delete what is stored


class Dialect(Struct, frozen=True):
    """How one application writes."""

    source: str  # the simulator's name for it: which of the receiver's ports it sends to
    application: str
    facility: str
    version: str = "2.5.1"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    terminator: str = "\r"
    codec: str = "utf-8"
    charset: str = "UNICODE UTF-8"  # MSH-18
    has_zone: bool = True
    enhanced: bool = False  # asks for CA instead of AA (MSH-15 AL, MSH-16 NE)

    def time(self, moment: datetime) -> str:
        """A DTM; some applications leave the offset from UTC out."""
        return moment.strftime("%Y%m%d%H%M%S%z" if self.has_zone else "%Y%m%d%H%M%S")

    def header(self, kind: str, structure: str, control_id: str, moment: datetime) -> str:
        """MSH."""
        encoding = self.component + self.repetition + self.escape + self.subcomponent
        message_type = self.component.join((*kind.split("^"), structure))
        fields = ["MSH", encoding, self.application, self.facility, "HILUM", "HILUM", self.time(moment), ""]
        fields += [message_type, control_id, "P", self.version, "", ""]
        fields += ["AL", "NE"] if self.enhanced else ["", ""]
        fields += ["", self.charset]
        return "|".join(fields)

    def text(self, value: Value) -> str:
        """A field."""
        if isinstance(value, list):
            return self.repetition.join(self.text(item) for item in value)
        if isinstance(value, tuple):
            parts = [self._component(part) for part in value]
            return self.component.join(parts).rstrip(self.component)
        return self._escaped(value)

    def _component(self, part: str | tuple[str, ...]) -> str:
        if isinstance(part, tuple):
            return self.subcomponent.join(self._escaped(item) for item in part)
        return self._escaped(part)

    def _escaped(self, text: str) -> str:
        if text.isalnum():
            return text
        e = self.escape
        text = text.replace(e, f"{e}E{e}").replace("|", f"{e}F{e}").replace(self.component, f"{e}S{e}")
        text = text.replace(self.repetition, f"{e}R{e}").replace(self.subcomponent, f"{e}T{e}")
        return text.replace("\r", f"{e}X0D{e}")

    def bytes(self, segments: list[str]) -> bytes:
        """The message as it goes out."""
        return (self.terminator.join(segments) + self.terminator).encode(self.codec)


def segment(dialect: Dialect, name: str, values: dict[int, Value]) -> str:
    """A segment with these fields, by number."""
    fields = [name] + [""] * max(values, default=0)
    for number, value in values.items():
        fields[number] = dialect.text(value)
    return "|".join(fields)


ADT = Dialect("adt", "HIS", "GENERAL")
# An old laboratory system: Latin-1, CRLF, local times.
LAB = Dialect(
    "lab",
    "LABSYS",
    "GENERAL",
    terminator="\r\n",
    codec="iso-8859-1",
    charset="8859/1",
    has_zone=False,
    enhanced=True,
)
# A scheduling system with delimiters of its own.
SCHED = Dialect("sched", "SCHED", "CLINICS", version="2.4", component="$", repetition="*", subcomponent="@")

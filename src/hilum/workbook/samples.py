"""From the `sample` cell of a row to the smallest message that holds it: `kind=ORU^R01;PID-3=1^^^GENHOSP^MR;OBX-5=182`.

`SEG-n=text` fills a field, `SEG[2]-n=text` one of the second such segment, `kind=` says the type and event,
`param.name=value` decides a parameter. A sample without any `=` is the text of the field that the row reads.
"""

from __future__ import annotations

import re

from msgspec import Struct

from hilum.mapping import Path, Rule, walk

__all__ = ["Sample", "read_sample"]

# The order of segments in messages of all types at once, so that every sample nests as in a real message.
_ORDER = (
    *("MSH", "SFT", "UAC", "MSA", "ERR", "QAK", "QPD", "RCP", "SCH", "EVN", "PID", "PD1", "ARV", "NK1", "MRG"),
    *("PV1", "PV2", "ROL", "DB1", "AL1", "IAM", "ACC", "DG1", "DRG", "GT1", "IN1", "IN2", "IN3", "TXA", "FT1", "PR1"),
    *("ORC", "RXO", "RXE", "RXD", "RXG", "RXA", "RXR", "RXC", "OBR", "TQ1", "TQ2", "CTI", "OBX", "SPM", "SAC"),
    *("RGS", "AIS", "AIG", "AIL", "AIP", "MFI", "MFE"),
)
_PATIENT = "1^^^GENHOSP^MR"
_ASSIGNMENT = re.compile(r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<index>[1-9]\d*)\])?-(?P<field>[1-9]\d{0,2})=")
_START = r"[A-Z][A-Z0-9]{2}(?:\[[1-9]\d*\])?-[1-9]\d{0,2}=|kind=|param\."
_PART = re.compile(rf";(?=\s*(?:{_START}|$))")  # a text may hold a semicolon
_Key = tuple[str, int]  # segment, which of them


class Sample(Struct, frozen=True):
    """What a sample cell says."""

    kind: str
    fields: tuple[tuple[str, int, int, str], ...]  # (segment, which of them, field, text), in order
    params: dict[str, str]

    def message(self) -> bytes:
        """The smallest message that holds the fields. A patient identifier is there even when the sample has none."""
        segments: dict[_Key, dict[int, str]] = {("MSH", 1): self._header(), ("PID", 1): {3: _PATIENT}}
        if self.kind.startswith("SIU"):
            segments["SCH", 1] = {2: "F77^SCHED"}
        for segment, index, number, text in self.fields:
            segments.setdefault((segment, index), {})[number] = text
        places = self._places(segments)
        lines = [_line(key[0], segments[key]) for key in sorted(segments, key=places.__getitem__)]
        return "\r".join(lines).encode() + b"\r"

    def _header(self) -> dict[int, str]:
        return {
            2: "^~\\&",
            3: "EPIC",
            4: "GENHOSP",
            7: "20240131081500",
            9: self.kind,
            10: "C1",
            11: "P",
            12: "2.5.1",
        }

    def _places(self, segments: dict[_Key, dict[int, str]]) -> dict[_Key, tuple[float, int]]:
        """Where each segment stands: known ones as in a message, all others behind what is named before them."""
        place = {name: float(at) for at, name in enumerate(_ORDER)}
        if ("PR1", 1) in segments:
            del place["ROL"]  # who took part in a procedure stands behind it
        if self.kind.startswith("SIU"):
            place["TQ1"] = place["SCH"] + 0.2
        found = {key: (place[key[0]], key[1]) for key in segments if key[0] in place}
        before: _Key = ("PID", 1)
        step = 0.0
        for segment, index, _, _ in self.fields:
            key = (segment, index)
            if key not in found:
                step += 0.001
                found[key] = (found[before][0] + 0.5 + step, index)
            if segment != "NTE":
                before = key
        return found


def _line(segment: str, fields: dict[int, str]) -> str:
    start = 2 if segment == "MSH" else 1
    return "|".join([segment, *(fields.get(number, "") for number in range(start, max(fields) + 1))])


def read_sample(text: str, rule: Rule) -> Sample:
    """Read the sample of a row. Raises ValueError, saying what cannot be read."""
    kind = next((kind for kind in rule.applies if "^" in kind and "*" not in kind), "ADT^A01")
    fields: list[tuple[str, int, int, str]] = []
    params: dict[str, str] = {}
    parts = [part for part in _PART.split(text) if part.strip()]
    if len(parts) == 1 and "=" not in text:
        return Sample(kind, (_own_field(rule, text),), {})
    for part in parts:
        match = _ASSIGNMENT.match(part.lstrip())
        name, _, value = part.strip().partition("=")
        if match is not None:
            fields.append(
                (match["segment"], int(match["index"] or 1), int(match["field"]), part.lstrip()[match.end() :])
            )
        elif name == "kind":
            kind = value
        elif name.startswith("param."):
            params[name.removeprefix("param.")] = value
        else:
            raise ValueError(f"`{name}` is not a field (PID-5=..), kind= or param.name=")
    return Sample(kind, tuple(fields), params)


def _own_field(rule: Rule, text: str) -> tuple[str, int, int, str]:
    """The field that the row reads first, holding the text where the row looks for it."""
    for expression in rule.alternatives:
        for part in walk(expression):
            if not isinstance(part, Path):
                continue
            anchor = rule.anchors[0]
            segment, field = (part.segment, part.field) if part.segment else (anchor.segment, anchor.field)
            shift = "^" * (part.component - 1) + "&" * (part.sub - 1)
            return segment, 1, field, shift + text
    raise ValueError("the row reads no field: write the fields of the sample as PID-5=..;PID-7=..")

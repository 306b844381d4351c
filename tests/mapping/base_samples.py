"""From the `sample` cell of a base row to a message: `kind=ORU^R01;PID-3=1^^^GENHOSP^MR;OBX-5=182`.

`param.name=value` in a sample sets a parameter for it.
"""

from __future__ import annotations

from hilum.mapping.places import parse_applies
from hilum.mapping.tables import Row

# The order of segments in ADT, ORU and SIU at once, so that every sample nests as in a real message.
ORDER = (
    *("MSH", "SCH", "EVN", "PID", "PD1", "NK1", "MRG", "PV1", "PV2", "ROL", "AL1", "IAM", "DG1", "GT1", "IN1", "IN2"),
    *("ORC", "OBR", "TQ1", "OBX", "SPM", "RGS", "AIS", "AIG", "AIL", "AIP"),
)
PATIENT = "1^^^GENHOSP^MR"


def kind_of(row: Row) -> str:
    """The kind of message that a row's sample stands in: as it says, else the first that the row applies to."""
    head = row.sample.partition(";")[0]
    if head.startswith("kind="):
        return head.removeprefix("kind=")
    kinds = [kind for kind in parse_applies(row.applies) if "*" not in kind]
    return kinds[0] if kinds else "ADT^A01"


def fields_of(row: Row) -> list[tuple[str, int, str]]:
    """(segment, field, text) of each assignment."""
    found = []
    for pair in row.sample.split(";"):
        name, _, text = pair.partition("=")
        if name and name != "kind" and not name.startswith("param."):
            segment, _, number = name.partition("-")
            found.append((segment, int(number), text))
    return found


def params_of(row: Row) -> dict[str, str]:
    """Parameters that the sample sets."""
    pairs = (pair.partition("=") for pair in row.sample.split(";") if pair.startswith("param."))
    return {name.removeprefix("param."): value for name, _, value in pairs}


def message_of(row: Row) -> bytes:
    """The smallest message that holds a row's sample. A patient identifier is there even when the sample has none."""
    kind = kind_of(row)
    fields: dict[str, dict[int, str]] = {"PID": {3: PATIENT}}
    fields["MSH"] = {2: "^~\\&", 3: "EPIC", 4: "GENHOSP", 7: "20240131081500", 9: kind, 10: "C1", 11: "P", 12: "2.5.1"}
    if kind.startswith("SIU"):
        fields["SCH"] = {2: "F77^SCHED"}
    place = {segment: float(at) for at, segment in enumerate(ORDER)}
    if kind.startswith("SIU"):
        place["TQ1"] = place["SCH"] + 0.2
    before = "PID"
    for segment, number, text in fields_of(row):
        if segment == "NTE" and before != "NTE":
            place["NTE"] = place[before] + 0.5  # a comment follows what the sample names before it
        before = segment
        fields.setdefault(segment, {})[number] = text
    lines = []
    for segment in sorted(fields, key=place.__getitem__):
        numbers = fields[segment]
        start = 2 if segment == "MSH" else 1
        cells = [numbers.get(number, "") for number in range(start, max(numbers) + 1)]
        lines.append("|".join([segment, *cells]))
    return "\r".join(lines).encode() + b"\r"

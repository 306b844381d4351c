"""Where rows run and what they write: the cells `applies`, `anchor` and `target`, parsed to values."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from hilum.mapping.columns import record_of_kind
from hilum.mapping.syntax import SyntaxProblem

__all__ = ["MERGING", "Anchor", "Step", "Target", "parse_anchor", "parse_applies", "parse_target"]


MERGING = ("merge", "unmerge")  # roles of rows that say who is one person with whom


class Anchor(Struct, frozen=True):
    """Where a row runs: a chain of segment names, the last one its own; `field` > 0 makes it a field anchor."""

    chain: tuple[str, ...]
    field: int = 0
    every: bool = False  # each repetition, else the first
    direct: bool = False  # right below the segment before it in the chain, not further down

    @property
    def segment(self) -> str:
        """The segment that the row runs on."""
        return self.chain[-1]


class Step(Struct, frozen=True):
    """One step of a target. `item`: None, "+" (each value an item), "+label" (zipped items) or "label" (shared)."""

    name: str
    item: str | None = None
    url: str = ""  # of an extension


class Target(Struct, frozen=True):
    """What a row writes. `role`: element, key (`Type.id`), merge (`merge(Type)`), unmerge (`unmerge(Type)`).

    A column of a table that goes out (`is_cell`) has the table as its type and its name as its only step; the role of
    the line itself (`worklist[]`) is key.
    """

    type: str
    label: str
    steps: tuple[Step, ...]
    default: bool = False
    role: str = "element"
    is_cell: bool = False

    @property
    def resource(self) -> str:
        """`Type` or `Type:label`."""
        return f"{self.type}:{self.label}" if self.label else self.type


_RECORD = re.compile(r"(?![A-Z][A-Z0-9]{2}$)[A-Za-z][\w-]*")  # the name of a record; rows.py asks that `applies` has it
_ANCHOR = re.compile(r"([A-Z][A-Z0-9]{2}(?:>[A-Z][A-Z0-9]{2})*(/[A-Z][A-Z0-9]{2})?)(?:-([1-9]\d*)(\[\*\])?)?")


@lru_cache(4096)
def parse_anchor(text: str) -> tuple[Anchor, ...]:
    """The alternatives of an anchor cell. Raises SyntaxProblem."""
    found = []
    if _RECORD.fullmatch(text.strip()):
        return (Anchor((text.strip(),)),)
    for part in text.split("|"):
        match = _ANCHOR.fullmatch(part.strip())
        if match is None:
            raise SyntaxProblem(f"`{part.strip()}` is no anchor such as PID, OBR>OBX or PV1-7[*]")
        chain = tuple(re.split("[>/]", match[1]))
        found.append(Anchor(chain, int(match[3] or 0), bool(match[4]), direct=bool(match[2])))
    if len({bool(anchor.field) for anchor in found}) > 1:
        raise SyntaxProblem("segment anchors and field anchors do not mix")
    return tuple(found)


_KIND = re.compile(r"([A-Z][A-Z0-9]{2})\^(\*|[A-Z0-9]+(?:\|[A-Z0-9]+)*)|[A-Z][A-Z0-9]{2}|\*")


@lru_cache(4096)
def parse_applies(text: str) -> tuple[str, ...]:
    """`ADT^A01|A04` to ("ADT^A01", "ADT^A04"); `ADT^*` stays; () is every kind of message. Raises SyntaxProblem."""
    found: list[str] = []
    for part in text.replace(";", " ").split():
        if record_of_kind(part):
            found.append(part)
            continue
        match = _KIND.fullmatch(part)
        if match is None:
            raise SyntaxProblem(f"`{part}` is no kind such as ADT^A01|A04, ADT^* or *")
        if part == "*":
            return ()
        if match[1]:
            found.extend(f"{match[1]}^{event}" for event in match[2].split("|"))
        else:
            found.append(part)
    return tuple(found)


_CELL = re.compile(r"([A-Za-z][\w-]*)\[([^\[\]]*)\]")
_RESOURCE = re.compile(r"([A-Z][A-Za-z]+)(?::([A-Za-z0-9_-]+))?")
_STEP = re.compile(
    r'\.(?:extension\((?:"(?P<url>[^"]+)"|(?P<short>[\w-]+))\)|(?P<name>[a-z]\w*(?:\[x\])?))(?:\[(?P<item>\+?[\w-]*)\])?'
)
_HL7 = "http://hl7.org/fhir/StructureDefinition/"
_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"


@lru_cache(4096)
def parse_target(text: str) -> Target:
    """`Patient.name[+]`, `Observation:x.id`, `merge(Patient)`, `Encounter.status?`, `worklist[Name]`.

    Raises SyntaxProblem.
    """
    text = text.strip()
    cell = _CELL.fullmatch(text)
    if cell is not None:
        name = " ".join(cell[2].split())
        return Target(cell[1], "", (Step(name),) if name else (), role="element" if name else "key", is_cell=True)
    role, _, rest = text.partition("(")
    if role in MERGING and rest.endswith(")"):
        match = _RESOURCE.fullmatch(rest[:-1].strip())
        if match is None:
            raise SyntaxProblem(f"{role}(..) names a resource type")
        return Target(match[1], match[2] or "", (), role=role)
    default = text.endswith("?")
    match = _RESOURCE.match(text)
    if match is None:
        raise SyntaxProblem("a target starts with a resource type: Patient.birthDate")
    steps = _steps(text.rstrip("?"), match.end())
    if len(steps) == 1 and steps[0] == Step("id"):
        return Target(match[1], match[2] or "", (), role="key")
    if not steps:
        raise SyntaxProblem("a target names an element: Patient.birthDate, or Patient.id for the key row")
    return Target(match[1], match[2] or "", tuple(steps), default)


def _steps(text: str, at: int) -> list[Step]:
    steps: list[Step] = []
    inside = False
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None or match["item"] == "":
            raise SyntaxProblem(f"cannot read `{text[at:]}` of the target")
        if match["name"]:
            steps.append(Step(match["name"], match["item"]))
        else:
            url = match["url"] or _extension_url(match["short"], inside=inside)
            steps.append(Step("extension", match["item"], url))
            inside = True
        at = match.end()
    return steps


def _extension_url(short: str, *, inside: bool) -> str:
    if inside:
        return short
    return (_CORE if short.startswith("us-core-") else _HL7) + short

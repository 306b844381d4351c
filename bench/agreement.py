"""How far the base workbook agrees, field by field, with the FHIR that other projects expect of their messages.

`python -m bench agreement` prints JSON; `python bench/agreement.py [-v] [FOLDER|TYPE...]` prints a report to read. It
needs the folder ../shared/data beside the checkout.

An expected resource is compared with the one of ours that has most in common with it; then every leaf of the expected
one is a field: **equal**, **listed** (a difference on purpose: `bench/agreement_rules.py`, docs/mapping-differences.md)
or **different**. A field is comparable unless a narrow rule says that the expected value itself is wrong or made up, or
that HL7's own V2-to-FHIR tables say otherwise.
What only we have is counted beside it (`extra`). Never compared: ids, narratives, meta, versions of this and that
(`_UNCOMPARED`). References are equal when they lead to resources that were matched with each other.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from hilum.errors import FormatError
from hilum.formats import hl7v2
from hilum.mapping import Context, Plan, compile_workbook, load_workbook, render

try:
    from bench.agreement_rules import RULES, unmade
except ModuleNotFoundError:  # run as a file
    from agreement_rules import RULES, unmade  # type: ignore[no-redef]

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "hl7v2"
# The zone in which each project reads a time without one.
FOLDERS = {
    "ms-fhir-converter": "Asia/Kolkata",
    "whistle-wstl1": "UTC",
    "reportstream": "UTC",
    "v2-to-fhir-ig": "UTC",
}
_UNCOMPARED = frozenset({"id", "meta", "text.status", "text.div", "resourceType", "implicitRules"})
# What the projects have decided where the base leaves a decision to the site.
_DECIDED = {
    "unknown_namespace": "local",
    "obx_11_r": "preliminary",
    "obx_11_b": "final",
    "relatives_ssn": "yes",
}
_NUMBER_GIVEN = "PID-3 for messages that name no patient"

Resource = dict[str, Any]
Leaf = tuple[str, Any]


@dataclass(frozen=True)
class Field:
    """One field of one expected resource and what we have there."""

    folder: str
    message: str
    type: str
    path: str
    expected: Any
    ours: Any  # None: nothing
    verdict: str  # equal, different, or the code of a listed difference
    theirs: str = ""  # listed because the expected value is `wrong` (or made up), or against HL7's own `tables`


@dataclass
class Outcome:
    """What comparing gave."""

    fields: list[Field] = field(default_factory=list)
    extra: Counter[str] = field(default_factory=Counter)  # type and path that only we have
    unmade: Counter[str] = field(default_factory=Counter)  # resources of types that the base does not make
    held: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)  # kinds without rows
    messages: int = 0


# -- ours ----------------------------------------------------------------------------------------------------------


def plan_for(zone: str) -> Plan:
    """The base for a site that has set nothing but its zone."""
    with tempfile.TemporaryDirectory() as folder:
        tables = Path(folder) / "workbook"
        tables.mkdir()
        decided = {"zone": zone, **_DECIDED}
        lines = ["param,value", *(f"{name},{value}" for name, value in decided.items())]
        (tables / "params.csv").write_text("\n".join(lines) + "\n")
        return compile_workbook(load_workbook(Path(folder)))


def _with_patient(raw: bytes) -> bytes:
    """The message with a patient number where it has none: it would be held, and nothing could be compared."""
    lines = re.split(rb"[\r\n]+", raw)
    for at, line in enumerate(lines):
        if line.startswith(b"PID|"):
            cells = line.split(b"|")
            cells += [b""] * (4 - len(cells))
            if not any(cell.split(b"^")[0] for cell in (cells[2], cells[3], *cells[4:5])):
                cells[3] = b"unnumbered^^^NONE"
                lines[at] = b"|".join(cells)
            return b"\r".join(lines)
    evn = next((at for at, line in enumerate(lines) if line.startswith((b"EVN", b"MSH"))), 0)
    return b"\r".join([*lines[: evn + 1], b"PID|||unnumbered^^^NONE", *lines[evn + 1 :]])


def ours_of(plan: Plan, raw: bytes) -> tuple[list[Resource], str, str]:
    """(resources, kind, why it was held)."""
    record = hl7v2.parse(_with_patient(raw))
    mapped = plan.run(record, Context("agreement", record.sender, 1_700_000_000_000_000))
    held = mapped.held
    resources = [json.loads(body, parse_float=str, parse_int=str) for body in render(mapped)] if held is None else []
    return resources, record.kind, f"{held.code} {held.location}" if held else ""


# -- leaves --------------------------------------------------------------------------------------------------------

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[-+]\d\d:\d\d)?")
_LOCAL = re.compile(r"https?://example\.com/|urn:hilum:|urn:id:|https?://reportstream\.|2\.16\.840\.1\.113883\.3\.none")


def plain(path: str, value: Any) -> Any:
    """A value as it is compared: times as instants, numbers as numbers, systems that a converter made up as one."""
    if not isinstance(value, str) or isinstance(value, bool):
        return value
    text = " ".join(value.split())
    if _TIME.fullmatch(text):
        return _instant(text)
    if path.endswith((".system", "system")) and _LOCAL.match(text):
        return "(a system of the converter)"
    if path.endswith("display"):
        return text.casefold().replace("\u2019", "'")
    if path.endswith(("value", "rank", "order", "count", "period", "minutesDuration", "numberOfRepeatsAllowed")):
        try:
            return Decimal(text).normalize()
        except InvalidOperation:
            return text
    return text


def _instant(text: str) -> str:
    text = re.sub(r"(\.\d{3})\d*", r"\1", text).replace("Z", "+00:00")
    if len(text) == 16:
        text += ":00"
    found = datetime.fromisoformat(text)
    return (found.astimezone(UTC) if found.tzinfo else found).isoformat()


def leaves(value: Any, path: str = "") -> Iterator[Leaf]:
    """(path without positions, value) of every leaf."""
    if isinstance(value, dict):
        for name, member in value.items():
            where = f"{path}.{name}" if path else name
            if where not in _UNCOMPARED and not (name in ("extension", "modifierExtension") and _noise(member)):
                yield from leaves(member, where)
    elif isinstance(value, list):
        for member in value:
            yield from leaves(member, path)
    else:
        yield path, value


def _noise(extensions: Any) -> bool:
    """Extensions of one project alone."""
    return not any("hl7.org/fhir" in str(one.get("url", "")) for one in extensions if isinstance(one, dict))


def weight(one: Any, other: Any, same: Callable[[str], str] = lambda _: "") -> float:
    """How much two values have in common: shared leaves, identifiers and codes more than others.

    `same` gives our reference for one of the expected resource; "" while partners are not known.
    """
    first = Counter(
        (path, same(value) if path.endswith("reference") else str(plain(path, value)))
        for path, value in leaves(one)
        if not path.endswith("reference") or same(value)
    )
    second = Counter((path, str(plain(path, value))) for path, value in leaves(other))
    shared = first & second
    heavy = sum(4 * count for (path, _), count in shared.items() if path in _TELLING or path.endswith("reference"))
    # Of two that share as much the one with less else fits better.
    return heavy + sum(shared.values()) - 0.001 * (len(list(leaves(other))) - sum(shared.values()))


_TELLING = frozenset({"identifier.value", "code.coding.code", "name.family", "name", "vaccineCode.coding.code"})


# -- matching ------------------------------------------------------------------------------------------------------


def matched(
    expected: list[Any], ours: list[Any], same: Callable[[str], str] = lambda _: "", least: float = 0.5
) -> list[tuple[int, int]]:
    """Pairs of positions, the ones with most in common first."""
    scores = [
        (weight(one, other, same), at, place)
        for at, one in enumerate(expected)
        for place, other in enumerate(ours)
        if not _are_two(one, other)
    ]
    taken: set[int] = set()
    done: set[int] = set()
    found = []
    for score, at, place in sorted(scores, key=lambda entry: (-entry[0], entry[1], entry[2])):
        if score >= least and at not in done and place not in taken:
            done.add(at)
            taken.add(place)
            found.append((at, place))
    if len(expected) == len(ours) == 1 and not found:
        return [(0, 0)]
    return found


def _are_two(one: Any, other: Any) -> bool:
    """Identifiers with different values, names with and without a family: they have nothing to do with each other."""
    if not (isinstance(one, dict) and isinstance(other, dict)) or "resourceType" in one:
        return False
    if "value" in one and "value" in other and ("assigner" in one or "type" in one or "type" in other):
        return str(plain("value", one["value"])) != str(plain("value", other["value"]))
    return "family" in one and "family" not in other and "given" in other


def again(expected: Resource, ours: list[Resource]) -> Resource | None:
    """Ours for a resource that is expected twice: a place, organisation or person that we have once."""
    if expected["resourceType"] not in ("Location", "Organization", "Practitioner"):
        return None
    wanted = {(path, str(plain(path, value))) for path, value in leaves(expected) if path in _TELLING}
    scores = [
        (weight(expected, one), at)
        for at, one in enumerate(ours)
        if wanted and wanted <= {(path, str(plain(path, value))) for path, value in leaves(one)}
    ]
    return ours[max(scores)[1]] if scores else None


class Comparison:
    """One message: its expected resources against ours."""

    def __init__(self, folder: str, name: str, expected: list[Resource], ours: list[Resource], out: Outcome) -> None:
        self.folder, self.name, self.out = folder, name, out
        self.partner: dict[str, str] = {}  # expected Type/id -> our Type/id
        self.pairs: list[tuple[Resource, Resource | None]] = []
        kinds = sorted({one["resourceType"] for one in expected})
        for kind in kinds:
            wanted = [one for one in expected if one["resourceType"] == kind]
            have = [one for one in ours if one["resourceType"] == kind]
            paired = dict(matched(wanted, have))
            for at, one in enumerate(wanted):
                partner = have[paired[at]] if at in paired else again(one, have)
                reason = unmade(one) if partner is None else ""
                if reason:
                    out.unmade[f"{reason} ({kind})"] += 1
                    continue
                self.pairs.append((one, partner))
                if partner is not None and "id" in one:
                    self.partner[f"{kind}/{one['id']}"] = f"{kind}/{partner['id']}"
        self.types = {one["id"]: one["resourceType"] for one in expected if "id" in one}

    def run(self) -> None:
        for expected, ours in self.pairs:
            if ours is None:
                self._whole(expected)
            else:
                self._object(expected["resourceType"], "", expected, ours)

    def _whole(self, expected: Resource) -> None:
        """A resource that we do not have: each of its fields is missing."""
        for path, value in leaves(expected):
            if not path.endswith("reference"):
                self._note(expected["resourceType"], f"(resource).{path}", value, None)

    def _object(self, type_: str, path: str, expected: Any, ours: Any) -> None:
        for name, member in expected.items():
            where = f"{path}.{name}" if path else name
            if where in _UNCOMPARED or (name in ("extension", "modifierExtension") and _noise(member)):
                continue
            self._value(type_, where, member, ours.get(name) if isinstance(ours, dict) else None)
        if isinstance(ours, dict):
            for name in ours.keys() - expected.keys():
                where = f"{path}.{name}" if path else name
                if where not in _UNCOMPARED:
                    self.out.extra[f"{type_}.{where}"] += sum(1 for _ in leaves(ours[name]))

    def _value(self, type_: str, path: str, expected: Any, ours: Any) -> None:
        if isinstance(expected, dict):
            self._object(type_, path, expected, ours)
        elif isinstance(expected, list):
            self._list(type_, path, expected, ours if isinstance(ours, list) else [] if ours is None else [ours])
        elif path.endswith("reference"):
            self._reference(type_, path, expected, ours)
        else:
            self._note(type_, path, expected, ours)

    def _list(self, type_: str, path: str, expected: list[Any], ours: list[Any]) -> None:
        if path.endswith("extension"):
            expected = [one for one in expected if not _noise([one])]
        if expected and isinstance(expected[0], str):
            have = Counter(str(plain(path, one)) for one in ours)
            for one in expected:
                text = str(plain(path, one))
                self._note(type_, path, one, one if have[text] else (ours or [None])[0])
                have[text] -= 1
            return None
        if expected and isinstance(expected[0], dict) and "reference" in expected[0]:
            return self._references(type_, path, expected, ours)
        paired = dict(matched(expected, ours, lambda one: self.partner.get(self._named(one), "")))
        rest = [at for at in range(len(ours)) if at not in paired.values()]
        for at, one in enumerate(expected):
            place = paired.get(at)
            if place is None and rest and len(expected) == len(ours) and not _are_two(one, ours[rest[0]]):
                place = rest.pop(0)
            self._value(type_, path, one, None if place is None else ours[place])
        return None

    def _references(self, type_: str, path: str, expected: list[Any], ours: list[Any]) -> None:
        have = [one.get("reference", "") for one in ours if isinstance(one, dict)]
        for one in expected:
            wanted = self.partner.get(self._named(one["reference"]))
            if wanted is None and self._named(one["reference"]) not in self.partner:
                continue  # the resource itself is counted
            self._note(
                type_,
                f"{path}.reference",
                one["reference"],
                wanted if wanted in have else (have or [None])[0],
                equal=wanted in have,
            )

    def _reference(self, type_: str, path: str, expected: str, ours: Any) -> None:
        wanted = self.partner.get(self._named(expected))
        if wanted is not None:
            self._note(type_, path, expected, ours, equal=wanted == ours)

    def _named(self, reference: str) -> str:
        tail = reference.replace("urn:uuid:", "").split("/")
        return f"{self.types.get(tail[-1], tail[0])}/{tail[-1]}"

    def _note(self, type_: str, path: str, expected: Any, ours: Any, *, equal: bool | None = None) -> None:
        if equal is None:
            equal = ours is not None and str(plain(path, expected)) == str(plain(path, ours))
        verdict, theirs = ("equal", "") if equal else listed(self.folder, type_, path, expected, ours)
        self.out.fields.append(Field(self.folder, self.name, type_, path, expected, ours, verdict, theirs))


def listed(folder: str, type_: str, path: str, expected: Any, ours: Any) -> tuple[str, str]:
    """The code of the difference on purpose that this is, and why it is theirs if it is; else `different`."""
    for rule in RULES:
        if rule.holds(folder, f"{type_}.{path}", expected, ours):
            return rule.code, rule.theirs
    return "different", ""


# -- all of it -----------------------------------------------------------------------------------------------------


def expected_of(path: Path) -> list[Resource]:
    """The resources of an expected bundle; [] when the file is no JSON."""
    try:
        bundle = json.loads(path.read_text(encoding="utf-8-sig"), parse_float=str, parse_int=str)
    except ValueError:
        return []
    found = []
    for entry in bundle.get("entry", []):
        one = entry.get("resource", {})
        one.setdefault("id", entry.get("fullUrl", "").replace("urn:uuid:", "").split("/")[-1])
        found.append(one)
    return found


def compare(folders: list[str] | None = None) -> Outcome:
    """Every message with expectations of these folders (all of them)."""
    out = Outcome()
    for folder in folders or FOLDERS:
        plan = plan_for(FOLDERS[folder])
        for path in sorted((SHARED / folder).glob("*.expected.json")):
            source = Path(str(path).removesuffix(".expected.json") + ".hl7")
            expected = expected_of(path)
            if not expected or not source.exists():
                out.held["expectation unreadable"] += 1
                continue
            try:
                ours, kind, held = ours_of(plan, source.read_bytes())
            except FormatError as error:
                out.held[f"unreadable {error.code}"] += 1
                continue
            if held:
                (out.kinds if held.startswith("no-rows") else out.held)[
                    kind if held.startswith("no-rows") else held
                ] += 1
                continue
            out.messages += 1
            Comparison(folder, source.stem, expected, ours, out).run()
    return out


def summary(out: Outcome) -> dict[str, Any]:
    """Figures by folder and type, and the largest groups of what differs."""

    def share(fields: list[Field]) -> dict[str, Any]:
        equal = sum(one.verdict == "equal" for one in fields)
        different = sum(one.verdict == "different" for one in fields)
        wrong = sum(one.theirs == "wrong" for one in fields)
        against = sum(one.theirs == "tables" for one in fields)
        return {
            "fields": len(fields),
            "equal": equal,
            "expected_value_wrong": wrong,
            "expected_against_hl7_tables": against,
            "listed": len(fields) - equal - different,
            "different": different,
            "agree_percent": round(100 * equal / max(1, len(fields)), 1),
            "agree_of_comparable_percent": round(100 * equal / max(1, len(fields) - wrong - against), 1),
            "agree_or_listed_percent": round(100 * (len(fields) - different) / max(1, len(fields)), 1),
        }

    by_folder: dict[str, list[Field]] = {}
    by_type: dict[str, list[Field]] = {}
    for one in out.fields:
        by_folder.setdefault(one.folder, []).append(one)
        by_type.setdefault(one.type, []).append(one)
    return {
        "messages": out.messages,
        "all": share(out.fields),
        "folders": {name: share(fields) for name, fields in by_folder.items()},
        "types": {name: share(by_type[name]) for name in sorted(by_type, key=lambda name: -len(by_type[name]))},
        "listed": dict(Counter(f.verdict for f in out.fields if f.verdict not in ("equal", "different")).most_common()),
        "not_compared": dict(out.unmade.most_common()),
        "held": dict(out.held),
        "kinds_without_rows": dict(out.kinds),
        "only_ours": sum(out.extra.values()),
        "note": f"given by the tool: {_NUMBER_GIVEN}",
    }


def run() -> dict[str, Any]:
    """For `python -m bench agreement`."""
    if not SHARED.is_dir():
        return {"skipped": "the sample data folder ../shared/data is not beside this checkout"}
    return summary(compare())


def main() -> None:
    """A report to read: shares, then the largest groups of fields that differ and are not listed."""
    verbose = "-v" in sys.argv
    wanted = [one for one in sys.argv[1:] if not one.startswith("-")]
    out = compare([one for one in wanted if one in FOLDERS] or None)
    found = summary(out)
    print(json.dumps({name: found[name] for name in found if name != "types"}, indent=1))
    for name, row in found["types"].items():
        print(f"{name:24} {row['fields']:6} {row['agree_percent']:6}% {row['agree_or_listed_percent']:6}%")
    types = {one for one in wanted if one not in FOLDERS}
    groups: dict[tuple[str, str], list[Field]] = {}
    for one in out.fields:
        if one.verdict == "different" and (not types or one.type in types):
            groups.setdefault((one.folder, f"{one.type}.{one.path}"), []).append(one)
    for (folder, path), fields in sorted(groups.items(), key=lambda entry: -len(entry[1]))[: 400 if verbose else 60]:
        print(f"\n{len(fields):5} {folder} {path}")
        pairs = Counter((str(one.expected)[:90], str(one.ours)[:90]) for one in fields)
        for (expected, ours), count in pairs.most_common(6 if verbose else 3):
            example = next(one.message for one in fields if str(one.expected)[:90] == expected)
            print(f"      {count:4} {expected!r} | ours {ours!r} | {example}")


if __name__ == "__main__":
    main()

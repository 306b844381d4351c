"""Searches against what the FHIRPath of their parameters gives: every resource looked at, nothing indexed.

The parameters are those that US Core 6.1 and 7.0 ask for, the values those of synthetic patients.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from hilum.definitions import search_parameters
from hilum.fhirpath import Element, compile_expression, decode
from hilum.formats import fhir
from hilum.model import Draft, Effects
from hilum.repository import SCHEMA, Query, SearchTerm, SqliteRepository
from hilum.store import Store
from shared_data import SHARED, needs_shared

pytestmark = [pytest.mark.anyio, needs_shared]

Json = dict[str, Any]
Asked = tuple[tuple[str, str], set[str]]  # (parameter with modifier, value), ids of what it finds

ASKED = {
    "Patient": "birthdate death-date family gender given identifier name",
    "Encounter": "class date identifier patient location status type",
    "Observation": "status category code date patient",
    "Condition": "category clinical-status patient onset-date recorded-date abatement-date code encounter",
    "DiagnosticReport": "status patient category code date",
    "Procedure": "status patient date code",
    "Immunization": "patient status date",
    "MedicationRequest": "status intent patient encounter authoredon",
    "CarePlan": "category date patient status",
    "CareTeam": "patient status",
    "Organization": "name address",
    "Practitioner": "name identifier",
}
FILES = ("Gus_Runte_*.json", "practitioner*.json")


def resources() -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for pattern in FILES:
        (path,) = (SHARED / "fhir" / "synthea").glob(pattern)
        entries = decode(path.read_bytes())["entry"]
        names = {one["fullUrl"]: f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in entries}
        for one in entries:
            text = fhir.replace_references(fhir.encode(one["resource"]), names)
            resource = decode(text)
            if resource["resourceType"] in ASKED:
                found.setdefault(resource["resourceType"], []).append(resource)
    return found


async def filled(repository: SqliteRepository, given: dict[str, list[Json]]) -> None:
    drafts = [
        Draft(type_, one["id"], {n: Raw(fhir.encode(v)) for n, v in one.items() if n not in ("resourceType", "id")})
        for type_, some in given.items()
        for one in some
    ]
    for at in range(0, len(drafts), 100):
        await repository.apply([Effects(seq=at + 1, partition=0, at=1, drafts=drafts[at : at + 100])], {0: at + 1})


def values(type_: str, name: str, of: list[Json]) -> dict[str, list[Any]]:
    """id -> what the parameter's expression gives."""
    (one,) = (found for found in search_parameters(type_) if found.name == name)
    expression = compile_expression(one.expression, type=type_)

    def named(text: str) -> Json:
        return {"resourceType": text.partition("/")[0], "id": text.rpartition("/")[2]}

    found = {resource["id"]: expression.items(resource, resolve=named) for resource in of}
    return {id_: [one.value if type(one) is Element else one for one in items] for id_, items in found.items()}


def tokens(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str | bool):
        yield "", str(value)
    else:
        for one in value.get("coding", [value]):
            yield one.get("system", ""), one.get("code", one.get("value", ""))


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        names = (
            "family",
            "given",
            "prefix",
            "suffix",
            "text",
            "line",
            "city",
            "district",
            "state",
            "postalCode",
            "country",
        )
        for part in map(value.get, names):
            yield from part if isinstance(part, list) else [part] if part else []


def span(text: str) -> tuple[datetime, datetime]:
    day = re.fullmatch(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?", text)
    if day is None:
        first = datetime.fromisoformat(text)
        return first, first + timedelta(milliseconds=1 if "." in text else 1000)
    year, month, of = int(day[1]), day[2], day[3]
    first = datetime(year, int(month or 1), int(of or 1), tzinfo=UTC)
    if of:
        return first, first + timedelta(days=1)
    return first, datetime(year + (not month or month == "12"), int(month or 12) % 12 + 1, 1, tzinfo=UTC)


def spans(value: Any) -> tuple[datetime, datetime]:
    if isinstance(value, str):
        return span(value)
    never = datetime(9998, 1, 1, tzinfo=UTC)
    return span(value["start"])[0], span(value["end"])[1] if "end" in value else never


def holds(prefix: str, asked: tuple[datetime, datetime], there: tuple[datetime, datetime]) -> bool:
    (a, b), (c, d) = asked, there
    inside = a <= c and d <= b
    return {"": inside, "ne": not inside, "gt": d > b, "lt": c < a, "ge": d > b or inside, "le": c < a or inside}[
        prefix
    ]


def asked(name: str, kind: str, found: dict[str, list[Any]], pick: random.Random) -> Iterator[Asked]:
    """Searches for some of the values, with what they must find."""
    every = [value for some in found.values() for value in some]
    if not every:
        return
    for value in pick.sample(every, min(4, len(every))):
        match kind:
            case "token":
                system, code = next(tokens(value))
                hit = {id_ for id_, some in found.items() if any(code == c for one in some for _, c in tokens(one))}
                yield (name, code), hit
                yield (f"{name}:not", code), set(found) - hit
                if system:
                    pair = (system, code)
                    yield (
                        (name, f"{system}|{code}"),
                        {i for i, some in found.items() if any(pair in tokens(o) for o in some)},
                    )
            case "string":
                text = pick.choice(list(strings(value)))
                every_text = {id_: [t for one in some for t in strings(one)] for id_, some in found.items()}
                start = fhir.fold(text[:3])
                starting = {i for i, some in every_text.items() if any(fhir.fold(t).startswith(start) for t in some)}
                yield (name, text[:3].upper()), starting
                yield (f"{name}:exact", text), {id_ for id_, some in every_text.items() if text in some}
            case "reference":
                text = value["reference"]
                hit = {id_ for id_, some in found.items() if any(one.get("reference") == text for one in some)}
                yield (name, text), hit
                yield (name, text.rpartition("/")[2]), hit
            case "date":
                text = value if isinstance(value, str) else value["start"]
                for cut in (text, text[:10], text[:4]):
                    for prefix in ("", "ne", "gt", "lt", "ge", "le"):
                        yield (
                            (name, prefix + cut),
                            {
                                i
                                for i, some in found.items()
                                if any(holds(prefix, span(cut), spans(one)) for one in some)
                            },
                        )
    there = {id_ for id_, some in found.items() if some}
    yield (f"{name}:missing", "false"), there


async def test_searches_find_what_looking_at_everything_finds(tmp_path: Path) -> None:
    given = resources()
    pick = random.Random(20)
    differences, count, hits = [], 0, 0
    with Store.open(tmp_path / "hilum.db", key=bytes(32), schemas=[SCHEMA]) as store:
        repository = SqliteRepository(store)
        await filled(repository, given)

        def find(type_: str, terms: list[tuple[str, str]]) -> set[str]:
            said = tuple(term(name, value) for name, value in terms)
            return {one.id for one in repository.search(Query(type_, said, count=5_000)).matches}

        for type_, of in given.items():
            pool: list[Asked] = []
            for name in ASKED[type_].split():
                (kind,) = {one.kind for one in search_parameters(type_) if one.name == name}
                pool += asked(name, kind, values(type_, name, of), pick)
            pairs = [pick.sample(pool, 2) for _ in range(30)]
            for some in (*pairs, *([one] for one in pool)):
                terms, expected = [one for one, _ in some], set.intersection(*(ids for _, ids in some))
                count, hits = count + 1, hits + bool(expected)
                if find(type_, terms) != expected:
                    differences.append((type_, terms))
    assert differences == []
    assert (count > 700, hits > 400) == (True, True), (count, hits)


def term(name: str, value: str) -> SearchTerm:
    base, _, modifier = name.partition(":")
    return SearchTerm(base, (value.replace(",", "\\,"),), modifier)

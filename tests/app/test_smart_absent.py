"""Two stores, one of which never had the other patient: a token of the first patient is answered alike by both.

Random searches, reads, histories, writes, batches and transactions; status, body and headers are compared.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from msgspec import Raw
from smart_support import HASH, SmartWorld

from hilum.app.smart.records import Kind
from hilum.app.smart.users import new_user
from hilum.config import InCare, Tie
from hilum.formats import fhir
from hilum.repository import Change, Verb

pytestmark = pytest.mark.anyio

PORTAL = "https://portal.example/app/callback"
# who signs in, for what: a patient, and a practitioner in whose care that patient is
SCOPES = (
    ("ana", "launch/patient patient/*.cruds"),
    ("ana", "launch/patient patient/Observation.cruds?category=laboratory patient/Patient.rs patient/Encounter.cu"),
    ("drake", "user/*.cruds"),
)
TYPES = ("Patient", "Observation", "Encounter", "Condition", "Procedure", "DiagnosticReport", "Group", "Practitioner")
WRITTEN = TYPES[:5]
REQUESTS = 130
FHIR_JSON = {"Content-Type": "application/fhir+json"}
PATCH_JSON = {"Content-Type": "application/json-patch+json"}
TOLD_APART = ("x-request-id", "content-length", "last-modified", "date")


def to(record: str) -> dict[str, str]:
    return {"reference": record}


def record(who: str) -> list[dict[str, Any]]:
    """What one patient has; the ids end in who it is."""
    mine = to(f"Patient/{who}")
    code = {"coding": [{"system": "http://codes.example", "code": f"c-{who}"}], "text": "shared"}
    made: list[dict[str, Any]] = [
        {
            "resourceType": "Patient",
            "id": who,
            "name": [{"family": "Testcase"}],
            "birthDate": "1970-01-01",
            "generalPractitioner": [to(f"Practitioner/{'d1' if who == 'p1' else 'd2'}")],
        },
        {"resourceType": "Encounter", "id": f"e-{who}", "status": "finished", "subject": mine},
        {
            "resourceType": "Condition",
            "id": f"c-{who}",
            "subject": mine,
            "encounter": to(f"Encounter/e-{who}"),
            "code": code,
        },
        {"resourceType": "Procedure", "id": f"q-{who}", "subject": mine, "status": "completed", "code": code},
        {"resourceType": "Group", "id": f"g-{who}", "type": "person", "actual": True, "member": [{"entity": mine}]},
    ]
    for n, category in enumerate(("laboratory", "vital-signs")):
        made.append(
            {
                "resourceType": "Observation",
                "id": f"o{n}-{who}",
                "status": "final",
                "category": [{"coding": [{"code": category}]}],
                "code": code,
                "subject": mine,
                "performer": [to("Practitioner/d1")],
                "encounter": to(f"Encounter/e-{who}"),
                "identifier": [{"system": "http://numbers.example", "value": f"{n}-{who}"}],
            }
        )
    results = [to(f"Observation/o{n}-{who}") for n in (0, 1)]
    report = {"resourceType": "DiagnosticReport", "id": f"r-{who}", "status": "final", "subject": mine, "code": code}
    return [*made, report | {"result": results}]


DOCTOR = {"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Shared"}]}
THEIRS = [f"{one['resourceType']}/{one['id']}" for one in record("p2")]
MINE = [f"{one['resourceType']}/{one['id']}" for one in record("p1")]
VALUES = {
    "reference": [*MINE, *THEIRS],
    "token": ["c-p1", "c-p2", "final", "finished", "laboratory", "http://numbers.example|0-p2"],
    "date": ["gt1960", "1970-01-01", "lt2000"],
    "string": ["Testcase", "Shared", "T"],
}


async def world_of(folder: Path, *resources: dict[str, Any]) -> SmartWorld:
    world = SmartWorld(folder, in_care=InCare([Tie.GENERAL_PRACTITIONER]))
    changes = []
    for one in resources:
        elements = {name: Raw(json.dumps(value).encode()) for name, value in one.items()}
        type_, id_ = one["resourceType"], one["id"]
        changes.append(
            Change(Verb.UPDATE, type_, id_, {k: v for k, v in elements.items() if k not in ("resourceType", "id")})
        )
    await world.repository.write(changes)
    world.register("portal", Kind.PUBLIC, (PORTAL,), "launch/patient patient/*.cruds user/*.cruds")
    for name, who in (("ana", "Patient/p1"), ("drake", "Practitioner/d1")):
        world.smart.users.add(new_user(name, record=who, hashed=HASH), by="test")
    return world


@pytest.fixture
async def worlds(tmp_path: Path) -> AsyncIterator[tuple[SmartWorld, SmartWorld]]:
    made = (
        await world_of(tmp_path / "with", DOCTOR, *record("p1"), *record("p2")),
        await world_of(tmp_path / "without", DOCTOR, *record("p1")),
    )
    yield made
    for one in made:
        one.close()


class Asker:
    """Makes up requests; the same ones from the same seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def term(self, type_: str) -> str:
        one = self.dice.choice([one for one in fhir.parameters_of(type_) if one.is_indexed])
        value = self.dice.choice(VALUES.get(one.kind.fhir, ["1"]))
        targets = [name for name in one.targets if name in TYPES]
        if targets and self.dice.random() < 0.3:
            target = self.dice.choice(targets)
            return f"{one.name}:{target}.{self.term(target)}"
        if self.dice.random() < 0.15:
            return f"{one.name}:missing={self.dice.choice(['true', 'false'])}"
        return f"{one.name}={quote(value)}"

    def has(self, type_: str) -> str:
        ways = [
            (other, one.name)
            for other in TYPES
            for one in fhir.parameters_of(other)
            if one.is_indexed and type_ in one.targets and one.target in ("", type_)
        ]
        if not ways:
            return self.term(type_)
        other, name = self.dice.choice(ways)
        return f"_has:{other}:{name}:{self.term(other)}"

    def search(self) -> str:
        type_ = self.dice.choice(TYPES)
        parts = [self.dice.choice([self.term, self.term, self.has])(type_) for _ in range(self.dice.randint(0, 2))]
        parts += self.dice.sample(
            [
                "_include=*",
                "_revinclude=*",
                "_summary=count",
                "_total=accurate",
                "_elements=id",
                "_count=1",
                "_sort=-nothing",
            ],
            self.dice.randint(0, 2),
        )
        owner = f"{self.dice.choice(MINE + THEIRS)}/" if self.dice.random() < 0.1 else ""
        if not owner and self.dice.random() < 0.1:
            return f"?_type={type_},{self.dice.choice(TYPES)}&{'&'.join(parts)}"
        return f"{owner}{type_}?{'&'.join(parts)}"

    def read(self) -> str:
        name = self.dice.choice(THEIRS * 3 + MINE)
        type_, _, id_ = name.partition("/")
        tails = (name, f"{name}/_history", f"{name}/_history/1", f"{type_}/_history", f"Patient/{id_}/$everything")
        return self.dice.choice((*tails, f"{name}/$validate", f"Observation/$lastn?patient={id_}", "_history"))

    def body(self, type_: str, id_: str = "") -> dict[str, Any]:
        who = self.dice.choice(["p1", "p1", "p2"])
        made = next(one for one in record(who) if one["resourceType"] == type_)
        if "subject" in made and self.dice.random() < 0.3:
            made["subject"] = {"reference": f"Patient?{self.term('Patient')}"}
        return {name: value for name, value in made.items() if name != "id"} | ({"id": id_} if id_ else {})

    def write(self) -> tuple[str, str, dict[str, Any]]:
        type_ = self.dice.choice(WRITTEN)
        named = self.dice.choice([one for one in THEIRS * 3 + MINE if one.startswith(f"{type_}/")])
        where = self.dice.choice([named, f"{type_}?{self.term(type_)}"])
        match = self.dice.choice(
            [{}, {}, {"If-Match": 'W/"1"'}, {"If-None-Match": "*"}, {"Prefer": "return=representation"}]
        )
        if self.dice.random() < 0.3:
            exists = {"If-None-Exist": self.term(type_)} if self.dice.random() < 0.7 else {}
            return "POST", type_, {"json": self.body(type_), "headers": FHIR_JSON | exists}
        if self.dice.random() < 0.5:
            id_ = named.partition("/")[2] if where == named else ""
            return "PUT", where, {"json": self.body(type_, id_), "headers": FHIR_JSON | match}
        if self.dice.random() < 0.6:
            patch = [
                {"op": "test", "path": "/status", "value": "final"},
                {"op": "add", "path": "/language", "value": "en"},
            ]
            return "PATCH", where, {"json": patch[self.dice.randint(0, 1) :], "headers": PATCH_JSON | match}
        return "DELETE", self.dice.choice(THEIRS), {"headers": match}

    def bundle(self) -> dict[str, Any]:
        entries: list[dict[str, Any]] = []
        for _ in range(self.dice.randint(1, 3)):
            if self.dice.random() < 0.5:
                entries.append({"request": {"method": "GET", "url": self.dice.choice([self.search, self.read])()}})
                continue
            method, url, more = self.write()
            if method in ("POST", "PUT"):
                entries.append({"resource": more["json"], "request": {"method": method, "url": url}})
            elif method == "DELETE":
                entries.append({"request": {"method": method, "url": url}})
        return {"resourceType": "Bundle", "type": self.dice.choice(["batch", "transaction"]), "entry": entries}

    def request(self) -> tuple[str, str, dict[str, Any]]:
        which = self.dice.random()
        if which < 0.4:
            return "GET", self.search(), {}
        if which < 0.6:
            return "GET", self.read(), {}
        return self.write() if which < 0.85 else ("POST", "", {"json": self.bundle(), "headers": FHIR_JSON})


def said(answer: httpx2.Response) -> tuple[int, str, dict[str, str]]:
    """An answer without what differs between any two: times, ids that the server made, sealed places in a list."""
    text = re.sub(r'"(lastUpdated|lastModified|timestamp)":"[^"]*"', "", answer.text)
    headers = {name: plain(value) for name, value in answer.headers.items() if name not in TOLD_APART}
    return answer.status_code, plain(re.sub(r"_cursor=[A-Za-z0-9_=-]+", "", text)), headers


def plain(text: str) -> str:
    return re.sub(r"\b[a-z2-7]{20}\b", "ID", text)


@pytest.mark.parametrize("seed", [2, 4])
async def test_what_is_hidden_is_told_as_what_never_was(worlds: tuple[SmartWorld, SmartWorld], seed: int) -> None:
    seen: Counter[int] = Counter()
    for user, scope in SCOPES:
        tokens = [(await world.access(scope, user=user))["access_token"] for world in worlds]
        asker = Asker(seed)
        async with worlds[0].client(tokens[0]) as one, worlds[1].client(tokens[1]) as other:
            for _ in range(REQUESTS):
                method, url, more = asker.request()
                answers = [await client.request(method, f"/fhir/{url}".rstrip("/"), **more) for client in (one, other)]
                assert said(answers[0]) == said(answers[1]), (method, url, more)
                assert answers[0].status_code < 500, url
                seen[answers[0].status_code] += 1
    assert set(seen) >= {200, 201, 403, 404}
    assert seen[200] > REQUESTS / 2

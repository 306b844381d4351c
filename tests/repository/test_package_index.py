"""The index of parameters that packages bring: right at any moment, however far it is made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from hilum.formats import fhir
from hilum.formats.fhir import Kind, Parameter, registry
from hilum.formats.fhir.places import places_of
from hilum.repository import (
    SCHEMA,
    Change,
    MemoryRepository,
    Query,
    SearchTerm,
    SqliteRepository,
    Verb,
    lookup,
    packaged,
)
from hilum.store import Store

pytestmark = pytest.mark.anyio

UCUM = "http://unitsofmeasure.org"
LANGUAGE = "http://codes.example/languages"
WHERE = {
    "spoken": (Kind.TOKEN, "Patient.communication.language"),
    "asserted": (Kind.DATE, "Patient.contact.period"),
    "ward": (Kind.STRING, "Patient.contact.name.text"),
    "dose": (Kind.QUANTITY, "Patient.extension.valueQuantity"),
    "count": (Kind.NUMBER, "Patient.multipleBirthInteger"),
    "clinic": (Kind.REFERENCE, "Patient.managingOrganization"),
}


def offer(names: list[str]) -> None:
    """Patients have these parameters from now on, beyond R4."""
    registry._offered.clear()
    for n, name in enumerate(names):
        kind, path = WHERE[name]
        made = Parameter(
            "Patient",
            name,
            kind,
            fhir.OFFERED + n,
            found_under=(name,),
            is_indexed=False,
            places=places_of("Patient", path),
        )
        registry._offered["Patient", name] = made
    registry._forget()


@pytest.fixture
def offered() -> Iterator[None]:
    offer(list(WHERE))
    yield
    registry._offered.clear()
    registry._forget()


def elements(code: str, system: str, day: str, name: str) -> dict[str, Raw]:
    made: dict[str, Any] = {"gender": "female"}
    if code:
        made["communication"] = [{"language": {"coding": [{"system": system, "code": code}]}}]
    if day or name:
        period = {"period": {"start": day, "end": day}} if day else {}
        made["contact"] = [{**period, "name": {"text": name or "x"}}]
        made["multipleBirthInteger"] = len(day)
    if name:
        unit = {"system": UCUM, "code": "mg"} if code else {"unit": "mg"}
        made["extension"] = [{"url": "http://x.example/dose", "valueQuantity": {"value": len(name) + 0.5, **unit}}]
    if code:
        made["managingOrganization"] = {"reference": f"Organization/{code}"}
    return {key: Raw(msgspec.json.encode(value)) for key, value in made.items()}


ASKED = [
    ("spoken", ("de",), ""),
    ("spoken", (f"{LANGUAGE}|de", "|fr"), ""),
    ("spoken", (f"{LANGUAGE}|",), ""),
    ("spoken", ("de",), "not"),
    ("spoken", ("true",), "missing"),
    ("spoken", ("false",), "missing"),
    ("asserted", ("ge2024-02",), ""),
    ("asserted", ("2024-01-10", "lt2024-01"), ""),
    ("asserted", ("true",), "missing"),
    ("ward", ("no",), ""),
    ("ward", ("ort",), "contains"),
    ("ward", ("North",), "exact"),
    ("ward", ("Nor",), "exact"),
    ("dose", ("5.5",), ""),
    ("dose", ("gt5", "le1"), ""),
    ("dose", (f"ge5|{UCUM}|mg",), ""),
    ("dose", ("5.5||mg",), ""),
    ("dose", (f"5.5|{UCUM}|g", "5.5||m"), ""),
    ("dose", ("ne5.5",), ""),
    ("dose", ("true",), "missing"),
    ("count", ("4",), ""),
    ("count", ("gt4", "ap10"), ""),
    ("clinic", ("Organization/de",), ""),
    ("clinic", ("fr", "http://far.example/Organization/x"), ""),
    ("clinic", ("true",), "missing"),
    ("clinic", ("false",), "missing"),
    ("spoken", ("de",), "text"),
]


def searches() -> list[Query]:
    alone = [Query("Patient", (SearchTerm(name, values, modifier),)) for name, values, modifier in ASKED]
    both = (SearchTerm("spoken", ("de",)), SearchTerm("asserted", ("ge2024",)), SearchTerm("gender", ("female",)))
    return [*alone, Query("Patient", both), Query("Patient", (SearchTerm("spoken", ("de",)),), sort=("-_lastUpdated",))]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["a", "b", "c", "d"]),
            st.sampled_from(["", "de", "fr"]),
            st.sampled_from(["", LANGUAGE]),
            st.sampled_from(["", "2023", "2024-01-10", "2024-03"]),
            st.sampled_from(["", "North", "Söuth"]),
        ),
        st.sampled_from(["index", "index", "delete a", "delete b", "others"]),
    ),
    min_size=3,
    max_size=14,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_it_finds_what_the_bodies_say_however_far_it_is(
    offered: None, steps: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    offer(list(WHERE))
    with Store.open(tmp_path_factory.mktemp("s") / "x.db", key=bytes(32), schemas=[SCHEMA]) as opened:
        repository, twin = SqliteRepository(opened), MemoryRepository()
        for step in steps:
            if step == "index":
                await repository.index_packages()
            elif step == "others":  # a package gave way to another, and came back with one more
                offer(["ward", "spoken"])
                await repository.index_packages()
                offer(list(WHERE))
            else:
                id_ = step[-1] if isinstance(step, str) else step[0]
                change = Change(Verb.DELETE, "Patient", id_)
                if not isinstance(step, str):
                    change = Change(Verb.UPDATE, "Patient", id_, elements(*step[1:]))
                for each in (repository, twin):
                    await each.write([change])
        for query in searches():
            found = [[one.id for one in each.search(query).matches] for each in (repository, twin)]
            assert sorted(found[0]) == sorted(found[1]), query.terms
            assert repository.search(query).total == len(found[1])


async def test_old_resources_are_taken_in_part_by_part_and_a_kill_goes_on_where_it_was(
    offered: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged, "BATCH", 2)
    path = tmp_path / "x.db"
    with Store.open(path, key=bytes(32), schemas=[SCHEMA]) as opened:
        repository = SqliteRepository(opened)
        for n in range(7):
            await repository.write([Change(Verb.UPDATE, "Patient", f"p{n}", elements("de", "", "2024-03", "North"))])
        assert [await repository.index_packages() for _ in range(2)] == [2, 2]
        half = packaged.batch_of(opened._reader(), "Patient", packaged.Texts())
        assert half is not None
        with pytest.raises(RuntimeError):
            opened.write_now(lambda connection: killed(connection, half))
    with Store.open(path, key=bytes(32), schemas=[SCHEMA]) as opened:
        repository = SqliteRepository(opened)
        asked = Query("Patient", (SearchTerm("spoken", ("de",)),))
        assert repository.search(asked).total == 7
        assert [await repository.index_packages() for _ in range(3)] == [2, 1, 0]
        assert repository.search(asked).total == 7
        opened.write_now(lambda connection: packaged.take_in(connection, half))
        assert await repository.index_packages() == 0, "what somebody else was slower with changes nothing"
        rows = opened.read(lambda connection: connection.execute("SELECT count(*) FROM package_fact").get)
        assert rows == 42
        monkeypatch.setattr(lookup, "subject_in", None)
        assert repository.search(asked).total == 7, "no body is read for it"
        for name, value in (("dose", f"5.5|{UCUM}|mg"), ("count", "7"), ("clinic", "Organization/de"), ("ward", "nor")):
            assert repository.search(Query("Patient", (SearchTerm(name, (value,)),))).total == 7, name
        assert repository.search(Query("Patient", (SearchTerm("ward", ("South",), "exact"),))).total == 0


def killed(connection: Any, batch: packaged.Batch) -> None:
    packaged.take_in(connection, batch)
    raise RuntimeError

"""Packages: what is read of them, how they are kept, and what is refused."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hilum.definitions import Shelf, packages, r4
from hilum.errors import HilumError
from hilum.validation import Validator
from shared_data import SHARED, needs_shared

PROFILE = "http://example.org/StructureDefinition/named-patient"
SYSTEM = "http://example.org/CodeSystem/colours"
TOLD = {"name": "org.example.guide", "version": "1.0.0", "license": "CC0-1.0", "fhirVersions": ["4.0.1"]}


def profile() -> dict[str, Any]:
    """A Patient that has a name."""
    return {
        "resourceType": "StructureDefinition",
        "url": PROFILE,
        "name": "NamedPatient",
        "kind": "resource",
        "type": "Patient",
        "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "snapshot": {
            "element": [
                {"id": "Patient", "path": "Patient", "min": 0, "max": "*", "base": {"path": "Patient", "max": "*"}},
                {
                    "id": "Patient.name",
                    "path": "Patient.name",
                    "min": 1,
                    "max": "*",
                    "base": {"path": "Patient.name", "max": "*"},
                    "type": [{"code": "HumanName"}],
                    "constraint": [
                        {
                            "key": "guide-1",
                            "severity": "error",
                            "human": "a family name is written",
                            "expression": "family.exists()",
                            "source": PROFILE,
                        }
                    ],
                },
            ]
        },
    }


def colours() -> dict[str, Any]:
    concepts = [
        {"code": "red", "display": "Red", "concept": [{"code": "crimson"}]},
        {"code": "blue", "display": "Sky and sea"},
    ]
    return {"resourceType": "CodeSystem", "url": SYSTEM, "content": "complete", "concept": concepts}


def reds() -> dict[str, Any]:
    part = {"system": SYSTEM, "filter": [{"property": "concept", "op": "is-a", "value": "red"}]}
    return {"resourceType": "ValueSet", "url": "http://example.org/ValueSet/reds", "compose": {"include": [part]}}


def many() -> dict[str, Any]:
    listed = {"system": "http://loinc.org", "concept": [{"code": "2345-7", "display": "Glucose"}]}
    include = [listed, {"valueSet": ["http://else.example/ValueSet/far|2.0"]}]
    return {"resourceType": "ValueSet", "url": "http://example.org/ValueSet/many", "compose": {"include": include}}


def archive(
    path: Path, *resources: dict[str, Any], told: dict[str, Any] | None = TOLD, extra: tuple[str, ...] = ()
) -> Path:
    with tarfile.open(path, "w:gz") as made:
        files = {f"package/{number}.json": one for number, one in enumerate(resources)}
        if told is not None:
            files["package/package.json"] = told
        for name in (*files, *extra):
            raw = json.dumps(files.get(name, {})).encode()
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            made.addfile(info, io.BytesIO(raw))
    return path


def test_a_package_is_reduced_kept_and_used(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    added = shelf.add(archive(tmp_path / "a.tgz", profile(), colours(), reds()), r4())
    assert (added.profiles, added.value_sets, added.code_systems) == (1, 1, 1)
    loaded = Shelf(tmp_path).definitions(r4())
    assert loaded.labels == ("hl7.fhir.r4#4.0.1", "org.example.guide#1.0.0")
    assert "org.example.guide#1.0.0+" in loaded.version
    reds_ = loaded.value_set("http://example.org/ValueSet/reds")
    assert reds_ is not None
    assert reds_.codes == {SYSTEM: frozenset({"red", "crimson"})}
    assert loaded.supported_profiles("Patient") == (PROFILE,)
    assert r4().structure(PROFILE) is None


def test_the_words_of_codes_are_kept_and_so_are_the_value_sets_that_are_missing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.add(archive(tmp_path / "a.tgz", colours(), many()), r4())
    loaded = Shelf(tmp_path).definitions(r4())
    assert loaded.displays(SYSTEM) == {"red": "Red", "blue": "Sky and sea"}
    assert loaded.displays("http://loinc.org") == {"2345-7": "Glucose"}
    assert loaded.displays("http://hl7.org/fhir/observation-status")["entered-in-error"] == "Entered in Error"
    assert loaded.displays("http://nowhere.example") == {}
    held = loaded.value_set("http://example.org/ValueSet/many")
    assert held is not None
    assert (held.open, held.missing) == ({"*"}, {"http://else.example/ValueSet/far"})


def test_a_profile_is_checked_beside_r4(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.add(archive(tmp_path / "a.tgz", profile()), r4())
    validator = Validator(shelf.definitions(r4()))

    def codes(patient: dict[str, Any]) -> list[tuple[str, str]]:
        findings = validator.validate({"resourceType": "Patient", **patient}, profiles=[PROFILE])
        return [(one.code, one.location) for one in findings]

    assert codes({"name": [{"family": "Probe"}]}) == []
    assert codes({}) == [("element-missing", "Patient")]
    assert codes({"name": [{"given": ["Ada"]}]}) == [("invariant-failed", "Patient.name[0]")]


def test_another_version_takes_the_place_of_the_first(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.add(archive(tmp_path / "a.tgz", profile()), r4())
    added = shelf.add(archive(tmp_path / "b.tgz", colours(), told={**TOLD, "version": "2.0.0"}), r4())
    assert added.replaced == "org.example.guide#1.0.0"
    assert [one.label for one in shelf.all()] == ["org.example.guide#2.0.0"]
    assert sorted(path.name for path in (tmp_path / "packages").iterdir()) == [
        "org.example.guide-2.0.0.pack",
        "packages.json",
    ]


def test_a_package_can_be_taken_out(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.add(archive(tmp_path / "a.tgz", profile()), r4())
    assert shelf.remove("org.example.guide").version == "1.0.0"
    assert shelf.all() == ()
    with pytest.raises(HilumError) as caught:
        shelf.remove("org.example.guide")
    assert caught.value.code == "package-absent"


def test_names_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    path = archive(tmp_path / "a.tgz", profile(), extra=("../evil.json", "/tmp/evil.json", "package/../../evil.json"))
    Shelf(inside).add(path, r4())
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tgz", "inside"]


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (None, "package-not-fhir"),
        ({"name": "x"}, "package-not-fhir"),
        ({**TOLD, "name": "../up"}, "package-not-fhir"),
        ({**TOLD, "version": "../1"}, "package-not-fhir"),
        ({**TOLD, "fhirVersions": ["5.0.0"]}, "package-other-version"),
    ],
)
def test_a_package_that_is_none_is_refused(told: dict[str, Any] | None, code: str, tmp_path: Path) -> None:
    with pytest.raises(HilumError) as caught:
        Shelf(tmp_path).add(archive(tmp_path / "a.tgz", profile(), told=told), r4())
    assert caught.value.code == code
    assert not (tmp_path / "packages").exists()


@pytest.mark.parametrize(
    "content", [b"", b"no archive", gzip.compress(b"no tar" * 1000, mtime=0)], ids=["empty", "text", "gzip"]
)
def test_a_file_that_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    path.write_bytes(content)
    with pytest.raises(HilumError) as caught:
        Shelf(tmp_path).add(path, r4())
    assert caught.value.code in ("package-unreadable", "package-not-fhir")


def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tgz", profile(), colours())
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(HilumError) as caught:
        Shelf(tmp_path).add(path, r4())
    assert caught.value.code == "package-unreadable"


def test_an_archive_that_expands_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "MOST_EXPANDED", 1024 * 1024)
    path = tmp_path / "a.tgz"
    with tarfile.open(path, "w:gz") as made:
        info = tarfile.TarInfo("package/big.txt")
        info.size = 8 * 1024 * 1024
        made.addfile(info, io.BytesIO(bytes(info.size)))
    assert path.stat().st_size < 50_000
    with pytest.raises(HilumError) as caught:
        Shelf(tmp_path).add(path, r4())
    assert caught.value.code == "package-too-large"


def test_definitions_without_what_r4_demands_are_refused(tmp_path: Path) -> None:
    broken = {**profile(), "snapshot": {"element": [{"path": "Patient"}]}}
    with pytest.raises(HilumError) as caught:
        Shelf(tmp_path).add(archive(tmp_path / "a.tgz", broken), r4())
    assert caught.value.code == "package-not-fhir"


def test_a_pack_that_was_changed_on_disk_is_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.add(archive(tmp_path / "a.tgz", profile()), r4())
    pack = tmp_path / "packages" / "org.example.guide-1.0.0.pack"
    pack.write_bytes(pack.read_bytes() + b" ")
    with pytest.raises(HilumError) as caught:
        shelf.definitions(r4())
    assert caught.value.code == "definitions-damaged"
    pack.unlink()
    with pytest.raises(HilumError) as caught:
        shelf.definitions(r4())
    assert caught.value.code == "definitions-damaged"


def test_an_index_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.add(archive(tmp_path / "a.tgz", profile()), r4())
    index = tmp_path / "packages" / "packages.json"
    index.write_text(index.read_text().replace("org.example.guide-1.0.0.pack", "../../other.pack"))
    with pytest.raises(HilumError) as caught:
        shelf.all()
    assert caught.value.code == "definitions-damaged"


US_CORE = SHARED / "fhir" / "us-core"


@needs_shared
def test_us_core_is_read_and_a_newer_one_takes_its_place(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    first, second = (shelf.add(US_CORE / f"us_core_{version}.tgz", r4()) for version in ("610", "700"))
    assert min(first.profiles, second.profiles) > 50
    assert min(first.search_parameters, second.search_parameters) > 90
    assert second.replaced == "hl7.fhir.us.core#6.1.0"
    loaded = shelf.definitions(r4())
    assert {one.name: one.package for one in loaded.search_parameters("Patient")}["race"] == "hl7.fhir.us.core#7.0.0"
    assert loaded.guides == ("http://hl7.org/fhir/us/core/ImplementationGuide/hl7.fhir.us.core|7.0.0",)


@needs_shared
def test_the_examples_of_us_core_meet_its_profiles(tmp_path: Path) -> None:
    path = US_CORE / "us_core_700.tgz"
    shelf = Shelf(tmp_path)
    shelf.add(path, r4())
    validator = Validator(shelf.definitions(r4()))
    refused, seen = [], 0
    with tarfile.open(path) as opened:
        for member in opened:
            if not member.name.startswith("package/example/") or not member.name.endswith(".json"):
                continue
            held = opened.extractfile(member)
            assert held is not None
            raw = held.read()
            if b'"resourceType"' in raw:
                report = validator.report(raw)
                seen += 1
                refused += [] if report.is_valid else [(member.name, report.findings[:3])]
    assert seen > 150
    assert refused == []

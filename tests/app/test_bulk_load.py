"""`hilum load`: what is taken, what is not, and that a kill neither loses nor doubles anything."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from bulk_support import folder_in, hilum, observation_line, patient_line, state_of, write_lines

from hilum.app.bulk.jobs import Counts, Place, begin, move
from hilum.app.bulk.judges import LARGE, process_count
from hilum.app.bulk.judging import Policy
from hilum.app.bulk.loading import load
from hilum.app.bulk.sources import find_files
from hilum.app.cli import main
from hilum.app.opening import open_folder
from hilum.errors import HilumError
from hilum.repository import Query, Stored

MANY = [*[patient_line(n) for n in range(40)], *[observation_line(n, n % 40) for n in range(1_160)]]


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    made = folder_in(tmp_path)
    capsys.readouterr()
    return made


def loaded(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    """What the command says of itself."""
    status = main(["load", "fhir", *map(str, words), "--json"])
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert status == (1 if told["rejected"] + told["held"] else 0)
    return told


def get(folder: Path, type_: str, id_: str) -> Stored:
    with open_folder(folder) as opened:
        return opened.repository.get(type_, id_)


def test_lines_are_stored_indexed_and_the_same_twice_changes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_lines(tmp_path / "all.ndjson", MANY)
    assert loaded(capsys, path, folder)["created"] == 1_200
    again = loaded(capsys, path, folder)
    assert (again["created"], again["updated"], again["unchanged"]) == (0, 0, 1_200)
    assert not again["resumed"]
    state = state_of(folder)
    assert state["counts"] == {"Patient": 40, "Observation": 1_160}
    assert state["superseded"] == 0
    assert json.loads(get(folder, "Observation", "o7").body)["subject"] == {"reference": "Patient/p7"}


def test_a_folder_and_compressed_files_are_loaded(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = tmp_path / "many"
    (many / "deep").mkdir(parents=True)
    write_lines(many / "Patient.ndjson", [patient_line(1)])
    text = "".join(json.dumps(observation_line(n, 1)) + "\n" for n in range(3))
    (many / "deep" / "Observation.ndjson.gz").write_bytes(gzip.compress(text.encode()))
    (many / "notes.txt").write_text("not a resource")
    assert loaded(capsys, many, folder)["created"] == 4


def test_what_is_wrong_is_left_out_and_told_by_line_without_values(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        patient_line(1),
        patient_line(2, birthDate="Geheim-1970"),
        "{not json",
        {"resourceType": "Nothing", "id": "x"},
        patient_line(3, id="no such id!"),
        "",
        patient_line(4, name=[{"family": ""}]),
        patient_line(5),
    ]
    told = loaded(capsys, write_lines(tmp_path / "some.ndjson", lines), folder)
    assert (told["created"], told["rejected"]) == (2, 5)
    text = Path(told["findings"]).read_text()
    assert Path(told["findings"]).stat().st_mode & 0o077 == 0
    found = [json.loads(line) for line in text.splitlines()]
    assert sorted({one["line"] for one in found}) == [2, 3, 4, 5, 7]
    assert {one["file"] for one in found} == {"some.ndjson"}
    assert [one["where"] for one in found if one["line"] == 2] == ["Patient.birthDate"]
    assert "Geheim" not in text


def test_with_accept_warn_it_is_taken_and_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_lines(tmp_path / "some.ndjson", [patient_line(1, gender="F"), patient_line(2, name=[])])
    told = loaded(capsys, path, folder, "--invalid", "accept-warn")
    assert (told["created"], told["rejected"], told["warned"]) == (1, 1, 1)
    found = [json.loads(line) for line in Path(told["findings"]).read_text().splitlines()]
    assert [(one["line"], one.get("taken", False)) for one in found] == [(1, True), (2, False)]


def test_what_is_held_waits_for_a_person(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_lines(tmp_path / "some.ndjson", [patient_line(1, gender="F"), patient_line(2, gender="M")])
    assert loaded(capsys, path, folder, "--invalid", "hold")["held"] == 2
    assert main(["load", "held", str(folder), "--json"]) == 0
    items = json.loads(capsys.readouterr().out)["held"]
    assert [(one["line"], one["code"]) for one in items] == [(1, "code-not-in-value-set"), (2, "code-not-in-value-set")]
    assert main(["load", "again", str(folder), "--item", "1"]) == 1
    assert main(["load", "again", str(folder), "--item", "1", "--invalid", "accept-warn"]) == 0
    assert main(["load", "discard", "2", str(folder), "--why", "sent twice"]) == 0
    assert main(["load", "discard", "2", str(folder), "--why", "sent twice"]) == 1
    assert "load-held-unknown" in capsys.readouterr().err
    assert main(["load", "held", str(folder)]) == 0
    assert "nothing is held" in capsys.readouterr().out
    assert not get(folder, "Patient", "p1").deleted


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


PATIENT_URL = "urn:uuid:6f1c2b1e-0b7a-4c59-9f0e-2b0d1f5a9c11"


def posted(resource: dict[str, Any], url: str = "", **request: str) -> dict[str, Any]:
    full = {"fullUrl": url} if url else {}
    return full | {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"], **request}}


def no_id(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != "id"}


def test_a_transaction_is_taken_whole_and_its_references_kept(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    observation = no_id(observation_line(1, 1)) | {"subject": {"reference": PATIENT_URL}}
    good = bundle("transaction", posted(no_id(patient_line(1)), PATIENT_URL), posted(observation))
    bad = bundle("transaction", posted(no_id(patient_line(2))), posted(no_id(patient_line(3, gender="F"))))
    path = write_lines(tmp_path / "bundles.ndjson", [good, bad])
    told = loaded(capsys, path, folder)
    assert (told["created"], told["rejected"]) == (2, 1)
    assert loaded(capsys, path, folder)["unchanged"] == 2
    with open_folder(folder) as opened:
        (found,) = opened.repository.search(Query("Observation")).matches
    assert json.loads(found.body)["subject"] == {"reference": f"Patient/{PATIENT_URL[9:]}"}
    (line,) = [json.loads(one) for one in Path(told["findings"]).read_text().splitlines()]
    assert line["where"] == "Bundle.entry[1].resource.gender"


def test_entries_of_a_collection_stand_alone_and_deletions_delete(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collection = bundle("collection", {"resource": patient_line(1)}, {"resource": patient_line(2, gender="F")})
    (tmp_path / "some.json").write_text(json.dumps(collection))
    told = loaded(capsys, tmp_path / "some.json", folder)
    assert (told["created"], told["rejected"]) == (1, 1)
    gone = bundle("transaction", {"request": {"method": "DELETE", "url": "Patient/p1"}})
    assert loaded(capsys, write_lines(tmp_path / "deleted.ndjson", [gone]), folder)["deleted"] == 1
    assert get(folder, "Patient", "p1").deleted


def test_conditions_and_conditional_references_are_asked_of_the_store(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identifier = [{"system": "urn:oid:1.2.3", "value": "100"}]
    created = posted(no_id(patient_line(1, identifier=identifier)), ifNoneExist="identifier=urn:oid:1.2.3|100")
    by_number = no_id(observation_line(1, 1)) | {"subject": {"reference": "Patient?identifier=urn:oid:1.2.3|100"}}
    by_nobody = no_id(observation_line(2, 1)) | {"subject": {"reference": "Patient?identifier=urn:oid:1.2.3|999"}}
    lines = [bundle("transaction", one) for one in (created, created, posted(by_number), posted(by_nobody))]
    told = loaded(capsys, write_lines(tmp_path / "some.ndjson", lines), folder)
    assert (told["created"], told["unchanged"], told["rejected"]) == (2, 1, 1)
    (line,) = [json.loads(one) for one in Path(told["findings"]).read_text().splitlines()]
    assert (line["line"], line["code"]) == (4, "reference-unresolved")


def test_a_resource_that_stands_twice_ends_as_the_later_one(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [patient_line(1), patient_line(2), patient_line(1, gender="male")]
    told = loaded(capsys, write_lines(tmp_path / "some.ndjson", lines), folder)
    assert (told["created"], told["updated"]) == (2, 1)
    assert json.loads(get(folder, "Patient", "p1").body)["gender"] == "male"


@pytest.mark.parametrize("point", ["store.before_commit:3", "store.after_commit:3", "load.after_commit:2"])
def test_a_kill_neither_loses_nor_doubles_anything(folder: Path, tmp_path: Path, point: str) -> None:
    lines: list[Any] = list(MANY)
    for at in (10, 700, 1_100):
        lines[at] = patient_line(5_000 + at, gender="F")
    path = write_lines(tmp_path / "all.ndjson", lines)
    words = ("load", "fhir", str(path), str(folder), "--json")
    killed = hilum(*words, crash_at=point)
    assert killed.returncode == -9, killed.stderr
    done = hilum(*words)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["resumed"]
    assert (told["created"], told["unchanged"], told["rejected"]) == (1_197, 0, 3)
    state = state_of(folder)
    assert sum(state["counts"].values()) == 1_197
    assert (state["superseded"], len(state["jobs"])) == (0, 1)
    numbers = [json.loads(line)["line"] for line in Path(told["findings"]).read_text().splitlines()]
    assert numbers == [11, 701, 1_101]


def test_every_commit_of_a_load_is_audited(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded(capsys, write_lines(tmp_path / "all.ndjson", MANY), folder)
    with open_folder(folder) as opened:
        rows = [row for _, row in opened.journal.audits(limit=100) if row.action == "load"]
    assert [row.target for row in rows] == ["load/1", "load/1#0:500", "load/1#0:1000", "load/1#1:0", "load/1"]
    assert rows[1].detail.startswith("created=500 writes=-")


def test_other_processes_judge_in_the_same_order(folder: Path, tmp_path: Path) -> None:
    lines: list[Any] = [*MANY[:600], patient_line(1, gender="male"), patient_line(7_000, gender="F"), "{"]
    path = write_lines(tmp_path / "all.ndjson", lines)
    with open_folder(folder, create=True) as opened:
        result = asyncio.run(
            load(
                opened.store,
                opened.journal,
                opened.repository,
                find_files([path]),
                packages=folder,
                policy=Policy.REJECT,
                actor="test",
                processes=1,
            )
        )
    assert (result.counts.created, result.counts.updated, result.counts.rejected) == (600, 1, 2)
    assert result.findings is not None
    assert [json.loads(one)["line"] for one in result.findings.read_text().splitlines()] == [602, 603]
    assert json.loads(get(folder, "Patient", "p1").body)["gender"] == "male"


def test_small_loads_need_no_other_process() -> None:
    assert process_count(LARGE - 1) == 0
    assert process_count(LARGE) <= 4


def test_two_loads_of_the_same_files_do_not_run_at_once(folder: Path, tmp_path: Path) -> None:
    with open_folder(folder, create=True) as opened:
        one = opened.store.write_now(lambda c: begin(c, "digest", 1))
        other = opened.store.write_now(lambda c: begin(c, "digest", 1))
        opened.store.write_now(lambda c: move(c, one, Place(0, 5, 50), 0, Counts(created=5)))
        with pytest.raises(HilumError, match="load-taken"):
            opened.store.write_now(lambda c: move(c, other, Place(0, 5, 50), 0, Counts(created=5)))


def test_files_that_cannot_be_loaded_are_refused_with_a_code(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    for path, code in (
        ("none.ndjson", "load-file-missing"),
        ("a.txt", "load-kind-unknown"),
        ("empty", "load-nothing-found"),
    ):
        with pytest.raises(HilumError) as caught:
            find_files([tmp_path / path])
        assert caught.value.code == code


def test_a_damaged_file_stops_the_load_and_a_whole_one_mends_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "".join(json.dumps(one) + "\n" for one in MANY).encode()
    whole = gzip.compress(text)
    path = tmp_path / "all.ndjson.gz"
    path.write_bytes(whole[: len(whole) - 2_000])
    assert main(["load", "fhir", str(path), str(folder)]) == 1
    assert "load-file-unreadable" in capsys.readouterr().err
    assert sum(state_of(folder)["counts"].values()) < 1_200
    path.write_bytes(whole)
    loaded(capsys, path, folder)
    assert sum(state_of(folder)["counts"].values()) == 1_200


def test_nothing_to_load_is_a_usage_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "fhir", str(folder)]) == 2
    assert "name at least one file" in capsys.readouterr().err

"""Messages made to break receivers, and those of other projects, over real MLLP into a real `hilum run`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from e2e.harness import ADT, Answer, Hilum, Sender, hilum, open_folder, settled, write_folder
from hilum.app.commands.messages import state_of
from hilum.app.hl7_check import FieldCounts, MessageReport, check_bytes
from hilum.app.opening import Opened
from hilum.formats import hl7v2
from hilum.journal import Found, MessageQuery
from hilum.model import Disposition
from hilum.repository import Hold
from shared_data import SHARED, needs_shared

HOSTILE = SHARED / "hl7v2" / "hostile"
MANIFEST = json.loads((HOSTILE / "MANIFEST.json").read_text()) if HOSTILE.is_dir() else []
EACH_ALONE = ADT + "order: pass\n"  # they are about the same patient: none shall wait behind another
EXPECTED = {
    # what the manifest says: (the answer, dispositions at the door, the state in the end)
    "accept": ("AA", {"accept"}, "applied"),
    "accept+warning": ("AA", {"warning"}, "applied"),
    "quarantine": ("AA", {"accept", "warning", "hold"}, "held"),
    "reject AE": ("AE", {"AE"}, "rejected"),
    "reject AR": ("AR", {"AR"}, "rejected"),
}


class Fate(Struct, frozen=True):
    """What became of one file."""

    answer: Answer
    found: Found
    body: bytes
    state: str
    hold: Hold | None


@pytest.fixture(scope="module")
def fates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Fate]:
    """All hostile messages sent, each over its own connection, then looked up."""
    folder = write_folder(tmp_path_factory.mktemp("hostile") / "folder", {"adt": EACH_ALONE})
    with hilum(folder) as running:
        answers = [send_alone(running, (HOSTILE / one["file"]).read_bytes()) for one in MANIFEST]
        ledger = settled(folder)
        assert (ledger.received, ledger.duplicates, ledger.waiting) == (len(MANIFEST), 0, 0)
        with open_folder(folder) as opened:
            messages = opened.journal.messages(MessageQuery(limit=1000)).messages
            positions = opened.repository.positions()
            fates = {}
            for one, answer, found in zip(MANIFEST, answers, reversed(messages), strict=True):
                state = state_of(opened, found, positions)
                hold = opened.repository.hold(found.seq) if state == "held" else None
                fates[one["file"]] = Fate(answer, found, opened.journal.get(found.seq).body, state, hold)
            items = opened.repository.exceptions(code="control-id-reused")
            assert [item.group for item in items] == ["control-id-reused|HIS|GENHOSP"]
            assert items[0].count > 10  # most of them are C0001
        assert running.stop() == 0
        assert "Testcase" not in running.log
    return fates


def send_alone(running: Hilum, body: bytes) -> Answer:
    with Sender(running.port) as sender:
        return sender.send(body)


@needs_shared
@pytest.mark.parametrize("one", MANIFEST, ids=lambda one: one["file"])
def test_a_hostile_message_has_the_stated_fate(fates: dict[str, Fate], one: dict[str, str]) -> None:
    fate = fates[one["file"]]
    code, dispositions, state = EXPECTED[one["expect"]]
    assert fate.answer.code == code
    assert fate.found.envelope.disposition.value in dispositions
    assert fate.state == state
    assert fate.body == (HOSTILE / one["file"]).read_bytes()
    assert fate.answer.control_id in (fate.found.envelope.control_id, "C0112")  # that of a batch is its header's
    if state == "held":
        assert fate.hold is not None
        assert fate.hold.code
    if one["expect"] != "accept":
        assert fate.found.envelope.codes or fate.hold


@needs_shared
def test_check_on_files_foretells_what_the_run_does(fates: dict[str, Fate]) -> None:
    for name, fate in fates.items():
        reports = list(check_bytes(name, fate.body))
        foretold = reports[0].disposition
        assert state_foretold(foretold) == fate.state, name
        if fate.state == "rejected":
            assert foretold.value == fate.answer.code


def state_foretold(disposition: Disposition) -> str:
    if disposition.is_refusal:
        return "rejected"
    return "held" if disposition is Disposition.HOLD else "applied"


# --- the messages of other projects ----------------------------------------------------------------------------------


def sample_files() -> list[Path]:
    return [path for path in sorted((SHARED / "hl7v2").rglob("*.hl7")) if path.parent != HOSTILE]


@needs_shared
def test_some_messages_of_other_projects_are_all_accounted_for(tmp_path: Path) -> None:
    send_samples(tmp_path, sample_files()[::12], at_least=100)


@needs_shared
@pytest.mark.soak
def test_all_messages_of_other_projects_are_all_accounted_for(tmp_path: Path) -> None:
    send_samples(tmp_path, sample_files(), at_least=1600)


def send_samples(tmp_path: Path, files: list[Path], at_least: int) -> None:
    """Every frame is answered, has the fate that `hl7 check` foretells, and its fields are all accounted for."""
    folder = write_folder(tmp_path / "folder", {"adt": EACH_ALONE})
    bodies = list(dict.fromkeys(path.read_bytes().removesuffix(b"\x1c\r") for path in files))
    with hilum(folder) as running:
        with Sender(running.port) as sender:
            answers = [sender.send(body) for body in bodies]
        assert {answer.code for answer in answers} <= {"AA", "AE", "AR"}
        ledger = settled(folder)
        assert ledger.waiting == 0
        assert ledger.received >= at_least
        assert running.stop() == 0
    with open_folder(folder) as opened:
        found = list(all_messages(opened))
        positions = opened.repository.positions()
        stored = [(opened.journal.get(one.seq).body, state_of(opened, one, positions)) for one in found]
    foretold: dict[bytes, str] = {}
    fields: dict[bytes, FieldCounts] = {}
    for body in bodies:
        for part, report in zip(parts(body), foretelling(body), strict=True):
            assert report.roundtrip
            foretold[part], fields[part] = state_foretold(report.disposition), report.fields
    assert dict(stored) == foretold
    applied = [fields[body] for body, state in stored if state == "applied"]
    assert ledger.fields.valued == sum(one.valued for one in applied)
    assert ledger.fields.mapped == sum(one.mapped for one in applied)


def parts(body: bytes) -> tuple[bytes, ...]:
    """What the journal gets of one frame: the messages of a batch, or a refused batch as it is."""
    if not hl7v2.is_batch(body):
        return (body,)
    batch = hl7v2.split_batch(body)
    return (body,) if batch.disposition.is_refusal else batch.messages


def foretelling(body: bytes) -> list[MessageReport]:
    """The reports of `hl7 check` for each of these."""
    reports = list(check_bytes("", body))
    refused = hl7v2.is_batch(body) and hl7v2.split_batch(body).disposition.is_refusal
    return reports[:1] if refused else [report for report in reports if report.index]


def all_messages(opened: Opened) -> Iterator[Found]:
    after = ""
    while True:
        page = opened.journal.messages(MessageQuery(limit=500, after=after))
        yield from page.messages
        after = page.next
        if not after:
            return

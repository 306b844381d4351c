"""Both ways of turning messages give the same answers; a process that ends or hangs costs one message, not the feed."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from hilum.errors import ConfigError, HilumError
from hilum.mapping import load_base, load_workbook
from hilum.model import Effects, Envelope, Held, Message
from hilum.translator import (
    Format,
    InProcess,
    Processes,
    Recipe,
    Rule,
    Turner,
    child,
    hold,
    make_route,
    processes,
    refs_of,
    translator_of,
)
from hilum.translator.wire import frame

pytestmark = pytest.mark.anyio

RULES = (
    Rule("portal", Format.FHIR, 'MSH-9.2 = "A08"', frozenset({"Patient"})),
    Rule("partner", Format.HL7V2),
)
PARAMS: dict[str, str | int | float | bool] = {"unknown_namespace": "local", "zone": "America/New_York"}
ENDLESS = (  # an anchored nest of repetitions: a long name without an end mark takes years
    "row_id,applies,anchor,source,type,when,target,transform,map,missing,unmapped,repeats,owner,approver,status,origin,"
    "sample,expect,recon,phi,note\r\n"
    'slow,ADT^A08,PID,PID-5.2,ST,"matches(PID-5.1, ""(x+x+)+y"")",Patient.language,text,,skip,,first,reg,,draft'
    ",,,,,,\r\n"
)


def recipe(folder: Path | None = None) -> Recipe:
    book = load_base() if folder is None else load_workbook(folder)
    return Recipe(book, PARAMS, RULES, {"adt": "registration"})


def message(seq: int, *, kind: str = "ADT^A08", family: str = "Meyer", body: bytes = b"", reused: int = 0) -> Message:
    body = (
        body
        or (
            f"MSH|^~\\&|EHR|HOSP|HILUM|X|20260301120000+0000||{kind}|M{seq}|P|2.5.1\r"
            f"EVN|A08|20260301120000+0000\rPID|1||{100 + seq}^^^HOSP^MR||{family}^Ann||19700101|F\r"
        ).encode()
    )
    envelope = Envelope("adt", 1_772_366_400_000_000, "EHR|HOSP", f"M{seq}", kind, f"{100 + seq}|HOSP")
    return Message(seq, seq % 8, envelope, body, reused)


MESSAGES = [
    message(1),
    message(2, family="O\\T\\Neil"),
    message(3, kind="ADT^Z99"),
    message(4, body=b"no message at all"),
    message(5, reused=2),
]


@pytest.fixture(params=["in process", "processes"])
async def turner(request: pytest.FixtureRequest) -> AsyncIterator[Turner]:
    made: Turner = InProcess(translator_of(recipe())) if request.param == "in process" else Processes(recipe(), 2)
    await made.start()
    yield made
    await made.close()


async def test_every_message_gets_its_answer_in_order(turner: Turner) -> None:
    answers = await turner.turn(1, MESSAGES)
    assert [one.seq for one in answers] == [1, 2, 3, 4, 5]
    assert [type(one) for one in answers] == [Effects, Effects, Held, Held, Effects]
    assert await turner.turn(1, []) == []


async def test_the_answers_are_what_the_translator_gives(turner: Turner) -> None:
    translator = translator_of(recipe())
    expected = [translator.turn(one) for one in MESSAGES]
    assert await turner.turn(0, MESSAGES) == expected
    first = expected[0]
    assert isinstance(first, Effects)
    assert {draft.type for draft in first.drafts} >= {"Patient", "Provenance"}
    portal, partner = first.outgoing
    assert [type_ for type_, _ in refs_of(portal.payload)] == ["Patient"]
    assert (portal.destination, partner.destination) == ("portal", "partner")


async def test_what_cannot_be_turned_is_held_with_its_owner_and_keys(turner: Turner) -> None:
    (held,) = await turner.turn(0, [MESSAGES[2]])
    assert isinstance(held, Held)
    assert (held.code, held.owner, held.key) == ("no-rows", "registration", "103|HOSP")


async def test_a_reused_control_id_is_reported(turner: Turner) -> None:
    (work,) = await turner.turn(0, [MESSAGES[4]])
    assert isinstance(work, Effects)
    assert [one.owner for one in work.exceptions if one.code == "control-id-reused"] == ["registration"]


async def test_a_field_that_no_row_reads_is_for_the_owner_of_its_source(turner: Turner) -> None:
    strange = structs.replace(MESSAGES[0], body=MESSAGES[0].body + b"ZZZ|1\r")
    (work,) = await turner.turn(0, [strange])
    assert isinstance(work, Effects)
    assert [(one.location, one.owner) for one in work.exceptions] == [("ZZZ-1", "registration")]


async def test_many_lanes_can_ask_at_once(turner: Turner) -> None:
    answers = await asyncio.gather(*[turner.turn(lane, [message(lane + 1)]) for lane in range(8)])
    assert [one.seq for (one,) in answers] == list(range(1, 9))


async def test_large_messages_go_apart(turner: Turner) -> None:
    large = [message(seq, family="x" * 700_000) for seq in (1, 2, 3)]
    assert [one.seq for one in await turner.turn(0, large)] == [1, 2, 3]


@pytest.fixture
async def one_process() -> AsyncIterator[Processes]:
    made = Processes(recipe(), 1)
    await made.start()
    yield made
    await made.close()


def pid_of(made: Processes) -> int:
    process = made._lines[0]._process
    assert process is not None
    return process.pid


async def test_a_process_that_was_killed_is_replaced_and_nothing_is_held(one_process: Processes) -> None:
    await one_process.turn(0, MESSAGES[:1])
    os.kill(pid_of(one_process), signal.SIGKILL)
    answers = await one_process.turn(0, MESSAGES[:2])
    assert [type(one) for one in answers] == [Effects, Effects]


def test_a_process_whose_engine_was_killed_ends_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()

    def die_after_the_recipe() -> None:
        with ours:
            ours.sendall(frame(pickle.dumps(recipe())))

    engine = threading.Thread(target=die_after_the_recipe)
    engine.start()
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["child", str(theirs.detach())])
    child.main()
    engine.join()


@pytest.fixture
async def endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Processes]:
    (tmp_path / "workbook").mkdir()
    (tmp_path / "workbook" / "rows.csv").write_text(ENDLESS, newline="")
    made = Processes(recipe(tmp_path), 1)
    await made.start()
    await made.turn(0, MESSAGES[:1])
    monkeypatch.setattr(processes, "ANSWER_WITHIN", 0.5)
    yield made
    await made.close()


async def test_a_row_that_never_ends_holds_its_message_and_lets_the_others_through(endless: Processes) -> None:
    some = [message(1), message(2, family="x" * 60), message(3)]
    first, slow, last = await endless.turn(0, some)
    assert isinstance(first, Effects)
    assert isinstance(last, Effects)
    assert isinstance(slow, Held)
    assert (slow.code, slow.owner) == ("mapping-timeout", "registration")


async def test_a_message_that_ends_the_process_is_held(endless: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "ANSWER_WITHIN", 60.0)
    asked = asyncio.create_task(endless.turn(0, [message(2, family="x" * 60)]))
    while not endless._lines[0]._asking.locked():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    os.kill(pid_of(endless), signal.SIGKILL)
    (held,) = await asked
    assert isinstance(held, Held)
    assert held.code == "mapping-crashed"
    assert isinstance((await endless.turn(0, [message(1)]))[0], Effects)


async def test_a_question_that_is_given_up_leaves_no_answer_behind_for_the_next(endless: Processes) -> None:
    asked = asyncio.create_task(endless.turn(0, [message(2, family="x" * 60)]))
    await asyncio.sleep(0.1)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    (work,) = await endless.turn(0, [message(7)])
    assert (type(work), work.seq) == (Effects, 7)


async def test_a_process_that_does_not_start_is_told_and_nothing_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.sys, "executable", "/bin/false")
    made = Processes(recipe(), 1)
    await made.start()
    with pytest.raises(HilumError) as caught:
        await made.turn(0, MESSAGES)
    assert caught.value.code == "translator-unavailable"
    await made.close()


async def test_the_process_ends_with_the_engine_that_started_it(one_process: Processes) -> None:
    await one_process.turn(0, MESSAGES[:1])
    ended = os.pidfd_open(pid_of(one_process))
    writer = one_process._lines[0]._writer
    assert writer is not None
    writer.close()
    gone = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_reader(ended, lambda: gone.done() or gone.set_result(None))
    await asyncio.wait_for(gone, 10)
    asyncio.get_running_loop().remove_reader(ended)
    os.close(ended)


def test_a_condition_that_is_none_is_told_when_the_recipe_is_made() -> None:
    with pytest.raises(ConfigError):
        make_route([Rule("portal", Format.FHIR, "MSH-9.2 = ")])


def test_a_merge_that_is_held_keeps_both_of_its_keys() -> None:
    envelope = Envelope("adt", 1, key="a", other_key="b")
    held = hold(Message(1, 0, envelope, b""), "code", "text")
    assert (held.key, held.other_key) == ("a", "b")


async def test_another_recipe_is_used_from_the_next_question_on(one_process: Processes, tmp_path: Path) -> None:
    (tmp_path / "workbook").mkdir()
    (tmp_path / "workbook" / "ignores.csv").write_text("field,applies,sender,reason,owner\nZXX-*,*,,ours,reg\n")
    before = (await one_process.turn(0, [message(3, kind="ADT^Z99")]))[0]
    asked = [asyncio.create_task(one_process.turn(lane, MESSAGES)) for lane in range(6)]
    changed = Recipe(load_workbook(tmp_path), PARAMS, (), {"adt": "somebody else"})
    await one_process.use(changed)
    assert [len(answers) for answers in await asyncio.gather(*asked)] == [5] * 6
    after = (await one_process.turn(0, [message(3, kind="ADT^Z99")]))[0]
    assert isinstance(before, Held)
    assert isinstance(after, Held)
    assert (before.owner, after.owner) == ("registration", "somebody else")


async def test_a_recipe_that_no_process_can_use_leaves_the_one_before(
    one_process: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one_process.turn(0, MESSAGES[:1])
    with monkeypatch.context() as patched:
        patched.setattr(processes.sys, "executable", "/bin/false")
        with pytest.raises(HilumError):
            await one_process.use(recipe())
    assert isinstance((await one_process.turn(0, MESSAGES[:1]))[0], Effects)

"""What is stored is the same whether drafts were made ready by a translator or are made ready when they are saved."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec import Raw, structs

from drafts import draft
from hilum.engine.partition import partition_of
from hilum.formats import hl7v2
from hilum.mapping import load_base
from hilum.model import Draft, Effects, Held, Merge, Message
from hilum.repository import SCHEMA, Change, SqliteRepository, Verb
from hilum.simulator import Hospital
from hilum.store import Store
from hilum.translator import Recipe, translator_of
from hilum.translator.answers import AnswersFrom, AnswersTo
from hilum.translator.readying import Readying

pytestmark = pytest.mark.anyio

Work = Sequence[Effects | Held]
BATCH = 8
CODES = "http://codes.example"


def as_mapped(work: Work) -> Work:
    """Nothing is ready: the repository takes facts and texts of everything itself."""
    return [
        one
        if isinstance(one, Held)
        else structs.replace(one, drafts=[structs.replace(d, ready=None) for d in one.drafts])
        for one in work
    ]


def from_a_process() -> Callable[[Work], Work]:
    """As they come from a translator in another process."""
    writer, reader = AnswersTo(), AnswersFrom()
    return lambda work: reader.read(writer.write(work))


async def tables(
    folder: Path, batches: Sequence[Work], way: Callable[[Work], Work], changes: dict[int, Change]
) -> dict[str, list[Any]]:
    """Every row of every table after these batches; a program makes `changes` after those of these numbers."""
    ticking = iter(range(1_800_000_000_000_000, 1_900_000_000_000_000, 5_000))
    with Store.open(folder, key=None, schemas=[SCHEMA]) as store:
        repository = SqliteRepository(store, clock=lambda: next(ticking))
        for number, work in enumerate(batches):
            await repository.apply(way(work), {0: work[-1].seq})
            if number in changes:
                await repository.write([changes[number]])
        return store.read(_rows)


def _rows(connection: apsw.Connection) -> dict[str, list[Any]]:
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    names.remove("store_secret")
    return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names}


async def compare(folder: Path, work: Work, changes: dict[int, Change]) -> dict[str, list[Any]]:
    """Fails where the two ways differ; returns what is stored."""
    batches = [work[start : start + BATCH] for start in range(0, len(work), BATCH)]
    one = await tables(folder / "one.db", batches, as_mapped, changes)
    other = await tables(folder / "other.db", batches, from_a_process(), changes)
    assert one.keys() == other.keys()
    for name in one:
        assert one[name] == other[name], name
    return one


def turned(count: int) -> Work:
    """What a simulated hospital says: late, twice, corrected, deleted, merged in chains, and some of it held."""
    translator = translator_of(Recipe(load_base(), {"unknown_namespace": "local", "zone": "America/New_York"}))
    rules = {"adt": hl7v2.Rules(), "lab": hl7v2.Rules(default_charset="iso-8859-1"), "sched": hl7v2.Rules()}
    found = []
    for seq, said in enumerate(islice(Hospital(5, broken=0).stream(), count), start=1):
        envelope = hl7v2.admit(
            said.body, rules[said.source], source=said.source, received_at=1_800_000_000_000_000 + seq
        ).envelope
        found.append(translator.turn(Message(seq, partition_of(envelope.key), envelope, said.body)))
    return found


async def test_a_hospital_is_stored_the_same_both_ways(tmp_path: Path) -> None:
    work = turned(240)
    drafts = [one for effects in work if isinstance(effects, Effects) for one in effects.drafts]
    patients = [one.id for one in drafts if one.type == "Patient"]
    changes = {
        4: Change(Verb.UPDATE, "Patient", patients[0], {"birthDate": Raw(b'"1980-02-03"')}),
        9: Change(Verb.DELETE, "Patient", patients[1]),
    }
    stored = await compare(tmp_path, work, changes)
    assert sum(one.ready is not None and one.ready.number > 0 for one in drafts) > 50
    assert len({one.ready.number for one in drafts if one.ready is not None}) < len(drafts)
    least = {"resource": 500, "resource_history": 50, "fact_token": 500, "fact_reference": 500, "fact_label": 300}
    assert {name: len(stored[name]) >= count for name, count in least.items()} == dict.fromkeys(least, True)
    assert len(stored["merge_op"]) > 1
    assert len(stored["merge_link"]) > 1


def made_up(dice: random.Random) -> Draft:
    """A draft with what the base workbook seldom makes, over so few resources that they meet again and again."""
    type_ = dice.choice(["Patient", "Observation", "Encounter", "Location", "Basic"])
    id_ = f"{type_[0].lower()}{dice.randrange(4)}"
    said: dict[str, Any] = {
        "status": dice.choice(["final", "amended"]),
        "code": {"coding": [{"system": CODES, "code": dice.choice("ab")}], "text": "Ä\u0001"},
        "subject": {"reference": f"Patient/p{dice.randrange(4)}"},
        "telecom": [{"value": dice.choice(["1", "2"])}, {"value": "3"}],
        "meta": {"tag": [{"system": CODES, "code": dice.choice("cd")}], "versionId": "7"},
        "effectiveDateTime": dice.choice(["2026-01-02", "2026-03-04T05:06:07Z", "no date"]),
        "period": {"start": "2026-01-02", "end": dice.choice(["2026-01-03", "2026-01-04"])},
        "valueQuantity": {"value": dice.choice([1, 2.5]), "unit": "g"},
        "identifier": "no identifier",
    }
    names = dice.sample(sorted(said), dice.randrange(7))
    cleared = tuple(name for name in ("status", "telecom#PID-14", "period.end") if dice.random() < 0.1)
    defaults = {name: said[name] for name in dice.sample(sorted(said), dice.randrange(3)) if dice.random() < 0.5}
    slots = {"telecom": (("PID-13", 1), ("PID-14", 1))} if "telecom" in names and dice.random() < 0.7 else {}
    return draft(type_, id_, cleared=cleared, defaults=defaults, slots=slots, **{name: said[name] for name in names})


@pytest.mark.parametrize("seed", range(4))
async def test_made_up_messages_are_stored_the_same_both_ways(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    readying = Readying()
    work = []
    for seq in range(1, 161):
        drafts = [readying.of(made_up(dice)) for _ in range(dice.randrange(1, 4))]
        one, other = (f"p{dice.randrange(4)}" for _ in range(2))
        merges = (Merge("Patient", one, other, undo=dice.random() < 0.4),) if dice.random() < 0.1 else ()
        at = dice.choice([seq, seq, max(1, seq - dice.randrange(20))])
        work.append(Effects(seq, 0, at, drafts=drafts, merges=merges))
    changes = {
        number: Change(
            dice.choice([Verb.UPDATE, Verb.DELETE]), "Observation", f"o{number % 4}", {"status": Raw(b'"x"')}
        )
        for number in range(3, 20, 6)
    }
    stored = await compare(tmp_path, work, changes)
    assert len(stored["resource_history"]) > 50


def test_a_draft_that_is_said_again_is_one_value_and_differences_are_not_forgotten() -> None:
    readying = Readying()
    first, second, third = (readying.of(draft("Location", "w", name="4W", status="active")) for _ in range(3))
    assert (first.ready.number, second.ready.number) == (0, 1)  # type: ignore[union-attr]
    assert third is second
    other = readying.of(draft("Location", "w", status="active", name="4W"))
    assert other is not second  # the order of elements is stored
    assert readying.of(draft("Location", "w", name="5W", status="active")).elements["name"] == Raw(b'"5W"')
    assert readying.of(draft("Location", "w", name="5W", status="active", cleared=("alias",))).cleared == ("alias",)

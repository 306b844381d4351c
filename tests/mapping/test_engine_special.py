"""Code made for the fields that are there does what the general code does, whatever is there."""

from pathlib import Path

import engine_kit as kit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum import mapping
from hilum.formats import hl7v2
from hilum.mapping import state

BASE = mapping.compile_workbook(mapping.load_base())
GENERAL = mapping.compile_workbook(mapping.load_base())
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.hl7"))
CELLS = st.sampled_from(
    [
        "",
        "",
        '""',
        "1",
        "Y",
        "D",
        "20240102",
        "20240102030405+0100",
        "a^b^c^d",
        "1^^^HOSP^MR",
        "x~y",
        "^^",
        "F",
        "NM",
        "12.5",
    ]
)


def both(record: hl7v2.Hl7Message) -> tuple[mapping.Mapped, mapping.Mapped]:
    context = kit.context(record)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "OFTEN", 10**9)
        general = GENERAL.run(record, context)
        patch.setattr(state, "OFTEN", 1)
        special = BASE.run(record, context)
    return general, special


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_whole_messages_map_the_same(path: Path) -> None:
    general, special = both(hl7v2.parse(path.read_bytes().replace(b"\n", b"\r")))
    assert general == special
    assert mapping.render(general) == mapping.render(special)


def mutated(lines: list[str], changes: list[tuple[int, int, str]]) -> list[str]:
    """The segments with some fields changed; MSH and PID-3 stay, so that it is still a message of somebody."""
    cells = [line.split("|") for line in lines]
    for row, column, text in changes:
        fields = cells[1 + row % (len(cells) - 1)]
        number = 1 + column % 52
        if fields[0] == "PID" and number == 3:
            continue
        fields.extend([""] * (number + 1 - len(fields)))
        fields[number] = text
    return ["|".join(fields) for fields in cells]


CHANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), CELLS), max_size=12)


@settings(max_examples=60)
@given(st.sampled_from(GOLDEN), CHANGES, st.lists(st.integers(1, 30), max_size=3))
def test_messages_with_any_fields_changed_and_segments_gone_map_the_same(
    path: Path, changes: list[tuple[int, int, str]], gone: list[int]
) -> None:
    lines = path.read_text("utf-8").replace("\n", "\r").strip("\r").split("\r")
    lines = mutated([line for line in lines if line], changes)
    lines = [line for number, line in enumerate(lines) if number == 0 or number not in gone]
    general, special = both(hl7v2.parse("\r".join(lines).encode()))
    assert general == special


def test_a_pattern_that_comes_often_gets_code_of_its_own() -> None:
    compiled = kit.plan(
        "n,,PID,PID-5,XPN,,Patient.name[+],XPN,,,,,reg,,", "s,,PID,PID-8,IS,,Patient.gender,code,Sex,,,,,,"
    )
    for _ in range(state.OFTEN + 1):
        mapped = kit.run(compiled, "PID|||7^^^HOSP||A^B")
    (only,) = (one for key, one in compiled._states.items() if key[0] == "ADT^A01")
    ((place, _), (unit, _)) = next(iter(only.special.items()))
    assert place.segment == "PID"
    assert [line.rule.row.row_id for line in unit.lines] == ["pat-key", "n"]
    assert kit.one(mapped)["name"] == [{"family": "A", "given": ["B"]}]

"""Resources bent at random: a message is made or held, every element has a fate, and what is sent parses."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest
from outward_kit import read, resources, send, written

GOLDEN = Path(__file__).parent / "golden"
CASES = {"adt_a01": "ADT^A08", "oru_r01_panel": "ORU^R01", "siu_s12": "SIU^S12", "orm_o01": "ORM^O01"}
VALUES = ("", "x|y^z~&\\", "2026", "2026-01-01", "urn:uuid:1", "#c", {}, [], None, True, 0, -1.5, ["x"], {"a": 1})


def bend(value: Any, dice: random.Random) -> None:
    """Members taken away and replaced, items doubled and taken away."""
    if isinstance(value, dict):
        for name in [name for name in value if name not in ("resourceType", "id")]:
            chance = dice.random()
            if chance < 0.03:
                del value[name]
            elif chance < 0.06:
                value[name] = copy.deepcopy(dice.choice(VALUES))
            else:
                bend(value[name], dice)
    elif isinstance(value, list):
        for inner in value:
            bend(inner, dice)
        if value and dice.random() < 0.05:
            value.append(copy.deepcopy(value[0]))
        if value and dice.random() < 0.03:
            value.pop()


@pytest.mark.parametrize("name", CASES)
def test_bent_resources_are_sent_or_held(name: str) -> None:
    dice = random.Random(f"{name} 5")
    mapped, _ = read((GOLDEN / f"{name}.hl7").read_bytes())
    whole = resources(mapped)
    sent = 0
    for _ in range(40):
        given = copy.deepcopy(whole)
        for body in (one for found in given.values() for one in found):
            bend(body, dice)
        found = send(CASES[name], given)  # asserts that the accounting adds up
        if found.held is None:
            written(found)
            sent += 1
    assert sent > 5

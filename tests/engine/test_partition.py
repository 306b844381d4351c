"""Keys have a home; merges wait for both of theirs, and never for each other."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.engine.partition import PARTITIONS, Progress, partition_of, partitions_of
from hilum.model import Envelope

KEY_A, KEY_B = "100|HOSP", "103|HOSP"


@given(st.text())
def test_a_key_always_has_the_same_home(key: str) -> None:
    assert partition_of(key) == partition_of(key)
    assert 0 <= partition_of(key) < PARTITIONS


def test_homes_do_not_change_between_releases() -> None:
    assert [partition_of(f"{n}|HOSP") for n in range(8)] == [1, 6, 3, 0, 5, 0, 1, 6]


def test_keys_spread_over_all_partitions() -> None:
    assert {partition_of(f"{n}|HOSP") for n in range(200)} == set(range(PARTITIONS))


def test_a_merge_names_both_partitions_home_first() -> None:
    other = next(key for n in range(99) if partition_of(key := f"{n}|X") != partition_of(KEY_A))
    assert partitions_of(Envelope("adt", 0, key=KEY_A, other_key=other)) == (partition_of(KEY_A), partition_of(other))


def test_a_merge_within_one_partition_needs_no_barrier() -> None:
    assert len(partitions_of(Envelope("adt", 0, key=KEY_A, other_key=KEY_A))) == 1


def test_messages_without_a_key_share_the_lane_of_their_source() -> None:
    assert partitions_of(Envelope("adt", 0)) == partitions_of(Envelope("adt", 0, control_id="other"))


@pytest.mark.anyio
async def test_two_crossing_merges_both_come_through() -> None:
    """m1 at seq 10 lives in 0 and marks 1; m2 at seq 11 lives in 1 and marks 0."""
    progress = Progress({})
    done: list[str] = []

    async def zero() -> None:
        await progress.until_reached(1, 10)
        done.append("m1")
        await progress.commit(0, 10)
        await progress.reach(0, 11)
        await progress.until_committed(1, 11)
        await progress.commit(0, 11)

    async def one() -> None:
        await progress.reach(1, 10)
        await progress.until_committed(0, 10)
        await progress.commit(1, 10)
        await progress.until_reached(0, 11)
        done.append("m2")
        await progress.commit(1, 11)

    await asyncio.wait_for(asyncio.gather(one(), zero()), 5)
    assert done == ["m1", "m2"]
    assert progress.committed[:2] == [11, 11]

"""Audit rows of many accesses at once: committed together, and nobody answered before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from hilum.app.api.auditor import Auditor
from hilum.app.api.outcomes import Problem
from hilum.errors import StoreFull
from hilum.model import AuditEvent

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Gate:
    """A journal that commits when it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.may_commit = asyncio.Event()
        self.failure: Exception | None = None

    async def audit(self, events: Sequence[AuditEvent]) -> None:
        self.groups.append([event.target for event in events])
        await self.may_commit.wait()
        if self.failure is not None:
            raise self.failure


def start(auditor: Auditor, *targets: str) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(auditor.record("portal", "read", target)) for target in targets]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_rows_that_come_while_others_are_committed_share_the_next_commit() -> None:
    journal = Gate()
    auditor = Auditor(journal)
    first = start(auditor, "Patient/a", "Patient/b")
    await settle()
    later = start(auditor, "Patient/c", "Patient/d", "Patient/e")
    await settle()
    assert journal.groups == [["Patient/a", "Patient/b"]]
    assert not any(task.done() for task in [*first, *later])
    journal.may_commit.set()
    await asyncio.gather(*first, *later)
    assert journal.groups[1:] == [["Patient/c", "Patient/d", "Patient/e"]]


async def test_a_failure_is_told_to_everyone_of_its_group_and_to_no_other() -> None:
    journal = Gate()
    journal.failure = StoreFull("full")
    auditor = Auditor(journal)
    first = start(auditor, "Patient/a", "Patient/b")
    await settle()
    journal.may_commit.set()
    for task in first:
        with pytest.raises(Problem) as told:
            await task
        assert told.value.code == "audit-unavailable"
    journal.failure = None
    await auditor.record("portal", "read", "Patient/c")
    assert journal.groups == [["Patient/a", "Patient/b"], ["Patient/c"]]


async def test_whoever_gives_up_waiting_takes_nobody_along_and_is_still_recorded() -> None:
    journal = Gate()
    auditor = Auditor(journal)
    gone, stays = start(auditor, "Patient/a", "Patient/b")
    await settle()
    gone.cancel()
    journal.may_commit.set()
    await stays
    assert gone.cancelled()
    assert journal.groups == [["Patient/a", "Patient/b"]]

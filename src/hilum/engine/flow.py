"""The journey of a message. This is the only module that calls its steps in order.

receive -> append -> answer          `receive`
parse -> map -> route                `turn`     (pure, and done by `hilum.translator`)
save, with the reader's position     `save`
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from hilum.engine.admission import Admitted, admit
from hilum.engine.answers import Answers
from hilum.engine.partition import PARTITIONS
from hilum.engine.record_admission import complaint_of
from hilum.engine.settings import SourceSettings
from hilum.errors import Outcome, StoreError
from hilum.formats import hl7v2
from hilum.formats.records import is_record_kind
from hilum.journal import Incoming, Journal
from hilum.model import Appended, Arrival, Disposition, Effects, Finding, Held, Message
from hilum.repository import Repository
from hilum.store import fault
from hilum.translator import Turner, hold

__all__ = ["Flow"]

log = structlog.get_logger(__name__)

LARGE = 1024 * 1024  # bytes
ANSWER_WITHIN = 1.8  # seconds; a sender that hears nothing for two seconds starts to guess

fault.declare("engine.before_append", "arrivals were gated, nothing is stored")
fault.declare("engine.before_answer", "arrivals are stored, nobody was answered")
fault.declare("engine.before_apply", "effects were computed, nothing is stored")
fault.declare("engine.after_apply", "effects are stored, promises to senders are not kept yet")


class Flow:
    """The steps, and the values they need: nothing here remembers a message."""

    def __init__(
        self,
        journal: Journal,
        repository: Repository,
        turner: Turner,
        sources: Mapping[str, SourceSettings],
        answers: Answers,
        something_to_read: Callable[[Iterable[int]], None],
        something_to_send: Callable[[], None],
    ) -> None:
        """The callbacks wake those who would look again only later: readers of these partitions, and senders."""
        self._something_to_read, self._something_to_send = something_to_read, something_to_send
        self._journal, self._repository = journal, repository
        self._turner, self._sources, self._answers = turner, sources, answers

    async def receive(self, arrivals: Sequence[Arrival]) -> list[int]:
        """Gate, append and answer. Nobody hears a yes before the journal's commit, or nothing for two seconds.

        Returns the seqs of copies whose senders wait for more than the journal.
        """
        admitted = [await self._gate(arrival) for arrival in arrivals]
        fault.reach("engine.before_append")
        try:
            rows = iter(await self._append([item.incoming for one in admitted for item in one.items], arrivals))
        except StoreError as error:
            for one in admitted:
                self._answers.failed(one, error)
            return []
        except Exception as error:  # noqa: BLE001 - one message that cannot be stored is refused, the feed goes on
            if len(arrivals) > 1:
                return [seq for arrival in arrivals for seq in await self.receive([arrival])]
            log.warning("an arrival cannot be stored", source=arrivals[0].source, error=type(error).__name__)
            self._answers.failed(admitted[0], StoreError("this cannot be stored", code="append-failed"))
            return []
        self._something_to_read({n for one in admitted for item in one.items for n in item.incoming.partitions})
        fault.reach("engine.before_answer")
        return [seq for one in admitted for seq in self._answers.stored(one, [next(rows) for _ in one.items])]

    async def _gate(self, arrival: Arrival) -> Admitted:
        """A large file takes seconds: in a thread, so that other senders are answered meanwhile."""
        source = self._sources[arrival.source]
        if len(arrival.body) < (LARGE if source.records is None else LARGE // 16):  # records are many in few bytes
            return admit(arrival, source)
        return await asyncio.to_thread(admit, arrival, source)

    async def _append(self, incoming: Sequence[Incoming], arrivals: Sequence[Arrival]) -> list[Appended]:
        """Raises StoreError `store-slow` while the commit is still going on, when somebody waits for an answer."""
        appending = asyncio.ensure_future(self._journal.append(incoming))
        waited_for = [one.received_at for one in arrivals if self._sources[one.source].is_waited_for]
        if not waited_for:
            return await appending
        patience = max(0.05, ANSWER_WITHIN - (time.time() - min(waited_for) / 1e6))
        try:
            return await asyncio.wait_for(asyncio.shield(appending), patience)
        except TimeoutError:
            appending.add_done_callback(self._stored_late)
            text = "the journal did not answer in time"
            raise StoreError(text, code="store-slow", outcome=Outcome.RETRY) from None

    def _stored_late(self, appending: asyncio.Future[list[Appended]]) -> None:
        """The journal took after all what its sender was told to send again: it is applied now, not with the copy."""
        if not appending.cancelled() and appending.exception() is None:
            self._something_to_read(range(PARTITIONS))

    async def turn(self, messages: Sequence[Message]) -> list[Effects | Held]:
        """What each of these does, or why a person must look at it first; they are of one partition."""
        return await self._turner.turn(messages[0].partition, messages) if messages else []

    def held_at_the_door(self, message: Message) -> Held | None:
        """What the gate decided when the message came in."""
        if message.envelope.disposition is not Disposition.HOLD:
            return None
        code = next(iter(message.envelope.codes), "held-at-the-door")
        if is_record_kind(message.envelope.kind):
            text = complaint_of(message.body)[1] or "nothing in it says whose record it is"
            return self._held(message, code, text)
        return self._held(message, code)

    def gate_again(self, message: Message) -> Held | None:
        """Whether the rules of today still hold a message that the door once held."""
        if message.envelope.disposition is not Disposition.HOLD:
            return None
        if is_record_kind(message.envelope.kind):
            code, text = complaint_of(message.body)
            return self._held(message, code, text) if code else None
        source = self._sources[message.envelope.source]
        admission = hl7v2.admit(
            message.body, source.rules, source=source.name, received_at=message.envelope.received_at
        )
        if admission.envelope.disposition in (Disposition.ACCEPT, Disposition.WARNING):
            return None
        code = next(iter(admission.envelope.codes), "held-at-the-door")
        return self._held(message, code)

    async def save(self, work: Sequence[Effects | Held], positions: Mapping[int, int]) -> None:
        """Commit effects, holds and positions together; then keep the promises to senders."""
        fault.reach("engine.before_apply")
        await self._repository.apply(work, positions)
        fault.reach("engine.after_apply")
        if any(one.outgoing for one in work if isinstance(one, Effects)):
            self._something_to_send()
        self._answers.applied(one.seq for one in work if isinstance(one, Effects))
        self._answers.delivered(one.seq for one in work if isinstance(one, Effects) and not one.outgoing)
        for one in work:
            if isinstance(one, Held):
                self._answers.not_applied(one.seq, Finding(one.code, "stored, but held for a person"))

    def _held(self, message: Message, code: str, text: str = "the rules of its source hold such messages") -> Held:
        owner = self._sources[message.envelope.source].owner
        line = message.envelope.control_id.rpartition("-")[2] if is_record_kind(message.envelope.kind) else ""
        return hold(message, code, text, f"line {line}" if line else "", owner)

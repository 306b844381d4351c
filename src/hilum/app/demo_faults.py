"""What became of the broken messages of the demo: the sender's side told by hilum's own rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from hilum.app.opening import Opened
from hilum.journal import Found, MessageQuery
from hilum.model import Disposition
from hilum.simulator import Expect, SimMessage

__all__ = ["Fate", "Faults"]

PAGE = 500


class Fate(Struct, frozen=True, order=True):
    """What `messages` messages that were `sent` broken in the same way `became`, and the code that says why."""

    became: str
    sent: str
    code: str
    messages: int


class Faults:
    """Remembers by control id what is wrong with the messages that pass; nothing else of them."""

    def __init__(self) -> None:
        self._notes: dict[str, str] = {}

    def watch(self, messages: Iterable[SimMessage]) -> Iterator[SimMessage]:
        """The same messages."""
        for message in messages:
            if message.expect not in (Expect.ACCEPT, Expect.DUPLICATE):
                self._notes[message.control_id] = message.note
            yield message

    def fates(self, opened: Opened) -> list[Fate]:
        """Counted from the journal and the holds, not from what was expected."""
        counts: Counter[tuple[str, str, str]] = Counter()
        for disposition in (Disposition.AE, Disposition.AR):
            for found in _all(opened, disposition):
                code = " ".join(found.envelope.codes)
                counts[f"refused ({disposition.value})", self._note(found.envelope.control_id), code] += 1
        for hold in opened.repository.holds(limit=1_000_000):
            envelope = opened.journal.get(hold.seq).envelope
            counts["waits behind" if hold.behind else "held", self._note(envelope.control_id), hold.code] += 1
        fates = [Fate(became, sent, code, count) for (became, sent, code), count in sorted(counts.items())]
        fates += [
            Fate("applied, item", item.message, item.code, item.count)
            for item in opened.repository.exceptions(limit=1_000)
        ]
        copies = opened.ledger().duplicates
        return [*fates, Fate("stored once", "the same message again", "", copies)] if copies else fates

    def _note(self, control_id: str) -> str:
        return self._notes.get(control_id, "a message that was not meant to be broken")


def _all(opened: Opened, disposition: Disposition) -> Iterator[Found]:
    after = ""
    while True:
        page = opened.journal.messages(MessageQuery(disposition=disposition, limit=PAGE, after=after))
        yield from page.messages
        after = page.next
        if not after:
            return

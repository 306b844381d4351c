"""The journal in memory: the same words and the same chain, gone with the process. For tests and for trying out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from hilum.errors import NotFound
from hilum.journal.found import Found, MessagePage, MessageQuery, Rate, RouteCount, after_of, next_of
from hilum.journal.records import DuplicateRecord, Group, MessageRecord, content_bytes, group_records, link
from hilum.journal.rows import REFUSED
from hilum.journal.seam import Incoming, JournalCounts, VerifyReport
from hilum.journal.signing import SignedHead, Signer
from hilum.journal.verifying import verify
from hilum.model import Appended, AuditEvent, Disposition, Entry, Envelope, Message

__all__ = ["MemoryJournal"]

SEED = bytes(32)  # proves nothing to anybody: nothing here outlives the process


class MemoryJournal:
    """All in lists. What it promises to do with a message is what SqliteJournal does with it."""

    def __init__(self) -> None:
        self._signer = Signer(SEED)
        self._messages: list[MessageRecord] = []
        self._duplicates: list[DuplicateRecord] = []
        self._audits: list[AuditEvent] = []
        self._arrivals: dict[bytes, int] = {}
        self._groups: list[Group] = []

    async def append(self, incoming: Sequence[Incoming]) -> list[Appended]:
        """Append all or none, in order."""
        for one in incoming:
            content_bytes(one.envelope, b"")  # what cannot be stored is refused before anything is
        messages, duplicates = len(self._messages), len(self._duplicates)
        before = dict(self._arrivals)
        appended = [self._append_one(one, before) for one in incoming]
        self._close_group(self._messages[messages:], self._duplicates[duplicates:], [])
        return appended

    def _append_one(self, incoming: Incoming, before: Mapping[bytes, int]) -> Appended:
        if incoming.once:
            if incoming.once in before:
                return Appended(seq=before[incoming.once], duplicate_of=before[incoming.once])
            self._arrivals.setdefault(incoming.once, len(self._messages) + 1)
        earlier = list(self._earlier(incoming.envelope)) if incoming.partitions else []
        copy = next((message.seq for message in earlier if message.body == incoming.body), 0)
        if copy:
            self._duplicates.append(DuplicateRecord(at=incoming.envelope.received_at, of=copy))
            return Appended(seq=copy, duplicate_of=copy)
        seq = len(self._messages) + 1
        self._messages.append(MessageRecord(seq, incoming.partitions, incoming.envelope, incoming.body))
        return Appended(seq=seq, reused_from=earlier[0].seq if earlier else 0)

    def _earlier(self, envelope: Envelope, before: int = 2**62) -> Iterator[MessageRecord]:
        """Accepted messages with the same sender and control id."""
        name = (envelope.sender, envelope.control_id)
        for message in self._messages[: before - 1]:
            if name[1] and (message.envelope.sender, message.envelope.control_id) == name and message.partitions:
                yield message

    def _close_group(
        self,
        messages: Sequence[MessageRecord],
        duplicates: Sequence[DuplicateRecord],
        audits: Sequence[AuditEvent],
    ) -> None:
        if not messages and not duplicates and not audits:
            return
        last = self._groups[-1] if self._groups else Group(0, 0, (), (), (), bytes(32))
        n, at = last.n + 1, max(last.at, time.time_ns() // 1000)
        group = Group(n, at, tuple(messages), tuple(duplicates), tuple(audits), b"")
        hashed = link(last.hash, n, at, group_records(group))
        self._groups.append(Group(n, at, group.messages, group.duplicates, group.audits, hashed))

    async def read(self, partition: int, after: int, limit: int) -> list[Entry]:
        """Entries of one partition with seq > after, in order."""
        found = [m for m in self._messages[after:] if partition in m.partitions][:limit]
        return [Entry(m.seq, m.partitions[0] != partition, m.partitions[0], self.get(m.seq)) for m in found]

    def get(self, seq: int) -> Message:
        """One message. Raises NotFound `message-unknown`."""
        if not 1 <= seq <= len(self._messages):
            raise NotFound(f"there is no message {seq}", code="message-unknown")
        record = self._messages[seq - 1]
        earlier = next(self._earlier(record.envelope, seq), None) if record.partitions else None
        partition = (record.partitions or (REFUSED,))[0]
        return Message(seq, partition, record.envelope, record.body, earlier.seq if earlier else 0)

    async def audit(self, events: Sequence[AuditEvent]) -> None:
        """Append audit rows to the same chain."""
        self.audit_now(events)

    def audit_now(self, events: Sequence[AuditEvent]) -> None:
        """The same without waiting."""
        self._audits.extend(events)
        self._close_group([], [], events)

    def audits(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, AuditEvent]]:
        """Numbered audit rows with number > after, oldest first."""
        return list(enumerate(self._audits, start=1))[after : after + limit]

    def messages(self, query: MessageQuery) -> MessagePage:
        """One page of messages without their bytes, newest arrival first."""
        after = after_of(query)
        matches = [m for m in self._messages if _matches(m.envelope, query)]
        matches.sort(key=lambda m: (m.envelope.received_at, m.seq), reverse=True)
        matches = [m for m in matches if after is None or (m.envelope.received_at, m.seq) < after]
        limit = max(1, query.limit)
        page = tuple(Found(m.seq, (m.partitions or (REFUSED,))[0], m.envelope) for m in matches[:limit])
        return MessagePage(page, next_of(page[-1]) if len(matches) > limit else "")

    def counts(self, positions: Mapping[int, int]) -> JournalCounts:
        """Control totals; `positions` maps partition to the seq its reader has committed."""
        accepted = [m for m in self._messages if m.partitions]
        return JournalCounts(
            received=len(self._messages),
            rejected=len(self._messages) - len(accepted),
            duplicates=len(self._duplicates),
            waiting=sum(m.seq > positions.get(m.partitions[0], 0) for m in accepted),
        )

    def route_counts(self) -> list[RouteCount]:
        """Messages by source, sender, kind and disposition."""
        found: dict[tuple[str, str, str, str], int] = {}
        for message in self._messages:
            e = message.envelope
            name = (e.source, e.sender, e.kind, e.disposition.value)
            found[name] = found.get(name, 0) + 1
        return [
            RouteCount(source, sender, kind, Disposition(disposition), messages)
            for (source, sender, kind, disposition), messages in sorted(found.items())
        ]

    def rates(self, since: int) -> list[Rate]:
        """Messages by hour, source, sender and kind, of those received since then (microseconds)."""
        found: dict[tuple[str, str, str, int], tuple[int, int]] = {}
        for message in self._messages:
            e = message.envelope
            if e.received_at >= since:
                name = (e.source, e.sender, e.kind, e.received_at // 3_600_000_000)
                before = found.get(name, (0, 0))
                found[name] = (before[0] + 1, max(before[1], e.received_at))
        return [Rate(*name, *counted) for name, counted in sorted(found.items())]

    async def verify(self, head: SignedHead | None = None) -> VerifyReport:
        """Walk the chain from the first group to the last."""
        return verify(self._groups, own_key=self._signer.public_key, expected=head)

    def export_head(self) -> SignedHead:
        """The last head, signed. Raises NotFound `journal-empty`."""
        if not self._groups:
            raise NotFound("the journal is empty: there is no head to export yet", code="journal-empty")
        last = self._groups[-1]
        return SignedHead(
            n=last.n,
            hash=last.hash,
            at=last.at,
            seq=len(self._messages),
            public_key=self._signer.public_key,
            signature=self._signer.sign_head(last.n, last.hash),
        )

    def close(self) -> None:
        """Nothing to let go of."""


def _matches(envelope: Envelope, query: MessageQuery) -> bool:
    return (
        (not query.control_id or envelope.control_id == query.control_id)
        and (not query.key or query.key in (envelope.key, envelope.other_key))
        and (not query.kind or envelope.kind == query.kind)
        and (not query.sender or envelope.sender == query.sender)
        and (not query.source or envelope.source == query.source)
        and (query.disposition is None or envelope.disposition is query.disposition)
        and envelope.received_at >= query.since
        and (not query.until or envelope.received_at < query.until)
    )

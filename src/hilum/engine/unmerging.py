"""A person takes a merge back: the ADT^A37 that the sender never sent, for the journal like any other message.

It is built from the message that said the merge, so that its numbers, its sender and the keys that order it are the
same, and it is proven before it is written: the workbook itself must read it as the unmerge of exactly this pair. The
rest of the journey is that of every message: it waits its turn, is applied with its position, routed and replayed.

It states nothing about the patients but that they are two: their demographics are the sender's to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from hilum.engine.partition import partitions_of
from hilum.errors import HilumError, NotFound
from hilum.formats import hl7v2
from hilum.journal import Incoming
from hilum.mapping import Context, Mapped
from hilum.model import DECISIONS, Envelope, Merge, Message
from hilum.repository import MergeRecord, MergeState

__all__ = ["chain_between", "pair_of", "unlink"]

Map = Callable[[hl7v2.Hl7Message, Context], Mapped]
_NUMBERS = {"PID": (3,), "MRG": (1, 2, 4)}  # where the other number of a pair stands, by segment


def pair_of(said: list[MergeRecord], one: str, other: str) -> MergeRecord:
    """The merge of these two (`Type/id`) that stands and was said last.

    Raises NotFound `merge-unknown`, or HilumError `merge-indirect` when they are one by way of others.
    """
    pair = {one, other}
    standing = [merge for merge in said if merge.state in (MergeState.HOLDS, MergeState.REPLACED)]
    direct = [merge for merge in standing if {merge.survivor, merge.retired} == pair]
    if direct:
        return direct[-1]
    if chain := chain_between(said, one, other):
        text = f"these two are one only by way of others: say which merge was wrong ({chain})"
        raise HilumError(text, code="merge-indirect")
    raise NotFound("no merge of these two holds: `hilum patients merges` lists what was said", code="merge-unknown")


def chain_between(said: list[MergeRecord], one: str, other: str) -> str:
    """The merges that make one patient of these two, in words; "" when they are two."""
    holding = [merge for merge in said if merge.state is MergeState.HOLDS]
    ways: dict[str, list[MergeRecord]] = {one: []}
    reached = [one]
    for name in reached:  # grows while it is walked
        for merge in holding:
            ends = {merge.survivor, merge.retired}
            for end in ends - ways.keys() if name in ends else ():
                ways[end] = [*ways[name], merge]
                reached.append(end)
    return ", ".join(f"{merge.retired} into {merge.survivor}" for merge in ways.get(other, ()))


def unlink(said: Message, merge: MergeRecord, workbook: Map, by: str, at: int) -> Incoming:
    """The ADT^A37 that takes `merge` back, which the message `said`; `by` is the person, `at` the time (microseconds).

    Raises HilumError `unmerge-not-sayable` when the workbook reads no such message as what is meant.
    """
    at = max(at, merge.at)  # a sender's clock may be ahead of ours: the unmerge is the later word all the same
    record = hl7v2.parse(said.body, default_charset=said.envelope.charset)
    for text in _candidates(record, f"UNMERGE-{said.seq}-{at}", by, at):
        body = text.encode(record.charset, "replace")
        envelope = _envelope(said, f"UNMERGE-{said.seq}-{at}", record.charset, at)
        mapped = workbook(hl7v2.parse(body, default_charset=record.charset), Context.of(envelope))
        if mapped.held is None and _means(mapped.merges, merge):
            return Incoming(envelope, body, partitions_of(envelope))
    text = f"the workbook has no rows that read an ADT^A37 made from message {said.seq} as the unmerge of this pair"
    raise HilumError(text, code="unmerge-not-sayable", location=f"message/{said.seq}")


def _means(merges: tuple[Merge, ...], merge: MergeRecord) -> bool:
    if len(merges) != 1 or not merges[0].undo:
        return False
    (one,) = merges
    return {f"{one.type}/{one.survivor}", f"{one.type}/{one.retired}"} == {merge.survivor, merge.retired}


def _envelope(said: Message, control_id: str, charset: str, at: int) -> Envelope:
    """The sender stays: what its identifiers mean depends on it."""
    envelope = said.envelope
    return Envelope(
        source=DECISIONS,
        received_at=at,
        sender=envelope.sender,
        control_id=control_id,
        kind="ADT^A37",
        key=envelope.key,
        other_key=envelope.other_key,
        sent_at=at,
        charset=charset,
    )


def _candidates(record: hl7v2.Hl7Message, control_id: str, by: str, at: int) -> Iterator[str]:
    """One message for each pair of numbers that the merge message could have meant."""
    head = _head(record, control_id, by, at)
    mark = record.delimiters.field
    for survivor, retired in _pairs(record):
        patients = [mark.join(("PID", str(number), "", text)) for number, text in ((1, survivor), (2, retired))]
        yield "\r".join((*head, *patients, ""))


def _head(record: hl7v2.Hl7Message, control_id: str, by: str, at: int) -> tuple[str, str]:
    mark, component = record.delimiters.field, record.delimiters.component
    now = datetime.fromtimestamp(at / 1e6, UTC)
    time = f"{now:%Y%m%d%H%M%S}.{now.microsecond // 1000:03d}+0000"
    fields = [*record.header, *[""] * 18][:19]  # up to MSH-18, the character set
    fields[7:11] = [time, "", component.join(("ADT", "A37", "ADT_A37")), control_id]
    fields[13:18] = [""] * 5
    msh = mark.join(("MSH", *fields[2:])).rstrip(mark)
    person = component + hl7v2.escape(by, record.delimiters)
    return msh, mark.join(("EVN", "A37", time, "", "", person))


def _pairs(record: hl7v2.Hl7Message) -> Iterator[tuple[str, str]]:
    """(number of the survivor, number of the retired one), each a CX as it was sent."""
    segments = [(name, segment.fields) for name, segment in zip(record.names, record.segments, strict=True)]
    for at, (name, fields) in enumerate(segments):
        if name != "PID":
            continue
        for other, others in segments[at + 1 :]:
            for number in _NUMBERS.get(other, ()):
                for survivor in _repetitions(record, fields, 3):
                    for retired in _repetitions(record, others, number):
                        yield survivor, retired


def _repetitions(record: hl7v2.Hl7Message, fields: list[str], number: int) -> list[str]:
    text = fields[number] if number < len(fields) else ""
    return [one for one in text.split(record.delimiters.repetition) if one]

"""What senders are told, and when. An answer never says more than is true."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import structs

from hilum.engine.admission import Admitted, Item
from hilum.engine.settings import AckMode, Contract, SourceSettings
from hilum.errors import HilumError
from hilum.formats import hl7v2
from hilum.formats.records import is_record_kind
from hilum.model import Ack, Appended, Disposition, Finding

__all__ = ["Answers"]


class Answers:
    """Builds acknowledgements, and keeps the promises of sources whose contract goes further than the journal.

    Promises live in memory only: a sender that lost its connection sends again, and the copy is answered from what the
    store says of the first one.
    """

    def __init__(self, sources: Mapping[str, SourceSettings]) -> None:
        self._sources = sources
        self._promised: dict[int, list[tuple[Admitted, Item]]] = {}

    def stored(self, admitted: Admitted, appended: Sequence[Appended]) -> list[int]:
        """Answer one arrival after the commit. Returns seqs of copies whose fate the caller must look up."""
        source = self._sources[admitted.arrival.source]
        further = source.contract is not Contract.ACCEPTED and not admitted.batch
        acks: list[Ack] = []
        copies: list[int] = []
        for item, row in zip(admitted.items, appended, strict=True):
            acks += _at_commit(item, source, further=further)
            if further and not item.refused:
                seq = row.duplicate_of or row.seq
                self._promised.setdefault(seq, []).append((admitted, item))
                if row.duplicate_of:
                    copies.append(seq)
        _send(admitted, acks, more=further and any(not item.refused for item in admitted.items))
        return copies

    def failed(self, admitted: Admitted, error: HilumError) -> None:
        """The journal did not take an arrival: say so at once, so that the sender keeps it and sends again."""
        source = self._sources[admitted.arrival.source]
        finding = Finding(error.code, "the message could not be stored: send it again")
        _send(admitted, [_no(item, source, "CR", "AE", finding) for item in admitted.items])

    def applied(self, seqs: Iterable[int]) -> None:
        """These messages are committed: keep the promises that asked for no more."""
        self._keep(seqs, Contract.APPLIED, "AA", None)

    def delivered(self, seqs: Iterable[int]) -> None:
        """Every destination took what these messages made."""
        self._keep(seqs, Contract.DELIVERED, "AA", None)

    def not_applied(self, seq: int, finding: Finding) -> None:
        """The message is stored but held or given up: the sender asked for more than that, so it is told."""
        for contract in (Contract.APPLIED, Contract.DELIVERED):
            self._keep((seq,), contract, "AE", finding)

    @property
    def awaited(self) -> set[int]:
        """Messages whose senders still wait for an answer."""
        return set(self._promised)

    def _keep(self, seqs: Iterable[int], contract: Contract, code: str, finding: Finding | None) -> None:
        if not self._promised:
            return
        for seq in seqs:
            promises = self._promised.get(seq)
            if promises and self._sources[promises[0][0].arrival.source].contract is contract:
                del self._promised[seq]
                for admitted, item in promises:
                    source = self._sources[admitted.arrival.source]
                    _send(admitted, [_build(item, code, finding, wanted=_is_wanted(item, source, code))])


def _is_wanted(item: Item, source: SourceSettings, code: str) -> bool:
    """Whether this sender is told this: by the source's mode, or by MSH-15 and MSH-16 (section 2.9.3)."""
    if source.ack is AckMode.ORIGINAL:
        return code[0] == "A"
    if source.ack is AckMode.ENHANCED:
        return code[0] == "C" or source.contract is not Contract.ACCEPTED
    header = item.record if item.record is not None else item.incoming.body
    return hl7v2.wants(header).is_wanted(code)


def _at_commit(item: Item, source: SourceSettings, *, further: bool) -> list[Ack]:
    """CA where the mode has it; AA with it or instead of it, where the journal is all that was promised."""
    if item.refused:
        codes = ("CE", "AE") if item.disposition is Disposition.AE else ("CR", "AR")
        return [_no(item, source, *codes, item.finding)]
    at_once = ("CA",) if further else ("CA", "AA")
    acks = [_build(item, code, None, wanted=True) for code in at_once if _is_wanted(item, source, code)]
    if acks or further:
        return acks
    return [_build(item, "AA", None, wanted=False)]


def _no(item: Item, source: SourceSettings, commit: str, application: str, finding: Finding | None) -> Ack:
    """One refusal: at commit level where the mode has that, else at application level."""
    if _is_wanted(item, source, commit):
        return _build(item, commit, finding, wanted=True)
    return _build(item, application, finding, wanted=_is_wanted(item, source, application))


def _build(item: Item, code: str, finding: Finding | None, *, wanted: bool) -> Ack:
    """An answer; with an empty body when the sender asked not to hear it."""
    if not wanted or is_record_kind(item.incoming.envelope.kind):  # nobody reads an answer to a record
        return Ack(code, b"", finding)
    header = item.record if item.record is not None else item.incoming.body
    return Ack(code, hl7v2.acknowledge(header, code, finding=finding, now=time.time_ns() // 1000), finding)


def _send(admitted: Admitted, acks: Sequence[Ack], *, more: bool = False) -> None:
    """Answer one arrival. A batch has one answer, itself a batch; `more` says that the last word comes later."""
    if not acks and not more and not admitted.items:  # an empty batch: there is nothing to say no to
        admitted.arrival.answer(Ack("AA", _EMPTY, None, 0, admitted.findings))
        return
    if admitted.batch and not more:
        refused = next((ack for ack in acks if ack.code[1] != "A"), None)
        worst = refused or acks[0]
        bodies = [ack.body for ack in acks if ack.body]
        taken = sum(not item.refused for item in admitted.items)
        admitted.arrival.answer(Ack(worst.code, _batch_of(bodies), worst.finding, taken, tuple(_told(admitted))))
        return
    for ack in acks:
        admitted.arrival.answer(ack)


def _told(admitted: Admitted) -> Iterator[Finding]:
    """What was found of a batch as a whole; then which of its messages are refused or held, by number."""
    yield from admitted.findings
    for number, item in enumerate(admitted.items, start=1):
        if item.finding is not None and item.finding not in admitted.findings and item.disposition in _KEPT_BACK:
            place = "" if admitted.arrival.part is not None else f"message {number} "  # the line says it
            where = f"{place}{item.disposition.value} {item.finding.location}".rstrip()
            yield structs.replace(item.finding, location=where)


_EMPTY = b"BHS|^~\\&\rBTS|0\r"
_KEPT_BACK = (Disposition.HOLD, Disposition.AE, Disposition.AR)


def _batch_of(bodies: Sequence[bytes]) -> bytes:
    """Acknowledgements of a batch in a batch (section 2.10.3.3)."""
    if len(bodies) < 2:
        return b"".join(bodies)
    return b"BHS|^~\\&\r%sBTS|%d\r" % (b"".join(bodies), len(bodies))

"""What senders are told, and when. An answer never says more than is true."""

from __future__ import annotations

import time
from collections.abc import Iterable

from hilum.engine.admission import Admitted, Item
from hilum.engine.settings import AckMode, Contract, SourceSettings
from hilum.errors import HilumError
from hilum.formats import hl7v2
from hilum.model import Ack, Appended, Disposition, Finding

__all__ = ["Answers"]

_REFUSED_AT_COMMIT = {Disposition.AE: "CE", Disposition.AR: "CR"}


class Answers:
    """Builds acknowledgements, and keeps the promises of sources whose contract goes further than the journal.

    Promises live in memory only: a sender that lost its connection sends again, and the copy is answered from what the
    store says of the first one.
    """

    def __init__(self, sources: dict[str, SourceSettings]) -> None:
        self._sources = sources
        self._promised: dict[int, list[tuple[Admitted, Item]]] = {}

    def stored(self, admitted: Admitted, appended: list[Appended]) -> list[int]:
        """Answer one arrival after the commit. Returns seqs of copies whose fate the caller must look up."""
        source = self._sources[admitted.arrival.source]
        ready: list[Ack] = []
        copies: list[int] = []
        for item, row in zip(admitted.items, appended, strict=True):
            enhanced = _is_enhanced(item, source)
            if item.refused or enhanced or source.contract is Contract.ACCEPTED or admitted.batch:
                ready.append(_at_commit(item, enhanced=enhanced))
            if source.contract is not Contract.ACCEPTED and not item.refused and not admitted.batch:
                seq = row.duplicate_of or row.seq
                self._promised.setdefault(seq, []).append((admitted, item))
                if row.duplicate_of:
                    copies.append(seq)
        _send(admitted, ready)
        return copies

    def failed(self, admitted: Admitted, error: HilumError) -> None:
        """The journal did not take an arrival: say so at once, so that the sender keeps it and sends again."""
        source = self._sources[admitted.arrival.source]
        finding = Finding(error.code, "the message could not be stored: send it again")
        acks = []
        for item in admitted.items:
            code = "CR" if _is_enhanced(item, source) else "AE"
            acks.append(_build(item, code, finding))
        _send(admitted, acks)

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
                    _send(admitted, [_build(item, code, finding)])


def _is_enhanced(item: Item, source: SourceSettings) -> bool:
    if source.ack is AckMode.AUTO:
        return item.record is not None and hl7v2.wants_enhanced(item.record)
    return source.ack is AckMode.ENHANCED


def _at_commit(item: Item, *, enhanced: bool) -> Ack:
    if item.refused:
        code = _REFUSED_AT_COMMIT[item.disposition] if enhanced else item.disposition.value
        return _build(item, code, item.finding)
    return _build(item, "CA" if enhanced else "AA", None)


def _build(item: Item, code: str, finding: Finding | None) -> Ack:
    header: hl7v2.Hl7Message | bytes = item.record if item.record is not None else item.incoming.body
    return Ack(code, hl7v2.acknowledge(header, code, finding=finding, now=time.time_ns() // 1000), finding)


def _send(admitted: Admitted, acks: list[Ack]) -> None:
    if not acks:
        return
    if len(acks) == 1:
        admitted.arrival.answer(acks[0])
        return
    refused = next((ack for ack in acks if ack.code not in ("AA", "CA")), None)
    code, finding = (refused.code, refused.finding) if refused else (acks[0].code, None)
    admitted.arrival.answer(Ack(code, hl7v2.join_batch([ack.body for ack in acks]), finding))

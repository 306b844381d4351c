"""Walking the chain: what is stored must be what was committed, all of it, in its order."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from hilum.errors import StoreCorrupt
from hilum.journal.records import GENESIS, Group, group_records, link
from hilum.journal.seam import VerifyReport
from hilum.journal.signing import SignedHead, is_signed, statement

__all__ = ["Gap", "verify"]


class Gap(Struct, frozen=True):
    """Groups that retention deleted; `signed` says that their tombstone's signature holds for `public_key`."""

    segment: int
    first_head: int
    last_head: int
    last_seq: int
    start_hash: bytes
    end_hash: bytes
    messages: int
    public_key: bytes
    signed: bool


class _Broken(Exception):
    """The walk ends here."""

    def __init__(self, seq: int, problem: str) -> None:
        super().__init__(problem)
        self.seq, self.problem = seq, problem


def verify(steps: Iterable[Group | Gap], *, own_key: bytes, expected: SignedHead | None) -> VerifyReport:
    """Check groups and gaps in order. `own_key`: the public key that must have signed; `expected`: an exported head."""
    walk = _Walk(own_key, expected)
    try:
        for step in steps:
            walk.take(step)
        walk.finish()
    except _Broken as broken:
        return walk.report(broken.problem, broken.seq)
    except StoreCorrupt as error:
        return walk.report(f"{error.code}: {error.message}", walk.seq + 1)
    return walk.report()


class _Walk:
    """Where the walk is, and what it has counted."""

    def __init__(self, own_key: bytes, expected: SignedHead | None) -> None:
        self._own_key, self._expected = own_key, expected
        self._hash, self._n, self._at = GENESIS, 0, 0
        self._messages = self._heads = self._signed = 0
        self._met_expected = False
        self.seq = 0

    def take(self, step: Group | Gap) -> None:
        if isinstance(step, Gap):
            self._take_gap(step)
        else:
            self._take_group(step)
        if self._expected is not None and self._n == self._expected.n:
            self._met_expected = True
            if self._hash != self._expected.hash:
                raise _Broken(self.seq, "journal-head-differs: the chain is not the one whose head was exported")

    def _take_gap(self, gap: Gap) -> None:
        if gap.first_head != self._n + 1 or gap.start_hash != self._hash:
            raise _Broken(
                self.seq + 1, f"journal-chain-broken: segment {gap.segment} does not follow what is before it"
            )
        if not gap.signed or gap.public_key != self._own_key:
            raise _Broken(
                self.seq + 1,
                f"journal-signature-invalid: the tombstone of segment {gap.segment} is not signed by this store",
            )
        self._n, self._hash, self.seq = gap.last_head, gap.end_hash, gap.last_seq

    def _take_group(self, group: Group) -> None:
        first = group.messages[0].seq if group.messages else self.seq
        if group.n != self._n + 1:
            raise _Broken(first, f"journal-head-missing: group {self._n + 1} is not there")
        for message in group.messages:
            if message.seq != self.seq + 1:
                raise _Broken(self.seq + 1, f"journal-row-missing: message {self.seq + 1} is not there")
            self.seq = message.seq
        if link(self._hash, group.n, group.at, group_records(group)) != group.hash or group.at < self._at:
            raise _Broken(first, f"journal-chain-broken: group {group.n} is not what was committed")
        self._n, self._hash, self._at = group.n, group.hash, group.at
        self._messages += len(group.messages)
        self._heads += 1
        if group.signature:
            self._take_signature(group, first)

    def _take_signature(self, group: Group, first: int) -> None:
        text = statement("head", group.n, group.hash)
        if group.public_key != self._own_key or not is_signed(group.public_key, group.signature, text):
            raise _Broken(first, f"journal-signature-invalid: head {group.n} is not signed by this store")
        self._signed += 1

    def finish(self) -> None:
        expected = self._expected
        if expected is not None and expected.public_key != self._own_key:
            raise _Broken(0, "journal-head-foreign: the exported head was signed by another store")
        if expected is not None and not self._met_expected:
            raise _Broken(
                self.seq + 1,
                f"journal-tail-missing: the exported head is group {expected.n}, the journal ends with group {self._n}",
            )
        if not self._n:
            raise _Broken(0, "journal-empty: nothing was ever written, so nothing was checked")

    def report(self, problem: str = "", seq: int = 0) -> VerifyReport:
        return VerifyReport(
            ok=not problem,
            messages=self._messages,
            heads=self._heads,
            signed_heads=self._signed,
            first_bad_seq=seq,
            problem=problem,
        )

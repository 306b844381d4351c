"""The ledger: control totals computed from the store, never from counters.

Each column is counted where it is kept, independently of the others: received and rejected from the journal's rows,
applied from the repository's outcomes, held and waiting behind from its holds, waiting from the journal's entries after
the saved positions. The sum is therefore a check, and a lost or doubled message makes it fail.
"""

from __future__ import annotations

from msgspec import Struct

from hilum.journal import JournalCounts
from hilum.model import Accounting
from hilum.repository import RepositoryCounts

__all__ = ["Ledger", "add_up"]


class Ledger(Struct, frozen=True):
    """`received = applied + held + rejected + waiting`, at one instant of the store."""

    received: int
    applied: int
    held: int
    rejected: int  # refused at the door, or discarded by a person
    waiting: int  # not reached yet, or behind a held message of their key
    duplicates: int  # copies of stored messages: answered again, stored once, outside the sum
    fields: Accounting

    @property
    def difference(self) -> int:
        """0 when every message has exactly one fate; more: some are lost; less: some were counted twice."""
        return self.received - (self.applied + self.held + self.rejected + self.waiting)

    @property
    def adds_up(self) -> bool:
        """Whether messages and fields both add up."""
        return self.difference == 0 and self.fields.adds_up


def add_up(journal: JournalCounts, repository: RepositoryCounts) -> Ledger:
    """Put the independent counts side by side. Both must come from one snapshot of the store."""
    return Ledger(
        received=journal.received,
        applied=repository.applied,
        held=repository.held,
        rejected=journal.rejected + repository.discarded,
        waiting=journal.waiting + repository.behind,
        duplicates=journal.duplicates,
        fields=repository.fields,
    )

"""Lines of a table made of stored resources at the moment of sending: the same bytes on every attempt."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import structlog
from msgspec import Struct

from hilum.engine.making import as_it_was
from hilum.errors import DeliveryError, Outcome
from hilum.formats import records
from hilum.mapping import Context, TableLine, TablePlan
from hilum.repository import Delivery, Repository, Stored
from hilum.translator import refs_of

__all__ = ["TableMaker"]

log = structlog.get_logger(__name__)


class TableMaker(Struct, frozen=True):
    """What one destination is sent: the table, and whose maps are taken."""

    plan: TablePlan
    receiver: str = "|"

    @property
    def types(self) -> Collection[str]:
        """What its lines can be about."""
        return self.plan.types

    def tells(self, _gone: Stored, _due: Delivery, _repository: Repository) -> bool:
        """No line says that something is gone."""
        return False

    def make(self, due: Delivery, repository: Repository) -> bytes | None:
        """CSV of one delivery, the names of the columns first; None when its cause gives no line.

        Raises DeliveryError with the outcome hold when a line is held by its rows.
        """
        lines = [records.csv_line(one.cells) for one in self._made(due, repository) if one.cells is not None]
        return b"".join([records.csv_line(self.plan.columns), *lines]) if lines else None

    def _made(self, due: Delivery, repository: Repository) -> Iterator[TableLine]:
        for type_, id_ in dict.fromkeys(refs_of(due.outgoing.payload)):
            stored = repository.version_by(due.seq, type_, id_) if type_ in self.plan.types else None
            if stored is not None and not stored.deleted:
                yield self._line(due, stored, repository)

    def _line(self, due: Delivery, stored: Stored, repository: Repository) -> TableLine:
        def resolve(reference: str) -> Mapping[str, Any] | None:
            type_, _, id_ = reference.partition("/")
            found = as_it_was(repository, due.seq, type_, id_) if id_ and "/" not in id_ else None
            return records.read_resource(found.body) if found is not None else None

        record = records.ResourceRecord(f"fhir:{stored.type}", records.read_resource(stored.body), resolve=resolve)
        line = self.plan.run(record, Context("hilum", self.receiver, due.created_at))
        held, counts = line.mapped.held, line.mapped.accounting
        if held is not None:
            raise DeliveryError(held.message, code=held.code, location=held.location, outcome=Outcome.HOLD)
        log.info("made a line", kind=self.plan.kind, elements=counts.valued, not_sent=counts.exceptions)
        return line

"""What numbers stand for, remembered between commits: a rid and a term, once committed, never change."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from .keys import pack_name
from .sql import row, rows

__all__ = ["Numbers", "Remembered", "find_rids"]

LARGEST = 200_000  # entries remembered of each; then it starts over

_FIND = "SELECT n.key, n.rid FROM carray(?) k CROSS JOIN resource_name n ON n.key = k.value"

Term = tuple[int, str, str]  # parameter, code, system


class Remembered:
    """Shared by all snapshots of one repository. Only committed numbers come in."""

    def __init__(self) -> None:
        self.rids: dict[str, int] = {}
        self.terms: dict[Term, int] = {}

    def take(self, numbers: Numbers) -> None:
        """After the commit of what these numbers were given out for."""
        if len(self.rids) > LARGEST:
            self.rids.clear()
        if len(self.terms) > LARGEST:
            self.terms.clear()
        self.rids.update(numbers.new_rids)
        self.terms.update(numbers.new_terms)


class Numbers:
    """The numbers of one plan: looked up, or given out anew after the last ones of its tick."""

    def __init__(self, connection: apsw.Connection, remembered: Remembered, last_rid: int, last_term: int) -> None:
        self._connection = connection
        self._remembered = remembered
        self._absent: set[str] = set()
        self.last_rid = last_rid
        self.last_term = last_term
        self.new_rids: dict[str, int] = {}
        self.new_terms: dict[Term, int] = {}

    def rebind(self, connection: apsw.Connection) -> None:
        """Go on with another connection to the same tick."""
        self._connection = connection

    def know(self, records: Iterable[str]) -> None:
        """Look these up in one go."""
        known = self._remembered.rids
        unknown = [one for one in records if one not in known and one not in self.new_rids]
        found = find_rids(self._connection, unknown)
        known.update(found)
        self._absent.update(one for one in unknown if one not in found)

    def peek(self, record: str) -> int | None:
        """The number of a resource that was made `know`n, if it has one."""
        return self._remembered.rids.get(record) or self.new_rids.get(record)

    def rid(self, record: str) -> int:
        """The number of a resource that was stored or referred to before; else a new one."""
        found = self._remembered.rids.get(record) or self.new_rids.get(record)
        if found is None:
            if record not in self._absent:
                self.know((record,))
                return self.rid(record)
            self.last_rid += 1
            found = self.new_rids[record] = self.last_rid
        return found

    def term(self, term: Term) -> int:
        """The number of a code, unit or system."""
        return self._remembered.terms.get(term) or self.new_terms.get(term) or self._find_term(term)

    def _find_term(self, term: Term) -> int:
        found = row(self._connection, "SELECT id FROM term WHERE parameter = ? AND code = ? AND system = ?", term)
        if found is not None:
            stored: int = found[0]
            self._remembered.terms[term] = stored
            return stored
        self.last_term += 1
        self.new_terms[term] = self.last_term
        return self.last_term


def find_rids(connection: apsw.Connection, records: Iterable[str]) -> dict[str, int]:
    """`Type/id` -> rid, of those that have one."""
    keys = {pack_name(one): one for one in records}
    if not keys:
        return {}
    found = rows(connection, _FIND, (apsw.carray(tuple(keys)),))
    return {keys[key]: rid for key, rid in found}

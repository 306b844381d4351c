"""What numbers stand for, remembered between commits: a rid and a term, once committed, never change."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from .chunks import Texts
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
        self.texts = Texts()

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
        self._absent: dict[str, bytes] = {}  # looked up in vain, with their keys
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
        keys = {one: pack_name(one) for one in unknown}
        found = _find(self._connection, keys)
        known.update(found)
        self._absent.update((one, key) for one, key in keys.items() if one not in found)

    def new_names(self) -> list[tuple[bytes, int]]:
        """Key and rid of the resources that got a number."""
        return [(self._absent[record], rid) for record, rid in self.new_rids.items()]

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
    return _find(connection, {one: pack_name(one) for one in records})


def _find(connection: apsw.Connection, keys: dict[str, bytes]) -> dict[str, int]:
    if not keys:
        return {}
    names = {key: record for record, key in keys.items()}
    found = rows(connection, _FIND, (apsw.carray(tuple(names)),))
    return {names[key]: rid for key, rid in found}

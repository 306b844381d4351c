"""What numbers stand for, remembered between commits: a rid and a term, once committed, never change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import apsw

from .chunks import Texts
from .keys import pack_name
from .sql import row, rows

__all__ = ["Numbers", "Remembered", "find_rids"]

LARGEST = 200_000  # entries remembered of each; then it starts over

_FIND = "SELECT n.key, n.rid FROM carray(?) k CROSS JOIN resource_name n ON n.key = k.value"

_TERM = "SELECT id FROM term WHERE parameter = ? AND code = ? AND system = ?"

Term = tuple[int, str, str]  # parameter, code, system


class Remembered:
    """Shared by all snapshots of one repository. Only committed numbers come in."""

    def __init__(self) -> None:
        self.rids: dict[str, int] = {}
        self.terms: dict[Term, int] = {}
        self.texts = Texts()

    def apart(self) -> Remembered:
        """The same, for reading inside a transaction that may yet fail: what is learnt there stays there."""
        mine = Remembered()
        mine.rids, mine.terms, mine.texts = _Above(self.rids), _Above(self.terms), self.texts.apart()
        return mine

    def learn(self, record: str, rid: int) -> None:
        """A number that was read."""
        if len(self.rids) > LARGEST:
            self.rids.clear()
        self.rids[record] = rid

    def take(self, numbers: Numbers) -> None:
        """After the commit of what these numbers were given out for."""
        if len(self.rids) > LARGEST:
            self.rids.clear()
        if len(self.terms) > LARGEST:
            self.terms.clear()
        self.rids.update(numbers.rids.new)
        self.terms.update(numbers.terms.new)

    def take_in(self, apart: Remembered) -> None:
        """What was read apart, once that transaction was committed."""
        self.rids.update(apart.rids)
        self.terms.update(apart.terms)
        self.texts.take(apart.texts)


class _Above(dict[Any, int]):
    """A dict over another one, which it reads and never changes."""

    def __init__(self, below: dict[Any, int]) -> None:
        super().__init__()
        self._below = below

    def __missing__(self, key: Any) -> int:
        return self._below[key]

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self._below

    def get(self, key: Any, default: Any = None) -> Any:
        found = super().get(key)
        return self._below.get(key, default) if found is None else found


class _Rids(dict[str, int]):
    """`Type/id` -> rid, for one plan; what is not stored yet gets the next number."""

    def __init__(self, known: dict[str, int], look_up: Callable[[str], int | None], last: int) -> None:
        self._known = known
        self._look_up = look_up
        self.last = last
        self.new: dict[str, int] = {}

    def __missing__(self, record: str) -> int:
        found = self._known.get(record) or self._look_up(record)
        if found is None:
            self.last += 1
            found = self.new[record] = self.last
        self[record] = found
        return found


class _Terms(dict[Term, int]):
    """(parameter, code, system) -> term, for one plan; a new one gets the next number."""

    def __init__(self, known: dict[Term, int], look_up: Callable[[Term], int | None], last: int) -> None:
        self._known = known
        self._look_up = look_up
        self.last = last
        self.new: dict[Term, int] = {}

    def __missing__(self, term: Term) -> int:
        found = self._known.get(term) or self._look_up(term)
        if found is None:
            self.last += 1
            found = self.new[term] = self.last
        self[term] = found
        return found


class Numbers:
    """The numbers of one plan: looked up, or given out anew after the last ones of its tick."""

    def __init__(self, connection: apsw.Connection, remembered: Remembered, last_rid: int, last_term: int) -> None:
        self._connection = connection
        self._remembered = remembered
        self._absent: dict[str, bytes] = {}  # looked up in vain, with their keys
        self.rids = _Rids(remembered.rids, self._find_rid, last_rid)
        self.terms = _Terms(remembered.terms, self._find_term, last_term)

    def rebind(self, connection: apsw.Connection) -> None:
        """Go on with another connection to the same tick."""
        self._connection = connection

    def know(self, records: Iterable[str]) -> dict[str, int]:
        """Look these up in one go; returns those that have a number."""
        known = self._remembered.rids
        given = {one: known[one] for one in records if one in known}
        keys = {one: pack_name(one) for one in records if one not in given}
        found = _find(self._connection, keys)
        known.update(found)
        self._absent.update((one, key) for one, key in keys.items() if one not in found)
        return given | found

    def new_names(self) -> list[tuple[bytes, int]]:
        """Key and rid of the resources that got a number."""
        return [(self._absent[record], rid) for record, rid in self.rids.new.items()]

    def _find_rid(self, record: str) -> int | None:
        return None if record in self._absent else self.know((record,)).get(record)

    def _find_term(self, term: Term) -> int | None:
        found = row(self._connection, _TERM, term)
        if found is None:
            return None
        self._remembered.terms[term] = found[0]
        return int(found[0])


def find_rids(connection: apsw.Connection, records: Iterable[str]) -> dict[str, int]:
    """`Type/id` -> rid, of those that have one."""
    return _find(connection, {one: pack_name(one) for one in records})


def _find(connection: apsw.Connection, keys: dict[str, bytes]) -> dict[str, int]:
    if not keys:
        return {}
    names = {key: record for record, key in keys.items()}
    found = rows(connection, _FIND, (apsw.carray(tuple(names)),))
    return {names[key]: rid for key, rid in found}

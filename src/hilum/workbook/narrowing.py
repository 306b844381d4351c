"""Which messages a change of the tables can touch, and the least that must run to see it.

The rule is: what is left out is proven to be the same. A message is left out when no changed line can have a say in
it: no changed row covers its kind and has its segment, no changed code, authority or name of a coding system is in its
text, and for another time zone no field that is read as a time holds one without an offset. One that is not left out
runs through two excerpts of the workbooks (excerpt.py), which say what changed rows write and what becomes of the
fields that they read. A change of keys, of the order of rows or of how authorities are found is run in the whole
workbooks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from hilum.mapping import Literal, Param, Record, Rule, Word, Workbook, params_asked, sender_rank, walk
from hilum.workbook.excerpt import Field, fields_of, readers, writers
from hilum.workbook.local_times import LocalTimes
from hilum.workbook.table_changes import TableChange

__all__ = ["Excerpts", "Narrowing", "Reach", "Touch"]

_UNNAMED = frozenset({"unknown_namespace", "default_authority"})  # used by rows that do not name them
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/-]*")


class Reach(Struct, frozen=True):
    """What one change can touch. `rows` None: every row. `words` None: whatever the text; else one of them is in it."""

    rows: frozenset[str] | None
    words: frozenset[str] | None = None
    sender: str = ""
    whole: bool = False  # only the whole workbooks show it
    fields: frozenset[Field] = frozenset()  # ignores: fields that change their fate
    times: bool = False  # only times without an offset


class _Test(Struct, frozen=True):
    """A change asked of one kind of message: segments of which one must be there, words of which one must be."""

    segments: frozenset[str] | None
    words: tuple[str, ...] | None
    whole: bool
    times: LocalTimes | None = None


class Touch(Struct, frozen=True):
    """What changes have to do with one message: nothing, or all, or these local times beside what else was changed."""

    touched: bool
    whole: bool = False
    times: frozenset[Field] = frozenset()


class Excerpts(Struct, frozen=True):
    """Rows (ids) of both workbooks that tell a difference: `writers` while fates are the same, else `readers`."""

    writers: frozenset[str]  # empty: fates change whatever rows do
    readers: frozenset[str]


class Narrowing:
    """What of two workbooks must run for which message. `reaches` stand beside `changes`."""

    def __init__(
        self,
        current: Workbook,
        candidate: Workbook,
        rules: tuple[Sequence[Rule], Sequence[Rule]],
        changes: Sequence[TableChange],
    ) -> None:
        self._rules = rules
        both = [*rules[0], *rules[1]]
        self._literals = _literals(both, (current, candidate))
        self._by_row: dict[str, list[Rule]] = {}
        for rule in both:
            self._by_row.setdefault(rule.row.row_id, []).append(rule)
        self.reaches = [self._reach(change) for change in changes]
        self._tests: dict[tuple[str, str], tuple[_Test, ...]] = {}

    # -- messages ----------------------------------------------------------------------------------------------

    def tests(self, kind: str, sender: str) -> tuple[_Test, ...]:
        """What must be asked of a message of this kind and sender; () when nothing in it can change."""
        key = (kind, sender)
        found = self._tests.get(key)
        if found is None:
            if len(self._tests) > 4096:
                self._tests.clear()
            found = self._tests[key] = tuple(dict.fromkeys(self._ask(kind, sender)))
        return found

    def touches(self, tests: Iterable[_Test], record: Record) -> Touch:
        """What the changes have to do with one message."""
        there = set(record.names)
        text = ""
        touched = False
        times: set[Field] = set()
        for test in tests:
            if test.segments is not None and there.isdisjoint(test.segments):
                continue
            if test.words is not None:
                text = text or "\r".join([segment.raw for segment in record.segments]).casefold()
                hidden = f"{record.delimiters.escape}x" in text  # a character may be written as its number
                if not hidden and not any(word in text for word in test.words):
                    continue
            if test.times is not None:
                found = test.times.fields_in(record)
                if not found:
                    continue
                times |= found
            if test.whole:
                return Touch(touched=True, whole=True)
            touched = True
        return Touch(touched, False, frozenset(times))

    def excerpts(self, times: frozenset[Field]) -> Excerpts | None:
        """What must run of both where these fields have a time without an offset; None: the whole workbooks."""
        reaches = [reach for reach in self.reaches if not reach.whole]
        if not reaches:
            return None
        changed = [rule for reach in reaches if not reach.times for rule in self._rules_of(reach)]
        fates = [field for rule in changed for field in fields_of(rule)]
        ignored = [field for reach in reaches for field in reach.fields]
        for reach in reaches:
            if reach.times:
                moved = [rule for rule in self._rules_of(reach) if not times.isdisjoint(fields_of(rule))]
                changed += moved
                fates += [field for rule in moved for field in fields_of(rule)]
        both = [*self._rules[0], *self._rules[1]]
        return Excerpts(frozenset() if ignored else writers(both, changed), readers(both, changed, [*fates, *ignored]))

    def _ask(self, kind: str, sender: str) -> Iterable[_Test]:
        for reach in self.reaches:
            if reach.sender and not sender_rank(reach.sender, sender):
                continue
            words = None if reach.words is None else tuple(sorted(reach.words))
            if reach.fields:
                yield _Test(frozenset(segment for segment, _ in reach.fields), words, reach.whole)
                continue
            rules = [rule for rule in self._rules_of(reach) if rule.covers(kind)]
            if not rules:
                continue
            has_key = any(rule.target.role != "element" for rule in rules)
            anchors = frozenset(anchor.segment for rule in rules for anchor in rule.anchors)
            times = LocalTimes(rules) if reach.times else None
            yield _Test(None if has_key or reach.rows is None else anchors, words, reach.whole, times)

    def _rules_of(self, reach: Reach) -> list[Rule]:
        names = self._by_row if reach.rows is None else reach.rows
        return [rule for name in names for rule in self._by_row.get(name, [])]

    # -- changes -----------------------------------------------------------------------------------------------

    def _reach(self, change: TableChange) -> Reach:
        if change.kind == "moved":
            return Reach(None, whole=True)
        if change.table == "rows":
            rules = self._by_row.get(change.key[0], [])
            return Reach(frozenset(change.key[:1]), whole=any(rule.target.role != "element" for rule in rules))
        if change.table == "params":
            return self._reach_of_param(change.key[0])
        if change.table == "ignores":
            return _reach_of_ignore(change.key)
        if change.table == "maps":
            return self._reach_of_entry(*change.key)
        word = change.key[-1]  # authority of a namespace, name of a coding system
        sender = change.key[0] if change.table == "namespaces" else ""
        return Reach(None, self._words(word), sender, whole=True)

    def _reach_of_param(self, name: str) -> Reach:
        if name in _UNNAMED:
            return Reach(None, whole=True)
        rows = frozenset(row for row, rules in self._by_row.items() if any(name in _params(rule) for rule in rules))
        if name == "zone":
            rows |= {row for row, rules in self._by_row.items() if any(name in params_asked(rule) for rule in rules)}
        keys = any(rule.target.role != "element" for row in rows for rule in self._by_row[row])
        return Reach(rows, whole=keys, times=name == "zone" and not self._says_zone())

    def _says_zone(self) -> bool:
        """Whether some row does more with the zone than to read times by it."""
        expressions = (
            one for rules in self._by_row.values() for rule in rules for one in (*rule.alternatives, rule.when)
        )
        return any(isinstance(part, Param) and part.name == "zone" for one in expressions for part in walk(one))

    def _reach_of_entry(self, name: str, sender: str, code: str) -> Reach:
        rules = [rule for rules in self._by_row.values() for rule in rules if rule.row.map == name]
        keys = any(rule.target.role != "element" for rule in rules)
        reads_words = any(isinstance(part, Word) for rule in rules for one in rule.alternatives for part in walk(one))
        words = None if reads_words else self._words(code)
        return Reach(frozenset(rule.row.row_id for rule in rules), words, sender, whole=keys)

    def _words(self, word: str) -> frozenset[str] | None:
        """The text that must be in a message; None when it may come from elsewhere or be written in another way."""
        folded = word.casefold()
        if not _PLAIN.fullmatch(word) or any(folded in literal for literal in self._literals):
            return None
        return frozenset({folded})


def _reach_of_ignore(key: tuple[str, ...]) -> Reach:
    field, _, sender = key
    segment, _, number = field.partition("-")
    return Reach(frozenset(), sender=sender, fields=frozenset({(segment, int(number) if number.isdecimal() else 0)}))


def _params(rule: Rule) -> set[str]:
    expressions = (*rule.alternatives, rule.transform, rule.when)
    return {part.name for one in expressions for part in walk(one) if isinstance(part, Param)}


def _literals(rules: Iterable[Rule], books: Iterable[Workbook]) -> list[str]:
    """Texts that rows hold themselves, so that they need not be in a message."""
    found = set()
    for rule in rules:
        for one in (*rule.alternatives, rule.transform):
            found |= {part.text.casefold() for part in walk(one) if isinstance(part, Literal)}
        found |= {policy.partition(":")[2].casefold() for policy in (rule.missing, rule.unmapped) if ":" in policy}
    for book in books:
        found |= {book.param(line.param).casefold() for line in book.params}
    return sorted(found - {""})

"""Which messages a change of the tables can touch, and the least that must run to see it.

The rule is: what is left out is proven to be the same. A message is left out when no changed line can have a say in
it: no changed row covers its kind and has its segment, no changed code, authority or name of a coding system is in its
text. One that is not left out runs through two small workbooks: all rows of the resources that changed rows write, and
the key rows of what these refer to. Where both make the same, and write for the same fields, the whole workbooks do.
A change of keys, of the order of rows or of a decision that rows use without naming it is run in the whole workbooks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct, structs

from hilum.mapping import Literal, Param, Record, Rule, Word, Workbook, sender_rank, walk
from hilum.workbook.table_changes import TableChange

__all__ = ["Narrowing", "Reach"]

_UNNAMED = frozenset({"zone", "unknown_namespace", "default_authority"})  # used by rows that do not name them
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/-]*")


class Reach(Struct, frozen=True):
    """What one change can touch. `rows` None: every row. `words` None: whatever the text; else one of them is in it."""

    rows: frozenset[str] | None
    words: frozenset[str] | None = None
    sender: str = ""
    whole: bool = False  # only the whole workbooks show it
    fields: frozenset[tuple[str, int]] = frozenset()  # ignores: fields that change their fate


class _Test(Struct, frozen=True):
    """A change asked of one kind of message: segments of which one must be there, words of which one must be."""

    segments: frozenset[str] | None
    words: tuple[str, ...] | None
    whole: bool


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
        self.small = self._small_workbooks(current, candidate)

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

    def touches(self, tests: Iterable[_Test], record: Record) -> tuple[bool, bool]:
        """(whether a change can have a say, whether the whole workbooks must run)."""
        there = set(record.names)
        text = ""
        touched = False
        for test in tests:
            if test.segments is not None and there.isdisjoint(test.segments):
                continue
            if test.words is not None:
                text = text or "\r".join([segment.raw for segment in record.segments]).casefold()
                hidden = f"{record.delimiters.escape}x" in text  # a character may be written as its number
                if not hidden and not any(word in text for word in test.words):
                    continue
            if test.whole:
                return True, True
            touched = True
        return touched, False

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
            yield _Test(None if has_key or reach.rows is None else anchors, words, reach.whole)

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
        keys = any(rule.target.role != "element" for row in rows for rule in self._by_row[row])
        return Reach(rows, whole=keys)

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

    # -- the small workbooks -----------------------------------------------------------------------------------

    def _small_workbooks(self, current: Workbook, candidate: Workbook) -> tuple[Workbook, Workbook] | None:
        """What changed rows write and what reads their fields; None when all changes need the whole workbooks."""
        reaches = [reach for reach in self.reaches if not reach.whole]
        if not reaches:
            return None
        whole = {rule.target.resource for reach in reaches for rule in self._rules_of(reach)}
        keys = self._referred(whole)
        pair = []
        for book, rules in zip((current, candidate), self._rules, strict=True):
            kept = {
                rule.row.row_id
                for rule in rules
                if rule.target.resource in (keys if rule.target.role != "element" else whole)
            }
            pair.append(structs.replace(book, rows=tuple(row for row in book.rows if row.row_id in kept)))
        return pair[0], pair[1]

    def _referred(self, whole: set[str]) -> set[str]:
        """The resources whose ids matter to rows of these: they themselves, and what is named on the way."""
        rules = [rule for rules in self._by_row.values() for rule in rules]
        known = {rule.target.resource for rule in rules}
        found: set[str] = set()
        waiting = set(whole)
        while waiting:
            found |= waiting
            more: set[str] = set()
            for rule in rules:
                if rule.target.resource in waiting and (rule.target.resource in whole or rule.target.role != "element"):
                    more |= known if rule.transform.name == "targets" else _named(rule) & known
            types = {resource.partition(":")[0] for resource in found | more}
            more |= {resource for resource in known if resource.partition(":")[0] in types}  # key(each) counts by type
            waiting = more - found
        return found


def _reach_of_ignore(key: tuple[str, ...]) -> Reach:
    field, _, sender = key
    segment, _, number = field.partition("-")
    return Reach(
        frozenset(), sender=sender, whole=True, fields=frozenset({(segment, int(number) if number.isdecimal() else 0)})
    )


def _named(rule: Rule) -> set[str]:
    """The resources that a row names: ref(Patient), made(Encounter), key(of=Patient)."""
    expressions = (*rule.alternatives, rule.transform, rule.when)
    return {part.name for one in expressions for part in walk(one) if isinstance(part, Word)}


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

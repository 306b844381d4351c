"""What a workbook covers of messages: the fate of every valued field, and codes that its maps do not have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field

from hilum.errors import HilumError
from hilum.formats.stored import read_stored
from hilum.mapping import (
    Context,
    FieldFates,
    MapEntry,
    Path,
    Record,
    Rule,
    Workbook,
    compile_workbook,
    read_rules,
    sender_rank,
)

__all__ = ["Coverage", "CoverageTally"]

MOST_CODES = 20_000  # different codes that are told apart; the rest are counted together
SAMPLES = 3
Param = str | int | float | bool
# Where the code of a datatype stands that a map is asked for: component, counted from 1.
_COMPONENT = {"XPN": 7, "XCN": 10, "CNN": 7, "XAD": 7, "XTN": 2, "CX": 5, "XON": 7}
_Asked = tuple[int, int, int, str, str]  # field, component, sub-component, map, row


class CoverageTally(Struct):
    """Counts over messages; small whatever their number."""

    messages: dict[tuple[str, str], list[int]] = field(default_factory=dict)  # (sender, kind): [messages, held]
    held: dict[tuple[str, str, str], int] = field(default_factory=dict)  # (sender, kind, code)
    fates: dict[tuple[str, str, FieldFates], int] = field(default_factory=dict)
    codes: dict[tuple[str, str, str], list[int]] = field(
        default_factory=dict
    )  # (sender, map, code): [count, sample...]
    texts: dict[tuple[str, str, str], str] = field(default_factory=dict)  # what the first such code was said to mean
    rows: dict[tuple[str, str], str] = field(default_factory=dict)  # (map, row) that asked, to what becomes of a miss
    more_codes: int = 0
    unreadable: dict[str, int] = field(default_factory=dict)

    def merge(self, other: CoverageTally) -> None:
        """Add the counts of other messages."""
        for key, counts in other.messages.items():
            mine = self.messages.setdefault(key, [0, 0])
            mine[0] += counts[0]
            mine[1] += counts[1]
        for name in ("held", "fates", "unreadable"):
            into = getattr(self, name)
            for one, count in getattr(other, name).items():
                into[one] = into.get(one, 0) + count
        for code, found in other.codes.items():
            self.add_code(code, other.texts.get(code, ""), found[0], found[1:])
        self.rows.update(other.rows)
        self.more_codes += other.more_codes

    def add_code(self, key: tuple[str, str, str], text: str, count: int, samples: Iterable[int]) -> None:
        """One code that a map does not have."""
        known = self.codes.get(key)
        if known is None:
            if len(self.codes) >= MOST_CODES:
                self.more_codes += count
                return
            known = self.codes[key] = [0]
            self.texts[key] = text
        known[0] += count
        known[1:] = sorted({*known[1:], *samples})[:SAMPLES]


class Coverage:
    """One workbook over many messages. Raises ConfigError with all findings when it does not compile."""

    def __init__(self, book: Workbook, params: Mapping[str, Param] | None = None) -> None:
        self._plan = compile_workbook(book, params=params or {})
        self._rules = read_rules(self._plan.book)[0]
        self._asked: dict[str, dict[str, tuple[_Asked, ...]]] = {}
        self._known: dict[str, dict[str, set[str]]] = {}
        self._answers: dict[tuple[str, str, str, int, int], tuple[tuple[str, str], ...]] = {}
        self.tally = CoverageTally()

    @property
    def maps(self) -> tuple[MapEntry, ...]:
        """The maps that run."""
        return self._plan.book.maps

    def part(self) -> CoverageTally:
        """The tally so far; a new one is begun."""
        done, self.tally = self.tally, CoverageTally()
        return done

    def leave(self, code: str) -> None:
        """Count a message that cannot be had."""
        self.tally.unreadable[code] = self.tally.unreadable.get(code, 0) + 1

    def take(self, at: int, body: bytes, context: Context, charset: str = "utf-8") -> None:
        """One message. Raises nothing for any message."""
        try:
            record = read_stored(body, charset)
            mapped, fates = self._plan.account(record, context)
            read = self._plan.reading(record, context)
        except HilumError as error:
            self.leave(error.code)
            return
        except Exception as error:  # noqa: BLE001 - one message that breaks a row is counted, the others go on
            self.leave(f"mapping-crashed {type(error).__name__}")
            return
        tally, sender, kind = self.tally, context.sender, record.kind
        counts = tally.messages.setdefault((sender, kind), [0, 0])
        counts[0] += 1
        if mapped.held is not None:
            counts[1] += 1
            why = (sender, kind, mapped.held.code)
            tally.held[why] = tally.held.get(why, 0) + 1
        for one in fates:
            key = (sender, kind, one)
            tally.fates[key] = tally.fates.get(key, 0) + 1
        self._take_codes(at, read, sender)

    # -- codes -------------------------------------------------------------------------------------------------

    def _take_codes(self, at: int, record: Record, sender: str) -> None:
        asked = self._asked.get(record.kind)
        if asked is None:
            if len(self._asked) > 1000:
                self._asked.clear()
            asked = self._asked[record.kind] = self._asked_of(record.kind)
        for segment in record.segments:
            fields = segment.fields
            for number, component, sub, name, row in asked.get(fields[0], ()):
                raw = fields[number] if number < len(fields) else ""
                if raw and raw != '""':
                    for code, text in self._missing(record, sender, name, raw, component, sub):
                        self.tally.add_code((sender, name, code), text, 1, (at,))
                        self.tally.rows[name, row] = self._becomes(row)

    def _asked_of(self, kind: str) -> dict[str, tuple[_Asked, ...]]:
        """For each segment the fields that rows of this kind read through a map."""
        found: dict[str, dict[_Asked, None]] = {}
        for rule in self._rules:
            if rule.row.map and rule.unmapped != "fixed:" and rule.covers(kind):  # `fixed:`: a miss is fine
                for segment, asked in _asked_by(rule):
                    found.setdefault(segment, {})[asked] = None
        return {segment: _once(asked) for segment, asked in found.items()}

    def _missing(
        self, record: Record, sender: str, name: str, raw: str, component: int, sub: int
    ) -> tuple[tuple[str, str], ...]:
        key = (sender, name, raw, component, sub)
        answer = self._answers.get(key)
        if answer is None:
            if len(self._answers) > 50_000:
                self._answers.clear()
            known = self._codes_of(sender).get(name, set())
            codes = _codes_in(record, raw, component, sub)
            answer = self._answers[key] = tuple(one for one in codes if one[0].casefold() not in known)
        return answer

    def _codes_of(self, sender: str) -> dict[str, set[str]]:
        found = self._known.get(sender)
        if found is None:
            if len(self._known) > 1000:
                self._known.clear()
            found = self._known[sender] = {}
            for entry in self.maps:
                if sender_rank(entry.sender, sender):
                    found.setdefault(entry.map, set()).add(entry.code.casefold())
        return found

    def _becomes(self, row: str) -> str:
        rule = next(rule for rule in self._rules if rule.row.row_id == row)
        policy = rule.unmapped
        words = {
            "keep-local": "kept as it is",
            "exception": "an item",
            "reject": "holds the message",
        }
        return words.get(policy, f"`{policy.partition(':')[2]}`")


def _asked_by(rule: Rule) -> Iterator[tuple[str, _Asked]]:
    """Fields of one row whose code its map is asked for: the unit of a quantity, else what its source reads."""
    units = [value for name, value in rule.transform.named if name == "unit" and isinstance(value, Path)]
    paths = units or [path for path in rule.alternatives if isinstance(path, Path)]
    inner = 1 if units else _COMPONENT.get(rule.row.type, 1)
    for path in paths:
        component = path.component or inner
        if path.segment:
            yield path.segment, (path.field, component, path.sub, rule.row.map, rule.row.row_id)
        else:
            for anchor in rule.anchors:
                yield anchor.segment, (anchor.field, component, path.sub, rule.row.map, rule.row.row_id)


def _once(asked: Iterable[_Asked]) -> tuple[_Asked, ...]:
    """Each place of each map once: several rows may read it."""
    return tuple({one[:4]: one for one in reversed(list(asked))}.values())


def _codes_in(record: Record, raw: str, component: int, sub: int) -> Iterator[tuple[str, str]]:
    """(code, text) of each repetition."""
    marks = record.delimiters
    for repetition in raw.split(marks.repetition):
        parts = repetition.split(marks.component)
        whole = parts[component - 1] if component <= len(parts) else ""
        pieces = whole.split(marks.subcomponent)
        code = record.unescape(pieces[max(sub, 1) - 1] if len(pieces) >= max(sub, 1) else "").strip()
        if code and code != '""':
            text = record.unescape(parts[1]).strip() if component == 1 and len(parts) > 1 else ""
            yield code, text

"""What was counted over messages as one value: what people and programs read."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from msgspec import Struct

from hilum.workbook.coverage import Coverage, CoverageTally

__all__ = ["CodeGap", "CoverageReport", "FieldLine", "KindLine", "candidates", "coverage_report"]


class FieldLine(Struct, frozen=True):
    """One field, column or element of one kind of message from one sender: how often it was valued, by fate."""

    sender: str
    kind: str
    field: str
    valued: int
    mapped: int
    ignored: int
    unmapped: int


class KindLine(Struct, frozen=True):
    """Messages of one kind from one sender, how many are held, and the codes of it."""

    sender: str
    kind: str
    messages: int
    held: int
    why: str


class CodeGap(Struct, frozen=True):
    """A code that a map does not have. `becomes`: what rows do with it. `candidates`: targets that are called alike."""

    sender: str
    table: str
    code: str
    text: str
    count: int
    becomes: str
    candidates: tuple[str, ...]
    samples: tuple[int, ...]


class CoverageReport(Struct, frozen=True):
    """What people and programs read."""

    messages: int
    held: int
    unreadable: dict[str, int]
    valued: int
    mapped: int
    ignored: int
    unmapped: int
    kinds: tuple[KindLine, ...]
    fields: tuple[FieldLine, ...]
    codes: tuple[CodeGap, ...]
    more_codes: int


def coverage_report(coverage: Coverage, tally: CoverageTally) -> CoverageReport:
    """Fields with most unmapped values first, then codes that come most often."""
    lines = _field_lines(tally)
    targets: dict[str, dict[str, str]] = {}
    for entry in coverage.maps:
        if entry.target:
            for text in (entry.display, entry.code, entry.target):
                targets.setdefault(entry.map, {}).setdefault(text.casefold(), f"{entry.target} {entry.display}".strip())
    gaps = [
        CodeGap(
            sender,
            name,
            code,
            tally.texts.get((sender, name, code), ""),
            found[0],
            ", ".join(sorted({becomes for (table, _), becomes in tally.rows.items() if table == name})),
            candidates(targets.get(name, {}), code, tally.texts.get((sender, name, code), "")),
            tuple(found[1:]),
        )
        for (sender, name, code), found in tally.codes.items()
    ]
    kinds = tuple(
        KindLine(sender, kind, counts[0], counts[1], _reasons(tally, sender, kind))
        for (sender, kind), counts in sorted(tally.messages.items(), key=lambda one: (-one[1][0], one[0]))
    )
    return CoverageReport(
        sum(counts[0] for counts in tally.messages.values()),
        sum(counts[1] for counts in tally.messages.values()),
        dict(sorted(tally.unreadable.items())),
        sum(line.valued for line in lines),
        sum(line.mapped for line in lines),
        sum(line.ignored for line in lines),
        sum(line.unmapped for line in lines),
        kinds,
        tuple(sorted(lines, key=lambda one: (-one.unmapped, one.sender, one.kind, one.field))),
        tuple(sorted(gaps, key=lambda one: (-one.count, one.sender, one.table, one.code))),
        tally.more_codes,
    )


def _reasons(tally: CoverageTally, sender: str, kind: str) -> str:
    return ", ".join(sorted(code for who, what, code in tally.held if (who, what) == (sender, kind)))


def _field_lines(tally: CoverageTally) -> list[FieldLine]:
    counts: dict[tuple[str, str, str], list[int]] = {}
    for (sender, kind, fates), times in tally.fates.items():
        for at, bits in enumerate((fates.mapped, fates.ignored, fates.left)):
            for place in fates.places(bits):
                counts.setdefault((sender, kind, place), [0, 0, 0])[at] += times
    return [FieldLine(*key, sum(found), *found) for key, found in counts.items()]


def candidates(targets: Mapping[str, str], code: str, text: str) -> tuple[str, ...]:
    """Up to three targets of a map that are called like a code or its text."""
    found: dict[str, None] = {}
    for word, likeness in ((text, 0.75), (code, 0.8)):
        if len(word) > 2 and any(map(str.isalpha, word)):  # numbers that look alike mean nothing
            for near in difflib.get_close_matches(word.casefold(), targets, 3, likeness):
                found[targets[near]] = None
    return tuple(found)[:3]

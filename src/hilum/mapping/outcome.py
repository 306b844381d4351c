"""The end of a run: what became of every field, what is to be told, and why the message is held."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.mapping.accounting import Fates
from hilum.mapping.mapped import Problem
from hilum.mapping.resource_elements import ElementFates
from hilum.mapping.transforms import Report
from hilum.model import Accounting, ExceptionItem

__all__ = ["accounted", "said"]


def accounted(
    patterns: Sequence[bytes], written: Sequence[int], tables: Sequence[Fates | ElementFates]
) -> tuple[Accounting, tuple[ExceptionItem, ...]]:
    """The sums over all segments, and an item for each field that nobody answers for.

    For each segment: one byte per field (is it valued), a bit per field that a row wrote for, and its fates.
    """
    valued = mapped = ignored = exceptions = 0
    items: tuple[ExceptionItem, ...] = ()
    for pattern, bits, table in zip(patterns, written, tables, strict=False):
        key = (pattern, bits)
        fate = table.known.get(key) or table.find(key)
        valued += fate.valued
        mapped += fate.mapped
        ignored += fate.ignored
        if fate.exceptions:
            exceptions += fate.exceptions
            items += fate.items
    return Accounting(valued, mapped, ignored, exceptions), items


def said(pending: list[Report], fates: tuple[ExceptionItem, ...]) -> tuple[tuple[ExceptionItem, ...], Problem | None]:
    """All items, each group once, and why the message is held, if it is; `pending` is empty afterwards."""
    held = None
    found: dict[str, ExceptionItem] = {}
    for report in pending:
        found.setdefault(report.item.group, report.item)
        if report.hold and held is None:
            item = report.item
            held = Problem(item.code, item.location, item.message, item.owner)
    if len(found) > 1:
        _drop_untrue(found)
    places = {item.location for item in found.values()}
    for item in fates:
        if item.location not in places:
            found.setdefault(item.group, item)
    pending.clear()
    return tuple(found.values()), held


def _drop_untrue(found: dict[str, ExceptionItem]) -> None:
    """Where a row said what is wrong with a value, it is not true that nothing is there."""
    said_of = {(item.location, item.row) for item in found.values() if item.code != "field-missing"}
    for group, item in list(found.items()):
        if item.code == "field-missing" and (item.location, item.row) in said_of:
            del found[group]

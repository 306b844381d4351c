"""The fate of every element: mapped, ignored on purpose, or an exception. Nothing else exists.

A **leaf** of a resource is a primitive somewhere in it. It is mapped when a row was read backwards from it, or says as
a constant what the message says anyway; else ignored when a line of the `outward` table names it or what it is part of;
else an exception, one item for each element of a type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hilum.mapping.outward.composing import Pool, references
from hilum.model import Accounting, ExceptionItem

__all__ = ["reckon"]

_INDEX = re.compile(r"\[\d+\]")


def reckon(pool: Pool, ignored: Iterable[tuple[str, str]], receiver: str) -> tuple[Accounting, list[ExceptionItem]]:
    """Counts over all leaves of all resources, and the items of those that nothing became of."""
    general = {path for type_, path in ignored if type_ == "*"}
    special = {(type_, path) for type_, path in ignored}
    silent = _behind(pool, special)
    counts = {"mapped": 0, "ignored": 0, "": 0}
    items: dict[str, ExceptionItem] = {}
    for resource in pool.resources:
        whole = (resource.type, "") in special or resource.reference in silent
        resource.settle_urls()
        for leaf, fate in resource.fates.items():
            if not fate and (whole or _is_ignored(resource.type, leaf, general, special)):
                fate = "ignored"
            counts[fate] += 1
            if not fate:
                item = _item(resource.type, leaf, receiver, is_used=resource.used)
                items.setdefault(item.group, item)
    total = sum(counts.values())
    return Accounting(total, counts["mapped"], counts["ignored"], counts[""]), list(items.values())


def _behind(pool: Pool, special: set[tuple[str, str]]) -> set[str]:
    """Resources that only ignored ones speak of: who sent a message, behind its Provenance; not what that is about."""
    named: dict[bool, set[str]] = {True: set(), False: set()}
    for resource in pool.resources:
        is_left_out = (resource.type, "") in special
        body = {name: value for name, value in resource.body.items() if name != "target" or not is_left_out}
        named[is_left_out] |= set(references(body))
    return {one.reference for one in pool.resources if not one.used} & named[True] - named[False]


def _is_ignored(type_: str, leaf: str, general: set[str], special: set[tuple[str, str]]) -> bool:
    path = _INDEX.sub("", leaf)
    while path:
        if (type_, path) in special or path in general:
            return True
        path = path.rpartition(".")[0]
    last = _INDEX.sub("", leaf).rpartition(".")[2]
    return f"~{last}" in general


def _item(type_: str, leaf: str, receiver: str, *, is_used: bool) -> ExceptionItem:
    if not is_used:
        message = "no segment of the message is about this resource"
        return ExceptionItem("resource-not-sent", message, type_, "", "", f"resource-not-sent|{receiver}|{type_}")
    element = f"{type_}.{_INDEX.sub('', leaf)}"
    message = "no row can say this element, and it is not left out on purpose"
    return ExceptionItem("element-not-sent", message, element, "", "", f"element-not-sent|{receiver}|{element}")

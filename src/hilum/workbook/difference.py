"""What a candidate workbook makes of messages that the current one makes otherwise: resources, fields, holds, items."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from hilum.mapping import Mapped
from hilum.model import Draft
from hilum.workbook.comparing import decode, differences

__all__ = ["FieldChange", "ResourceChange", "is_same", "resource_changes", "stripped"]

_INDEX = re.compile(r"\[\d+\]")


class FieldChange(Struct, frozen=True):
    """One leaf: `path` without indexes; `before` and `after` are JSON, "" where there is nothing."""

    path: str
    before: str
    after: str


class ResourceChange(Struct, frozen=True):
    """`kind`: added, removed, changed, or renamed (the same thing under another id, because its key changed)."""

    kind: str
    type: str
    id: str  # of the candidate; of the current workbook when it is removed
    old_id: str
    fields: tuple[FieldChange, ...] = ()


def is_same(before: Mapped, after: Mapped) -> bool:
    """Whether nothing that a person would call a difference is there; owners of items are not compared."""
    return (
        before.drafts == after.drafts
        and before.accounting == after.accounting
        and before.merges == after.merges
        and (before.exceptions == after.exceptions or items_of(before) == items_of(after))
        and held_by(before) == held_by(after)
    )


def held_by(mapped: Mapped) -> tuple[str, str] | None:
    """(code, location) of a hold."""
    return (mapped.held.code, mapped.held.location) if mapped.held else None


def items_of(mapped: Mapped) -> set[tuple[str, str, str]]:
    """(code, location, row) of each exception."""
    return {(item.code, item.location, item.row) for item in mapped.exceptions}


def stripped(path: str) -> str:
    """A path without indexes."""
    return _INDEX.sub("", path) if "[" in path else path


def resource_changes(before: Sequence[Draft], after: Sequence[Draft]) -> Iterator[ResourceChange]:
    """What differs between the resources of one message. Resources that changed their id are paired in their order."""
    old = {draft.id: draft for draft in before}  # the type is in the id
    new = {draft.id: draft for draft in after}
    gone: dict[str, list[Draft]] = {}
    come: dict[str, list[Draft]] = {}
    for id_, draft in old.items():
        if id_ not in new:
            gone.setdefault(draft.type, []).append(draft)
    for id_, draft in new.items():
        if id_ not in old:
            come.setdefault(draft.type, []).append(draft)
        elif draft != old[id_]:
            fields = tuple(_field_changes(old[id_], draft))
            if fields:
                yield ResourceChange("changed", draft.type, draft.id, draft.id, fields)
    for type_ in {**gone, **come}:
        yield from _unpaired(gone.get(type_, []), come.get(type_, []))


def _unpaired(gone: Sequence[Draft], come: Sequence[Draft]) -> Iterator[ResourceChange]:
    if len(gone) == len(come):
        for old, new in zip(gone, come, strict=True):
            yield ResourceChange("renamed", new.type, new.id, old.id, tuple(_field_changes(old, new)))
        return
    for draft in gone:
        yield ResourceChange("removed", draft.type, draft.id, draft.id)
    for draft in come:
        yield ResourceChange("added", draft.type, draft.id, draft.id)


def _field_changes(before: Draft, after: Draft) -> Iterator[FieldChange]:
    for suffix, old, new in (("", before.elements, after.elements), ("?", before.defaults, after.defaults)):
        if old == new:
            continue
        for name in [*old, *(name for name in new if name not in old)]:
            if old.get(name) != new.get(name):
                yield from _leaves_that_differ(name, old, new, suffix)
    if before.cleared == after.cleared and before.slots == after.slots:
        return
    for name in [one for one in before.cleared if one not in after.cleared]:
        yield FieldChange(f"{name} (deleted)", "true", "")
    for name in [one for one in after.cleared if one not in before.cleared]:
        yield FieldChange(f"{name} (deleted)", "", "true")
    if before.slots != after.slots and before.elements == after.elements:
        for name in {**before.slots, **after.slots}:
            if before.slots.get(name) != after.slots.get(name):
                yield FieldChange(
                    f"{name} (whose items are whose)", str(before.slots.get(name)), str(after.slots.get(name))
                )


def _leaves_that_differ(
    name: str, old: Mapping[str, Any], new: Mapping[str, Any], suffix: str
) -> Iterator[FieldChange]:
    before, after = bytes(old.get(name, b"")), bytes(new.get(name, b""))
    if _is_plain(before) and _is_plain(after):  # most elements: what is shown of a text is its JSON
        yield FieldChange(stripped(name) + suffix, before.decode(), after.decode())
        return
    first = {name: decode(before)} if before else {}
    second = {name: decode(after)} if after else {}
    for one in differences(first, second):
        yield FieldChange(stripped(one.path) + suffix, one.expected, one.got)


def _is_plain(value: bytes) -> bool:
    """A text without escapes, or nothing."""
    return not value or (value[:1] == b'"' and b"\\" not in value)

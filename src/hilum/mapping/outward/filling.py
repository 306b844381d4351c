"""Rows read backwards into the segments of one message, and every element that was read accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hilum.mapping.outward.composing import fits, reference_of
from hilum.mapping.outward.entries import Entry
from hilum.mapping.outward.holders import Holder
from hilum.mapping.outward.naming import Naming, Slot
from hilum.mapping.outward.resources import Resource, View
from hilum.mapping.outward.sharing import inside
from hilum.mapping.outward.writing import is_mapped
from hilum.mapping.syntax import Path

__all__ = ["Filler"]


class Filler(Naming):
    """Fills the segments of one message."""

    def fill(self, holder: Holder) -> None:
        """Write everything that the rows of one segment say."""
        if holder.row:
            for entry in self._index.entries:
                if entry.rule.row.row_id == holder.row:
                    self._run(holder, entry, may_imply=True)
            return
        if holder.item is not None and holder.item[1].resource.is_settled(holder.item[1].path):
            return  # another segment has said it
        here = [entry for entry in self._index.at_segment(holder.name) if self._runs(entry, holder)]
        here.sort(key=lambda entry: len(entry.rule.alternatives) > 1)  # what has a choice goes where room is left
        own = [entry for entry in here if entry.rule.target.resource in holder.own]
        inherited = [entry for entry in here if entry.rule.target.resource not in holder.own]
        self._fill_fields(holder, beside=False)
        if holder.item is not None:
            self._fill_fields(holder, beside=True)  # it came for this item: what the item says goes first
        for entry in own:
            self._run(holder, entry, may_imply=True)
        if holder.item is None:
            self._fill_fields(holder, beside=True)
        for entry in inherited:
            self._run(holder, entry, may_imply=False)
        self._settle()

    def _runs(self, entry: Entry, holder: Holder) -> bool:
        anchors = entry.rule.anchors
        return holder.bound(entry.rule.target.resource) is not None and any(
            fits(anchor.chain, anchor.direct, holder) for anchor in anchors
        )

    def _run(self, holder: Holder, entry: Entry, *, may_imply: bool) -> None:
        resource = holder.bound(entry.rule.target.resource)
        assert resource is not None
        if entry.kind == "ref" and entry.source is None and holder.item is None:
            views = list(
                inside(resource.view(), entry.steps, 0)
            )  # whoever shares it: it is what is bound, or it is not
        else:
            views = self._sharing.values(entry, resource, holder.only)
        index = 0
        for view in views:
            if entry.kind == "const":
                self._claim_constant(holder, entry, view)
            elif entry.kind == "event":
                self._claim_event(entry, view)
            elif entry.kind == "ref":
                index += self._refer(holder, entry, view, index)
            elif view.value in self._index.unsaid.get((entry.rule.target.resource, entry.names), ()):
                continue  # what stands for "not said" is not said: its own row claims it
            elif entry.kind == "value" and self._is_open(holder, view):
                if not may_imply and not self._is_said(holder, entry):
                    continue
                index += self._write(holder, entry, view, index, may_imply=may_imply)
                if not self._takes_more(entry):
                    break

    def _is_said(self, holder: Holder, entry: Entry) -> bool:
        """Rows of a resource that other segments are about write only where their condition stands already."""
        for implied in entry.implied:
            if holder.text(implied.path) not in implied.texts and not self._free_value(holder, entry):
                return False
        return True

    def _free_value(self, holder: Holder, entry: Entry) -> bool:
        """A result without any value can carry an attachment of its report."""
        if entry.spec.transform != "attachment":
            return False
        observation = holder.own.get("Observation")
        if observation is None or 5 in holder.fields:
            return False
        names = observation.body.keys()
        return not any(
            name.startswith("value") or name in ("dataAbsentReason", "component", "hasMember") for name in names
        )

    def _fill_fields(self, holder: Holder, *, beside: bool) -> None:
        """Fields of field anchors; `beside`: those whose rows need what other rows write (OBX-3 beside OBX-5)."""
        for number in self._index.fields(holder.name):
            entries = self._at_field(holder, number)
            if beside == any(self._leans(one) for one in entries):
                self._fill_field(holder, number, entries)

    def _leans(self, entry: Entry) -> bool:
        """Whether a row of a field anchor reads a field that a row of a segment anchor reads too."""
        return entry.source is not None and (entry.source.segment, entry.source.field) in self._index.plain_fields

    def _fill_field(self, holder: Holder, number: int, entries: Sequence[Entry]) -> None:
        """One repetition for each item that the rows of a field anchor share out to it."""
        index = len(holder.fields.get(number, ()))
        done: set[tuple[str, str, str]] = set()
        for entry in entries:
            resource = holder.bound(entry.rule.target.resource)
            if resource is None or entry.kind in ("const", "event", "none"):
                continue
            if entry.kind == "value" and (entry.source is None or entry.source.segment):
                continue
            depth = next((at for at, step in enumerate(entry.steps) if step.item is not None), -1)
            if depth < 0:
                continue
            for view in self._sharing.values(entry, resource, holder.only):
                item = _item_path(view.path, depth)
                key = (resource.reference, item, str(entry.branch(depth)))
                if key in done:
                    continue
                done.add(key)
                group = [
                    one
                    for one in entries
                    if one.rule.target.resource == entry.rule.target.resource
                    and len(one.steps) > depth
                    and one.branch(depth) == entry.branch(depth)
                ]
                label = entry.steps[depth].item or ""
                if self._fill_item(holder, number, index, group, resource, (label, View(None, item, resource))):
                    index += 1

    def _fill_item(
        self,
        holder: Holder,
        number: int,
        index: int,
        group: Iterable[Entry],
        resource: Resource,
        item: tuple[str, View],
    ) -> bool:
        """Everything that one item says: fields beside the repetition first, and nothing when one of them is taken."""
        pairs = [
            (entry, view)
            for entry in group
            for view in self._sharing.values(entry, resource, {(entry.rule.target.resource, item[0]): item[1].path})
            if view.path.startswith(item[1].path)
        ]
        for entry, view in pairs:
            if entry.kind == "value" and entry.source is not None and entry.source.segment:
                pending = len(self._out.pending)
                self._write(holder, entry, view, 0, may_imply=True)
                if not is_mapped(view):
                    del self._out.pending[pending:]
                    return False
        wrote = False
        for entry, view in pairs:
            if entry.kind == "const":
                self._claim_constant(holder, entry, view)
            elif entry.kind == "ref" and entry.source is None:
                target = self._pool.find(reference_of(view))
                is_level = target is not None and ":" in entry.reference and target.reference in holder.levels
                if target is not None and (
                    is_level or self._fill_slot(Slot(holder, number, index, {entry.reference: target}))
                ):
                    wrote = wrote or not is_level  # the ward of a bed that stands there is said already
                    target.used = True
                    view.take()
                    view.commit()
            elif entry.kind == "ref":
                if self._name(holder, entry, Path("", field=number), index, view):
                    wrote = True
                    view.take()
                    view.commit()
            elif _is_repetition(entry) and self._imply(holder, entry, "", write=True):
                wrote = self._write_slot(Slot(holder, number, index, {}), entry, view) or wrote
        return wrote


def _item_path(path: str, depth: int) -> str:
    return ".".join(path.split(".")[: depth + 1])


def _is_repetition(entry: Entry) -> bool:
    """Whether a row reads the repetition of its field anchor: `@`, `@.1`."""
    return entry.kind == "value" and entry.source is not None and not entry.source.segment

"""Fields that name somebody or some place: filled from the resource that an element refers to."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from hilum.mapping.outward.composing import fits_chain, reference_of
from hilum.mapping.outward.entries import Entry
from hilum.mapping.outward.frame import Parts, inverse_of
from hilum.mapping.outward.holders import Holder
from hilum.mapping.outward.inverse_texts import words_parts
from hilum.mapping.outward.resources import Resource, View
from hilum.mapping.outward.sharing import same_code
from hilum.mapping.outward.writing import Writing, shifted
from hilum.mapping.syntax import Path

__all__ = ["Naming", "Slot"]


class Slot(Struct, frozen=True):
    """One repetition of a field that is filled from resources of its own: the attending doctor, a bed."""

    holder: Holder
    field: int
    index: int
    own: dict[str, Resource]


class Naming(Writing):
    """Writes references: persons, organizations and places with their numbers and names."""

    def _refer(self, holder: Holder, entry: Entry, view: View, index: int) -> int:
        """A reference: to what the message is about anyway, or to somebody whom a field of this row names."""
        if entry.source is None:
            bound = holder.bound(entry.reference)
            if bound is not None and reference_of(view) == bound.reference:
                bound.used = True
                view.take()
                view.commit()
            return 0
        target = holder.find(entry.source.segment)
        if target is None or not self._is_open(holder, view):
            return 0
        at = max(entry.source.repetition, 1) - 1 if entry.source.repetition > 0 else index
        if self._name(target, entry, entry.source, at, view):
            view.take()
            view.commit()
            holder.written.add(f"{view.resource.reference} {view.path}")
            return 1
        return 0

    def _name(self, target: Holder, entry: Entry, path: Path, index: int, view: View) -> bool:
        """Fill one repetition with the resource that is referred to; with its words where it is not at hand."""
        resource = self._pool.find(reference_of(view))
        is_meant = resource is not None and resource.type == entry.reference.partition(":")[0]
        if resource is not None and is_meant:
            slot = Slot(target, path.field, index, {entry.reference: resource})
            if self._fill_slot(slot):
                resource.used = True
                return True
        if view.peek("reference") and resource is None:
            message = "a resource that is referred to is not at hand: it is named by its display, if it has one"
            self._out.report(entry.spec, "reference-unresolved", message, hold=False)
        words = view.peek("display")
        if not words:
            return False
        parts = shifted(words_parts(words, entry.spec.type), path, entry.spec.type)
        if not target.fits(path.field, index, parts):
            return False
        self._note(target, path.field, index, entry, f"{view.resource.reference} {view.path}", parts)
        return True

    def _at_field(self, holder: Holder, number: int) -> list[Entry]:
        return [
            entry
            for entry in self._index.fields(holder.name).get(number, ())
            if any(
                anchor.field == number and fits_chain(anchor.chain, holder.name, holder.parent)
                for anchor in entry.rule.anchors
            )
        ]

    def _fill_slot(self, slot: Slot) -> bool:
        """Rows of the field anchor for resources of the repetition, and those that they are part of."""
        entries = sorted(self._at_field(slot.holder, slot.field), key=lambda entry: len(entry.rule.alternatives) > 1)
        own = dict(slot.own)
        wrote, going = False, True
        done: set[int] = set()
        while going:
            going = False
            for entry in entries:
                resource = own.get(entry.rule.target.resource)
                if resource is None or entry.order in done:
                    continue
                done.add(entry.order)
                for view in self._sharing.values(entry, resource)[: None if self._takes_more(entry) else 1]:
                    if entry.kind == "const":
                        self._claim_constant(slot.holder, entry, view)
                    elif entry.kind == "ref":
                        target = self._pool.find(reference_of(view))
                        if target is not None and entry.reference not in own and _is_level(target, entry, entries):
                            own[entry.reference], going, target.used = target, True, True
                            slot.holder.levels.add(target.reference)
                            view.take()
                            view.commit()
                    elif entry.kind == "value":
                        wrote = self._write_slot(slot, entry, view) or wrote
        return wrote

    def _write_slot(self, slot: Slot, entry: Entry, view: View) -> bool:
        inverse = inverse_of(entry.spec.transform)
        if inverse is None or entry.source is None:
            return False
        if len(entry.rule.alternatives) > 1:
            self._claim_part(slot, entry, view)
            return False
        if entry.source.segment:
            target = slot.holder.find(entry.source.segment)
            field, index = entry.source.field, 0
        else:
            target, field, index = slot.holder, slot.field, slot.index
        found = inverse(view, entry.spec, self._out)
        if target is None or found is None or not found.repetitions:
            return False
        parts = shifted(found.repetitions[0], entry.source, entry.spec.type)
        if entry.spec.type == "PL" and entry.spec.transform == "text":
            parts = self._place_words(slot, parts)
        if entry.source.component == 4 and not entry.source.segment:
            parts = _hierarchic(parts)
        beside = self._beside(slot.holder, entry, found)
        if not target.fits(field, index, parts) or beside is None:
            view.commit()  # the words of a place or person that stands there with its parts
            return False
        for one, number, at, more in [(target, field, index, parts), *beside]:
            self._note(one, number, at, entry, f"{view.resource.reference} {view.path}", more)
        view.commit()
        return bool(parts)

    @staticmethod
    def _claim_part(slot: Slot, entry: Entry, view: View) -> None:
        """A text that came from one of several parts: mapped when one of them holds it; which, is not made up."""
        paths = [one for one in entry.rule.alternatives if isinstance(one, Path) and not one.segment]
        there = slot.holder.fields.get(slot.field, [])
        said = there[slot.index] if slot.index < len(there) else {}
        if view.peek() in [said.get((path.component, max(path.sub, 1))) for path in paths]:
            view.take()
            view.commit()

    @staticmethod
    def _place_words(slot: Slot, parts: Parts) -> Parts:
        """The name of a place is a description only where its parts do not say it already."""
        there = slot.holder.fields.get(slot.field, [])
        said = there[slot.index] if slot.index < len(there) else {}
        texts = [said.get((at, 1), "") for at in (1, 2, 3, 7, 4)]
        name = next(iter(parts.values()), "")
        known = {" ".join(filter(None, texts)), " ".join(filter(None, texts[:4]))}
        facility = slot.holder.fields and " ".join(filter(None, texts[:4]))
        return {} if name in known or (facility and name.startswith(facility)) else parts


def _hierarchic(parts: Parts) -> Parts:
    """A facility (PL.4) whose text holds its universal id as well, in sub-components as an HD has them."""
    return {
        (component, sub): text
        for (component, first), whole in parts.items()
        for sub, text in enumerate(whole.split("&"), first)
    }


def _is_level(target: Resource, entry: Entry, entries: Iterable[Entry]) -> bool:
    """Whether a place is the kind of place that a row means: `Location:ward` has the physical type of wards."""
    for one in entries:
        if one.rule.target.resource == entry.reference and one.kind == "const" and one.rule.when is None:
            name = one.steps[0].name
            if isinstance(one.constant, dict) and not same_code(target.body.get(name), one.constant):
                return False
    return target.type == entry.reference.partition(":")[0]

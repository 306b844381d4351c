"""One value of a resource written into one field: everything of it or nothing, and never over something else."""

from __future__ import annotations

from msgspec import Struct

from hilum.mapping.outward.composing import Pool
from hilum.mapping.outward.entries import REPEATING, Entry, Index
from hilum.mapping.outward.frame import Inverted, Out, Parts, inverse_of
from hilum.mapping.outward.holders import Holder
from hilum.mapping.outward.resources import View, leaves
from hilum.mapping.outward.sharing import Sharing, same_code
from hilum.mapping.syntax import Path

__all__ = ["Note", "Writing", "is_mapped", "shifted"]

_COMPOSITE_WORDS = "CWE CE CNE CF CX EI XON XCN CNN XPN CQ HD PL DLN EIP"
_COMPOSITE = frozenset(_COMPOSITE_WORDS.split())
_LONG = 200  # characters; longer texts are TX, as ST holds no more (HL7 v2.5.1, 2.A.75)


class Note(Struct, frozen=True):
    """One thing written: where, by which row, from which element."""

    holder: Holder
    field: int
    index: int
    row: str
    element: str
    parts: Parts


def shifted(parts: Parts, path: Path, type_: str) -> Parts:
    """Parts of a datatype as they stand at a path: inside a component its components are sub-components."""
    if path.component == 0:
        return parts
    if type_ in _COMPOSITE and path.sub == 0:
        return {(path.component, component): text for (component, _), text in parts.items()}
    return {(path.component, max(path.sub, 1)): text for text in list(parts.values())[:1]}


def is_mapped(view: View) -> bool:
    """Whether all of a value has found its place, here or in another segment."""
    return all(view.resource.fates.get(leaf) == "mapped" for leaf in leaves(view.value, view.path))


class Writing:
    """Writes values, claims what the message says anyway, and notes what it wrote."""

    def __init__(self, index: Index, out: Out, pool: Pool, sharing: Sharing) -> None:
        self._index, self._out, self._pool, self._sharing = index, out, pool, sharing
        self.notes: list[Note] = []
        self._waiting: list[tuple[Holder, Entry, View]] = []

    @staticmethod
    def _is_open(holder: Holder, view: View) -> bool:
        return f"{view.resource.reference} {view.path}" not in holder.written

    def _takes_more(self, entry: Entry) -> bool:
        return entry.rule.repeats == "each" or any(step.item is not None for step in entry.steps)

    def _claim_constant(self, holder: Holder, entry: Entry, view: View) -> None:
        """What a row writes whatever the message says: mapped where its condition stands, or can be made to stand."""
        if not same_code(view.value, entry.constant):
            return
        if entry.implied:
            self._waiting.append((holder, entry, view))
            return
        view.take()
        view.commit()

    def _settle(self) -> None:
        """The constants whose conditions speak of fields: now all of those are written that will be."""
        for holder, entry, view in self._waiting:
            if self._imply(holder, entry, "", write=True):
                view.take()
                view.commit()
        self._waiting.clear()

    def _claim_event(self, entry: Entry, view: View) -> None:
        """What the event itself says: `A03` finishes an encounter."""
        event = self._out.params["event"]
        found = self._out.codes.forward(entry.spec.map, event) if entry.spec.map else None
        target = found.target if found is not None else event
        coded = [one.peek("code") for one in view.items("coding")] if isinstance(view.value, dict) else [view.peek()]
        if target in coded:
            view.take()
            view.commit()

    def _imply(self, holder: Holder, entry: Entry, text: str, *, write: bool) -> bool:
        """Whether what the row's condition says of other fields stands there, or can be written there."""
        for implied in entry.implied:
            there = holder.text(implied.path)
            if there in implied.texts:
                continue
            target = holder.find(implied.path.segment) if implied.path.segment else None
            if there or target is None or (implied.path.segment, implied.path.field) in self._index.valued_fields:
                return False  # what a value belongs into is never made up for a condition
            if write:
                chosen = implied.texts[0]
                if "TX" in implied.texts and ("\n" in text or len(text) > _LONG):
                    chosen = "TX"
                place = (max(implied.path.component, 1), max(implied.path.sub, 1))
                self._note(target, implied.path.field, 0, entry, "", {place: chosen})
        return True

    def _write(self, holder: Holder, entry: Entry, view: View, index: int, *, may_imply: bool) -> int:
        """Write one value; how many repetitions it took."""
        assert entry.source is not None
        target = holder.find(entry.source.segment)
        if target is None or (may_imply and not self._imply(holder, entry, "", write=False)):
            return 0
        if self._agrees(holder, entry, view):
            return 0
        inverse = inverse_of(entry.spec.transform)
        if inverse is None or (entry.rule.target.default and entry.spec.transform == "code"):
            return 0  # a status that only serves where none is stored says nothing of this field
        self._out.start = target.text(entry.source)
        before = len(self._out.pending)
        found = inverse(view, entry.spec, self._out)
        if found is None or self._is_denied(holder, entry, found):
            return 0
        if entry.rule.row.transform.startswith("text(join") and self._joined(target, entry, view, found):
            return 0
        if not self._place(holder, target, entry, view, index, found):
            del self._out.pending[before:]
            if not is_mapped(view):
                self._conflict(entry)
            return 0
        if may_imply:
            text = "".join(next(iter(found.repetitions), {}).values()) if len(found.repetitions) < 2 else "\n"
            self._imply(holder, entry, text, write=True)
        view.commit()
        holder.written.add(f"{view.resource.reference} {view.path}")
        return len(found.repetitions)

    @staticmethod
    def _is_denied(holder: Holder, entry: Entry, found: Inverted) -> bool:
        """Whether the row's condition forbids what stands in a field, or what this value would write there."""
        for denied in entry.denied:
            texts = {holder.text(denied.path)}
            for name, path in entry.rule.transform.named:
                if isinstance(path, Path) and (path.segment, path.field) == (denied.path.segment, denied.path.field):
                    texts.update(found.extra.get(name, {}).values())
            if texts & set(denied.texts):
                return True
        return False

    def _joined(self, target: Holder, entry: Entry, view: View, found: Inverted) -> bool:
        """A text joined of all repetitions, where other rows have written those already: it adds words to them."""
        assert entry.source is not None
        there = target.fields.get(entry.source.field, [])
        if not there:
            return False
        texts = [next(iter(parts.values()), "") for parts in found.repetitions]
        if len(texts) == len(there):
            for repetition, text in zip(there, texts, strict=True):
                if text not in repetition.values():
                    repetition.setdefault((2, 1), text)
        elif not all(any(text in one.values() for one in there) for text in texts):
            return False
        view.commit()
        return True

    def _agrees(self, holder: Holder, entry: Entry, view: View) -> bool:
        """Whether the code that stands there already means this very value."""
        spec = entry.spec
        if spec.transform == "text":
            return self._stands_elsewhere(holder, entry, view)
        if not spec.map or entry.source is None or spec.transform not in ("code", "coding", "CWE"):
            return False
        there = self._out.codes.forward(spec.map, holder.text(entry.source))
        if there is None or not there.target:
            return False
        coded = (
            [view.peek("code")] if spec.transform == "coding" else [one.peek("code") for one in view.items("coding")]
        )
        if there.target not in ([view.peek()] if spec.transform == "code" else coded):
            return False
        if spec.transform == "CWE" and len(coded) > 1:
            return False
        view.take()
        view.commit()
        return True

    def _stands_elsewhere(self, holder: Holder, entry: Entry, view: View) -> bool:
        """Whether another alternative of the row's source holds this text already."""
        paths = [one for one in entry.rule.alternatives if isinstance(one, Path) and one.segment]
        if len(paths) < 2 or view.peek() not in [holder.text(path) for path in paths]:
            return False
        view.take()
        view.commit()
        return True

    def _place(self, holder: Holder, target: Holder, entry: Entry, view: View, index: int, found: Inverted) -> bool:
        """Put everything or nothing; a place that says something else already is an item."""
        assert entry.source is not None
        path = entry.source
        plan: list[tuple[Holder, int, int, Parts]] = []
        for number, parts in enumerate(found.repetitions):
            placed = shifted(parts, path, entry.spec.type)
            at = (max(path.repetition, 1) - 1 if path.repetition > 0 else index) + number
            while not target.fits(path.field, at, placed):
                if (target.name, path.field) not in REPEATING or self._is_wide(entry):
                    return False
                at += 1
            plan.append((target, path.field, at, placed))
        beside = self._beside(holder, entry, found)
        if beside is None:
            return False
        plan += beside
        for one, field, at, parts in plan:
            self._note(one, field, at, entry, f"{view.resource.reference} {view.path}", parts)
        return True

    @staticmethod
    def _beside(holder: Holder, entry: Entry, found: Inverted) -> list[tuple[Holder, int, int, Parts]] | None:
        """What the row's path arguments get: unit, type, end; None when one of them says something else already."""
        plan = []
        for name, value in entry.rule.transform.named:
            if name not in found.extra or not isinstance(value, Path):
                continue
            other = holder.find(value.segment)
            placed = shifted(found.extra[name], value, "CWE" if value.component == 0 else "")
            if other is None or not other.fits(value.field, 0, placed):
                return None
            plan.append((other, value.field, 0, placed))
        return plan

    @staticmethod
    def _is_wide(entry: Entry) -> bool:
        return entry.source is not None and entry.source.component > 0

    def _conflict(self, entry: Entry) -> None:
        message = "another element has written this field already, and says something else"
        self._out.report(entry.spec, "field-taken", message, hold=False)

    def _note(self, holder: Holder, field: int, index: int, entry: Entry, element: str, parts: Parts) -> None:
        holder.put(field, index, parts)
        self.notes.append(Note(holder, field, index, entry.rule.row.row_id, element, parts))

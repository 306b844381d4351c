"""Which segments a message has: one for each resource or item that a line of the `outward` table names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hilum.mapping.outward.entries import Entry
from hilum.mapping.outward.holders import Holder
from hilum.mapping.outward.lines import Lines, SegmentLine, Test
from hilum.mapping.outward.resources import Resource, View
from hilum.mapping.outward.sharing import Sharing
from hilum.mapping.outward.twins import has_twin, leave_to_twin

__all__ = ["Composer", "Pool", "fits", "fits_chain", "reference_of", "references"]


def reference_of(view: View) -> str:
    """`Patient/1` of a Reference, however it is written."""
    text = view.peek("reference")
    return "/".join(text.split("/_history/")[0].split("/")[-2:]) if "/" in text else ""


def _values(resource: Resource, path: Sequence[str]) -> Iterator[View]:
    spots = [resource.view()]
    for name in path:
        spots = [item for view in spots for item in view.items(name)]
    yield from spots


class Pool:
    """The resources that a message may be made of."""

    def __init__(self, bodies: Any) -> None:
        self.resources = [Resource(body) for group in bodies.values() for body in group]
        self._by_reference = {one.reference: one for one in self.resources}

    def find(self, reference: str) -> Resource | None:
        """The resource that a reference means."""
        return self._by_reference.get(reference)

    def of(self, type_: str) -> list[Resource]:
        """All of one type."""
        return [one for one in self.resources if one.type == type_]

    def referring(self, type_: str, path: Sequence[str], to: Resource) -> list[Resource]:
        """Those of a type whose element refers to a resource."""
        wanted = to.reference
        return [one for one in self.of(type_) if any(reference_of(view) == wanted for view in _values(one, path))]

    def referred(self, by: Resource, path: Sequence[str], type_: str) -> list[Resource]:
        """Those of a type that an element refers to, in its order."""
        found = (self.find(reference_of(view)) for view in _values(by, path))
        return [one for one in dict.fromkeys(found) if one is not None and one.type == type_]

    def roots(self, root: Resource | None, type_: str) -> list[Resource]:
        """What `type_` means in a message about `root`: itself, what it refers to, else all there are."""
        if root is not None and root.type == type_:
            return [root]
        everything = self.of(type_)
        if root is None or len(everything) < 2:
            return everything
        named = set(references(root.body))
        return [one for one in everything if one.reference in named]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        text = value.get("reference")
        if isinstance(text, str) and "/" in text:
            yield "/".join(text.split("/")[-2:])
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


class Composer:
    """Makes the segments of one message. `doubts` are the types of which there are several and none was named."""

    def __init__(
        self, lines: Lines, entries: Sequence[Entry], pool: Pool, sharing: Sharing, root: Resource | None
    ) -> None:
        self._lines, self._entries, self._pool, self._sharing, self._root = (
            lines.segments,
            entries,
            pool,
            sharing,
            root,
        )
        self._bound = lines.bound
        self._labels = {line.each.label for _, line in lines.bound}
        self.doubts: list[str] = []
        self._twinned: set[tuple[str, str]] = set()  # items that a segment about the same person has taken
        self._at = {line.line.line_id: number for number, line in enumerate(lines.segments)}

    def compose(self) -> Holder:
        """The message: a nameless holder whose members are its segments in order."""
        top = Holder("", None, None)
        top.members = [top]
        for line in self._lines:
            if line.each.how == "root":
                self._bind_root(top, line)
        for line in self._lines:
            if not line.under:
                top.members.extend(self._instances(line, top))
        top.members.remove(top)
        return top

    def _bind_root(self, top: Holder, line: SegmentLine) -> None:
        label = line.each.label
        if label in top.own or line.each.type in self.doubts:
            return
        found = [one for one in self._pool.roots(self._root, line.each.type) if self._holds(line.tests, one, top)]
        if len(found) > 1:
            self.doubts.append(line.each.type)
        elif found:
            top.own[label] = found[0]

    def _instances(self, line: SegmentLine, parent: Holder) -> Iterator[Holder]:
        for own, item, row in self._sources(line, parent):
            holder = Holder(line.name, line, parent)
            holder.own, holder.item, holder.row = own, item, row
            if item is None:
                holder.only = self._twins(holder)
            else:
                holder.only = {(next(iter(own)), item[0]): item[1].path}
            self._bind_more(line, holder)
            self._bind_references(holder)
            self._group(line, holder)
            yield holder

    def _twins(self, holder: Holder) -> dict[tuple[str, str], str]:
        """Of a segment about a person (NK1): the item of the patient's list that says the same person, "" for none.

        The rows of the segment write both; without this the contacts of others would go out under this name.
        """
        is_referring = holder.line is not None and holder.line.each.how == "referring"
        persons = [one for one in holder.own.values() if is_referring and "name" in one.body]
        found: dict[tuple[str, str], str] = {}
        for entry in self._entries if persons else ():
            label = next((step.item for step in entry.steps if step.item is not None), None) or "+"
            key, resource = (entry.rule.target.resource, label), holder.bound(entry.rule.target.resource)
            if label.startswith("+") or key in found or resource is None or resource in holder.own.values():
                continue
            if any(fits(anchor.chain, anchor.direct, holder) for anchor in entry.rule.anchors):
                found[key] = self._twin(entry.names[0], resource, persons)
        return found

    def _twin(self, name: str, resource: Resource, persons: list[Resource]) -> str:
        twins = [item.path for item in resource.view().items(name) if has_twin(item, persons)]
        free = next((path for path in twins if (resource.reference, path) not in self._twinned), "")
        self._twinned.add((resource.reference, free))
        return free

    def _group(self, line: SegmentLine, holder: Holder) -> None:
        inner = [one for one in self._lines if one.under == line.line.line_id]
        if not inner:
            return
        at = self._at[line.line.line_id]
        before = [one for one in inner if self._at[one.line.line_id] < at]
        holder.members = [holder]
        first = [member for one in before for member in self._instances(one, holder)]
        last = [member for one in inner if one not in before for member in self._instances(one, holder)]
        holder.members = [*first, holder, *last]

    def _sources(
        self, line: SegmentLine, parent: Holder
    ) -> Iterator[tuple[dict[str, Resource], tuple[str, View] | None, str]]:
        each = line.each
        if each.how == "once":
            if self._holds(line.tests, None, parent):
                yield {}, None, ""
        elif each.how == "root":
            resource = parent.bound(each.label)
            if resource is not None and self._holds(line.tests, resource, parent):
                yield {each.label: resource}, None, ""
            elif line.always:
                yield {}, None, ""
        elif each.how in ("referring", "referred"):
            for resource in self._related(line, parent):
                if self._holds(line.tests, resource, parent):
                    yield {each.label: resource}, None, ""
        else:
            yield from self._items(line, parent)

    def _related(self, line: SegmentLine, parent: Holder) -> list[Resource]:
        each = line.each
        other = parent.bound(each.other)
        if other is None:
            return []
        if each.how == "referred":
            return self._pool.referred(other, each.path, each.type)
        found = self._pool.referring(each.type, each.path, other)
        if self._root is not None and self._root.type == each.type and not line.under:
            found = [one for one in found if one is self._root]
        return found

    def _items(
        self, line: SegmentLine, parent: Holder
    ) -> Iterator[tuple[dict[str, Resource], tuple[str, View] | None, str]]:
        """One for each item of a list: of a label, of one row, or of every row that is anchored here."""
        each = line.each
        near = parent if parent.own or parent.parent is None else parent.parent
        for entry in self._entries:
            rule = entry.rule
            resource = near.own.get(rule.target.resource) if each.how == "items" else parent.bound(rule.target.resource)
            if resource is None:
                continue
            if each.how == "row":
                if rule.row.row_id != each.other:
                    continue
            elif not any(fits(anchor.chain, anchor.direct, Holder(line.name, None, parent)) for anchor in rule.anchors):
                continue
            step = next((step for step in entry.steps if step.item is not None), None)
            if step is None or (entry.source is None and entry.kind != "ref"):
                continue
            wanted = {
                "item": step.item == each.other and rule.target.resource == each.label,
                "row": rule.row.row_id == each.other,
                "items": step.item == "+" and entry.kind == "value",
            }[each.how]
            if not wanted or not self._holds(line.tests, resource, parent):
                continue
            for view in self._sharing.values(entry, resource):
                item = _item_of(view, resource, entry)
                if self._goes_with_twin(line, resource, item):
                    leave_to_twin(item)
                    continue
                yield (
                    {rule.target.resource: resource},
                    (step.item or "", item),
                    (rule.row.row_id if each.how != "item" else ""),
                )
            if each.how == "item":
                return

    def _goes_with_twin(self, line: SegmentLine, resource: Resource, item: View) -> bool:
        return any(
            has_twin(item, self._pool.referring(test.resource.partition(":")[0], test.path, resource)) == test.negated
            for test in line.tests
            if test.operator == "twin"
        )

    def _bind_more(self, line: SegmentLine, holder: Holder) -> None:
        """Lines of the role `bind`: the first resource that fits. All segments of the message see those of PID."""
        for under, bound in self._bound:
            if under != line.line.line_id or bound.each.label in holder.own:
                continue
            found = [one for one in self._related(bound, holder) if self._holds(bound.tests, one, holder)]
            if found:
                holder.own[bound.each.label] = found[0]
                if holder.parent is not None and line.each.how == "root":
                    holder.parent.own.setdefault(bound.each.label, found[0])

    def _bind_references(self, holder: Holder) -> None:
        """Resources that rows of this segment refer to: the payor of a coverage, the specimen of a result."""
        entries = [
            entry
            for entry in self._entries
            if entry.kind == "ref" and entry.source is None and not entry.rule.anchors[0].field
            if entry.reference not in self._labels
        ]
        going = True
        while going:
            going = False
            for entry in entries:
                resource = holder.own.get(entry.rule.target.resource)
                if resource is None or holder.bound(entry.reference) is not None:
                    continue
                if not any(fits_chain(anchor.chain, holder.name, holder.parent) for anchor in entry.rule.anchors):
                    continue
                for view in self._sharing.values(entry, resource, holder.only):
                    target = self._pool.find(reference_of(view))
                    if target is not None and target.type == entry.reference.partition(":")[0]:
                        holder.own[entry.reference] = target
                        going = True
                        break

    def holds(self, tests: Sequence[Test], holder: Holder) -> bool:
        """Whether conditions hold for what a segment is about."""
        label = holder.line.each.label if holder.line is not None else ""
        return self._holds(tests, holder.own.get(label), holder)

    def _holds(self, tests: Sequence[Test], resource: Resource | None, parent: Holder) -> bool:
        return all(self._test(test, resource, parent) != test.negated for test in tests)

    def _test(self, test: Test, resource: Resource | None, parent: Holder) -> bool:
        if test.operator == "twin":  # a question about items, asked where they are taken one by one
            return not test.negated
        if test.operator == "referenced":
            wanted = resource.reference if resource is not None else ""
            return any(
                reference_of(view) == wanted
                for one in self._pool.of(test.resource.partition(":")[0])
                for view in _values(one, test.path)
            )
        subject = parent.bound(test.resource) if test.resource else resource
        if not test.path:
            return subject is not None
        views = list(_values(subject, test.path)) if subject is not None else []
        if test.operator == "same":
            other = parent.bound(test.values[0])
            references = {reference_of(view) for view in views} - {""}
            return references == ({other.reference} if other is not None else set())
        if test.operator == "valued":
            return bool(views)
        inside = [str(view.value) in test.values for view in views]
        return not all(inside) if test.operator == "besides" else any(inside)


def _item_of(view: View, resource: Resource, entry: Entry) -> View:
    """The list item that a value stands in."""
    depth = next(at for at, step in enumerate(entry.steps) if step.item is not None)
    dots = sum(1 for step in entry.steps[: depth + 1])
    path = ".".join(view.path.split(".")[:dots])
    return View(None, path, resource)


def fits(chain: tuple[str, ...], direct: bool, holder: Holder) -> bool:
    """Whether a segment is what an anchor names; `direct`: right below the segment before it in the chain."""
    if direct and (holder.chain() or [""])[0] != chain[-2]:
        return False
    return fits_chain(chain, holder.name, holder.parent)


def fits_chain(chain: tuple[str, ...], name: str, parent: Holder | None) -> bool:
    """Whether a segment of that name below `parent` is what an anchor names."""
    if chain[-1] != name:
        return False
    probe = Holder(name, None, parent)
    wanted = list(chain[:-1])
    for above in probe.chain():
        if wanted and above == wanted[-1]:
            wanted.pop()
    return not wanted

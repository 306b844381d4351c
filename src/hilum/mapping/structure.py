"""Where units run in a message of a given shape: worked out once per sequence of segment names, then remembered."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from hilum.mapping.places import Anchor

__all__ = ["Tree", "matching"]


class Tree:
    """The segments of a message as a tree, and what "nearest" means in it."""

    def __init__(self, names: Sequence[str], parents: Sequence[int]) -> None:
        self.names, self.parents = names, parents
        self.children: list[list[int]] = [[] for _ in names]
        self.by_name: dict[str, list[int]] = {}
        self._below: dict[int, set[int]] = {}
        for index, parent in enumerate(parents):
            self.by_name.setdefault(names[index], []).append(index)
            if parent >= 0:
                self.children[parent].append(index)

    def chain(self, index: int) -> list[int]:
        """Ancestors of a segment, nearest first."""
        found = []
        index = self.parents[index]
        while index >= 0:
            found.append(index)
            index = self.parents[index]
        return found

    def below(self, index: int) -> set[int]:
        """The segment and everything below it."""
        if (known := self._below.get(index)) is not None:
            return known
        found = {index}
        waiting = list(self.children[index])
        while waiting:
            child = waiting.pop()
            found.add(child)
            waiting.extend(self.children[child])
        if len(found) > 1:
            self._below[index] = found
        return found

    def matches(self, anchor: Anchor, index: int) -> bool:
        """Whether the segment is named by the anchor, below its chain."""
        if self.names[index] != anchor.chain[-1]:
            return False
        wanted = list(anchor.chain[:-1])
        parent = self.parents[index]
        if anchor.direct and (parent < 0 or self.names[parent] != wanted[-1]):
            return False
        for above in self.chain(index):
            if wanted and self.names[above] == wanted[-1]:
                wanted.pop()
        return not wanted

    def nearest(self, index: int, name: str, occurrence: int) -> int | tuple[int, ...]:
        """The segment that `name` means at `index` (-1: none); with occurrence -1 all of them at that place."""
        if occurrence < 0 and self.names[index] == name:
            beside = self.parents[index]
            return tuple(place for place in self.by_name[name] if self.parents[place] == beside)
        places = self._places(index, name)
        if occurrence < 0:
            return tuple(places)
        at = max(occurrence, 1) - 1
        return places[at] if at < len(places) else -1

    def _places(self, index: int, name: str) -> list[int]:
        if self.names[index] == name:
            return [index]
        own = (index, *self.chain(index))
        for above in own:
            if self.names[above] == name:
                return [above]
        everywhere = [place for place in self.by_name.get(name, ()) if not self._is_of_another(own, place)]
        if len(everywhere) <= 1:
            return everywhere
        for above in own:
            inside = self.below(above)
            found = [place for place in everywhere if place in inside]
            if found:
                return found
        return everywhere

    def _is_of_another(self, own: tuple[int, ...], place: int) -> bool:
        """Whether a segment belongs to a sibling: an RXR of the dose before, a PV1 of the other patient."""
        names = {self.names[mine] for mine in own}
        return any(above not in own and self.names[above] in names for above in (place, *self.chain(place)))

    def nearest_slot(self, index: int, slots: Sequence[tuple[int, int]]) -> int:
        """Of resources opened at (segment, slot), in order, the one meant at `index`; -1 when there is none."""
        if not slots:
            return -1
        own = (index, *self.chain(index))
        if len(slots) == 1:
            return -1 if self._is_of_another(own, slots[0][0]) else slots[0][1]
        for above in own:
            at = bisect_left(slots, (above, -1))  # a panel may have thousands: nothing may look at all for each
            if at < len(slots) and slots[at][0] == above:
                return slots[at][1]
            inside = self.below(above) if self.children[above] else set()
            near = [slot for slot in slots if slot[0] in inside and not self._is_of_another(own, slot[0])]
            if near:
                return self._before(index, near)
        free = [slot for slot in slots if not self._is_of_another(own, slot[0])]
        return self._before(index, free) if free else -1

    def _before(self, index: int, slots: Sequence[tuple[int, int]]) -> int:
        earlier = [slot for segment, slot in slots if segment <= index]
        return earlier[-1] if earlier else slots[0][1]


def matching(tree: Tree, anchors: Iterable[Anchor], index: int) -> tuple[Anchor, ...]:
    """Those of the anchors that a segment satisfies."""
    return tuple(anchor for anchor in anchors if tree.matches(anchor, index))

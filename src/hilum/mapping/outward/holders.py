"""The segments of one message while it is put together: what each is about, and what stands in it."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.mapping.outward.frame import Parts
from hilum.mapping.outward.lines import SegmentLine
from hilum.mapping.outward.resources import Resource, View
from hilum.mapping.syntax import Path

__all__ = ["Holder"]


def _agree(there: str, text: str) -> bool:
    """Whether two texts of one place say the same: equal, or a date and a time of that day."""
    return there == text or (
        len(there) >= 8 <= len(text)
        and there[:8].isdecimal()
        and there[:8] == text[:8]
        and (there.startswith(text) or text.startswith(there))
    )


class Holder:
    """One segment. `own` are the resources that it is about, by label; `item` the list item that it came for."""

    __slots__ = (
        *(
            "counter",
            "fields",
            "inner",
            "item",
            "levels",
            "line",
            "members",
            "name",
            "only",
            "own",
            "parent",
            "row",
            "written",
        ),
    )

    def __init__(self, name: str, line: SegmentLine | None, parent: Holder | None) -> None:
        self.name, self.line, self.parent = name, line, parent
        self.fields: dict[int, list[Parts]] = {}
        self.own: dict[str, Resource] = {}
        self.item: tuple[str, View] | None = None
        self.only: dict[tuple[str, str], str] = {}  # (resource, item) of targets to the one path that is read here
        self.row = ""  # the one row that it came for
        self.members: list[Holder] = []  # segments of its group, itself among them, in order
        self.inner = False  # it stands inside its parent's `members`
        self.counter = 0
        self.written: set[str] = set()  # elements that stand in it
        self.levels: set[str] = set()  # places that stand in it as the ward or the building of another place

    def bound(self, label: str) -> Resource | None:
        """The resource of that label here or above."""
        holder: Holder | None = self
        while holder is not None:
            if label in holder.own:
                return holder.own[label]
            holder = holder.parent
        return None

    def chain(self) -> list[str]:
        """Names of the segments above, nearest first; all but the first few belong to PID."""
        found = []
        holder = self.parent
        while holder is not None and holder.name:
            found.append(holder.name)
            holder = holder.parent
        if self.name not in ("MSH", "EVN", "PID", "SCH", "RGS"):
            found.append("PID")
        return found

    def walk(self) -> Iterator[Holder]:
        """This segment and those of its group, in the order in which they are sent."""
        if not self.members:
            yield self
            return
        for member in self.members:
            if member is self:
                yield self
            else:
                yield from member.walk()

    def find(self, name: str) -> Holder | None:
        """The nearest segment of that name: itself, of its group, then of the groups above."""
        if self.name == name:
            return self
        holder: Holder | None = self
        while holder is not None:
            for member in holder.members:
                if member is not holder and member.name == name:
                    return member
                if member.name == name:
                    return member
            holder = holder.parent
        return None

    def text(self, path: Path, index: int = 0) -> str:
        """What stands at a path; "" for nothing. `index`: the repetition, for `@`."""
        holder = self if not path.segment else self.find(path.segment)
        if holder is None:
            return ""
        repetitions = holder.fields.get(path.field, [])
        at = index if not path.segment else max(path.repetition, 1) - 1
        if at >= len(repetitions):
            return ""
        return repetitions[at].get((max(path.component, 1), max(path.sub, 1)), "")

    def fits(self, number: int, index: int, parts: Parts) -> bool:
        """Whether these parts can stand there beside what is there."""
        repetitions = self.fields.get(number, [])
        there = repetitions[index] if index < len(repetitions) else {}
        return all(_agree(there.get(place, text), text) for place, text in parts.items() if text)

    def put(self, number: int, index: int, parts: Parts) -> None:
        """Write parts of one repetition."""
        repetitions = self.fields.setdefault(number, [])
        while len(repetitions) <= index:
            repetitions.append({})
        there = repetitions[index]
        there.update({place: text for place, text in parts.items() if len(text) > len(there.get(place, ""))})

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said in it."""
        return not any(text for repetitions in self.fields.values() for one in repetitions for text in one.values())

r"""What an element that was removed becomes: `""` in the field where its earlier version stood (HL7 v2.5.1, 2.10.2).

Only segments of which a message has one are compared: of a repeating segment the whole list is sent anew each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hilum.mapping.outward.values import Repetition

__all__ = ["deletions"]

Segments = tuple[tuple[str, Mapping[int, Sequence[Repetition]]], ...]
DELETED: Repetition = {(0, 0): '""'}
_COMPARED = frozenset({"PID", "PD1", "PV1", "PV2"})


def deletions(before: Segments, after: Segments) -> Segments:
    """The message with `""` wherever the earlier one said something and this one nothing."""
    earlier = {name: fields for name, fields in before if name in _COMPARED}
    there = {name for name, _ in after}
    found = []
    for name, fields in after:
        if name not in earlier:
            found.append((name, fields))
            continue
        gone = [number for number, old in earlier[name].items() if _said(old) and not _said(fields.get(number, ()))]
        found.append((name, {**fields, **{number: [DELETED] for number in gone}}))
        found.extend(_lost(name, earlier, there))
    return tuple(found)


def _said(repetitions: Sequence[Repetition]) -> bool:
    return any(text for one in repetitions for text in one.values())


def _lost(name: str, earlier: Mapping[str, Mapping[int, Sequence[Repetition]]], there: set[str]) -> Segments:
    """A segment after this one in which nothing is left to say: all its fields are deleted."""
    follower = {"PID": "PD1", "PV1": "PV2"}.get(name, "")
    if follower not in earlier or follower in there:
        return ()
    return ((follower, {number: [DELETED] for number, old in earlier[follower].items() if _said(old)}),)

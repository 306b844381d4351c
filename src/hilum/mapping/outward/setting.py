"""Fields that no element says: the header, control codes, counters, copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hilum.mapping.outward.composing import Composer
from hilum.mapping.outward.holders import Holder
from hilum.mapping.outward.inverse_times import instant
from hilum.mapping.outward.lines import SetLine
from hilum.mapping.outward.resources import shown
from hilum.mapping.outward.values import OutwardContext
from hilum.mapping.syntax import Literal, Param, Path

__all__ = ["Setter"]

# Message structures (HL7 v2.5.1, table 0354) of events that share one.
_STRUCTURES = {
    "ADT^A04": "ADT_A01",
    "ADT^A08": "ADT_A01",
    "ADT^A23": "ADT_A21",
    "ADT^A28": "ADT_A05",
    "ADT^A29": "ADT_A21",
    "ADT^A31": "ADT_A05",
    "SIU^S12": "SIU_S12",
    "SIU^S13": "SIU_S12",
    "SIU^S14": "SIU_S12",
    "SIU^S15": "SIU_S12",
    "MDM^T02": "MDM_T02",
    "DFT^P03": "DFT_P03",
}


class Setter:
    """Writes the `set` and `default` lines of one message."""

    def __init__(
        self,
        lines: Sequence[SetLine],
        kind: str,
        context: OutwardContext,
        params: Mapping[str, str],
        composer: Composer,
    ) -> None:
        self._lines, self._params, self._composer = lines, params, composer
        receiver = context.receiver
        type_, _, event = kind.partition("^")
        self._words = {
            "now": instant(context.now),
            "control_id": context.control_id,
            "application": receiver.application,
            "facility": receiver.facility,
            "sending_application": receiver.sending_application,
            "sending_facility": receiver.sending_facility,
            "processing_id": receiver.processing_id,
            "version": receiver.version,
            "charset": receiver.charset,
            "event": event,
            "kind": kind,
            "structure": _STRUCTURES.get(kind, f"{type_}_{event}"),
        }

    def early(self, holder: Holder) -> None:
        """Lines of the role `set`: before the rows."""
        self._apply(holder, late=False)

    def late(self, holder: Holder) -> None:
        """Lines of the role `default`: where nothing stands."""
        self._apply(holder, late=True)

    def count(self, holders: Sequence[Holder]) -> None:
        """Counters: the number of the segment among those of its name in its group."""
        numbers: dict[tuple[int, str], int] = {}
        for holder in holders:
            lines = [line for line in self._lines if line.source == "counter" and _is_for(line, holder)]
            if lines:
                group = holder.parent
                while group is not None and group.name == holder.name:
                    group = group.parent
                key = (id(group), holder.name)
                numbers[key] = numbers.get(key, 0) + 1
            for line in lines:
                holder.put(line.field.field, 0, {(1, 1): str(numbers[key])})

    def _apply(self, holder: Holder, *, late: bool) -> None:
        for line in self._lines:
            if line.late != late or line.source == "counter" or not _is_for(line, holder):
                continue
            path = line.field
            place = (max(path.component, 1), max(path.sub, 1))
            if holder.text(path) or not self._composer.holds(line.tests, holder):
                continue
            if isinstance(line.source, Path) and line.source.component == 0 and path.component == 0:
                self._copy(holder, line.source, path.field)
                continue
            text = self._text(line, holder)
            if text:
                holder.put(path.field, 0, {place: text})

    def _copy(self, holder: Holder, source: Path, number: int) -> None:
        """A whole field as it stands in another one."""
        other = holder.find(source.segment)
        for at, parts in enumerate(other.fields.get(source.field, ()) if other is not None else ()):
            holder.put(number, at, dict(parts))

    def _text(self, line: SetLine, holder: Holder) -> str:
        source = line.source
        if isinstance(source, str):
            return self._words[source]
        if isinstance(source, Literal):
            return source.text
        if isinstance(source, Param):
            return self._params.get(source.name, "")
        if isinstance(source, Path):
            return holder.text(source)
        if isinstance(source, tuple):
            return self._element(holder, *source)
        return ""

    @staticmethod
    def _element(holder: Holder, label: str, steps: Sequence[object]) -> str:
        resource = holder.bound(label)
        value: object = resource.body if resource is not None else None
        for step in steps:
            value = value[0] if isinstance(value, list) and value else value
            value = value.get(step.name) if isinstance(value, Mapping) else None  # type: ignore[attr-defined]
        return shown(value) if value is not None and not isinstance(value, Mapping | list) else ""


def _is_for(line: SetLine, holder: Holder) -> bool:
    wanted = line.line.segment
    return line.field.segment == holder.name and (
        not wanted or (holder.line is not None and holder.line.line.line_id == wanted)
    )

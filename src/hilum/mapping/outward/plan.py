"""The compiled way out: `run` makes the segments of one message from resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from hilum.errors import ConfigError
from hilum.mapping.mapped import Problem
from hilum.mapping.outward import (  # noqa: F401 - they register
    inverse_codes,
    inverse_identifiers,
    inverse_numbers,
    inverse_people,
    inverse_texts,
    inverse_times,
)
from hilum.mapping.outward.composing import Composer, Pool
from hilum.mapping.outward.deleting import deletions
from hilum.mapping.outward.entries import Index, entries_of
from hilum.mapping.outward.filling import Filler
from hilum.mapping.outward.frame import Out, Report
from hilum.mapping.outward.holders import Holder
from hilum.mapping.outward.lines import read_lines
from hilum.mapping.outward.reckoning import reckon
from hilum.mapping.outward.setting import Setter
from hilum.mapping.outward.sharing import Sharing
from hilum.mapping.outward.values import Outward, OutwardContext, OutwardTrace, Receiver
from hilum.mapping.plan import _decided
from hilum.mapping.rows import read_rules
from hilum.mapping.tables import Workbook
from hilum.model import Finding, Severity

__all__ = ["OutwardPlan", "compile_outward", "outward_kinds"]


class OutwardPlan:
    """The rows of one event, read backwards. Pure: the same resources and context give the same segments."""

    def __init__(self, book: Workbook, kind: str, params: Mapping[str, str]) -> None:
        self.kind = kind
        self._book = book
        self._params = {**params, "kind": kind, "event": kind.partition("^")[2]}
        self._lines, findings = read_lines(book.outward, kind)
        rules, _ = read_rules(book)
        self._entries, _ = entries_of(rules, kind, self._params, self._lines)
        self._index = Index(self._entries)
        self.findings = tuple(findings)
        self._outs: dict[Receiver, Out] = {}

    @property
    def types(self) -> frozenset[str]:
        """FHIR types that its messages can hold."""
        found = {entry.rule.target.type for entry in self._entries}
        return frozenset(found | {line.each.type for line in self._lines.segments if line.each.label})

    @property
    def roots(self) -> tuple[str, ...]:
        """Types that one message is about one of, the most special last."""
        found = [line.each.type for line in self._lines.segments if line.each.how == "root"]
        found += [
            line.each.type
            for line in self._lines.segments
            if line.each.how == "referring" and line.line.source == "subject"
        ]
        return tuple(dict.fromkeys(found))

    @property
    def gathered(self) -> tuple[tuple[str, str], ...]:
        """(type, element) of the resources that a message needs besides those it refers to, by what they refer to."""
        return tuple(
            dict.fromkeys(
                (line.each.type, ".".join(line.each.path))
                for line in self._lines.segments
                if line.each.how == "referring" and line.line.source not in ("subject", "given")
            )
        )

    def run(self, resources: Mapping[str, Sequence[Mapping[str, Any]]], context: OutwardContext) -> Outward:
        """One message about these resources (by type). Raises nothing for any resources."""
        found = self._run(resources, context)
        if not context.before or found.held is not None:
            return found
        earlier = {
            type_: [context.before.get(f"{type_}/{body.get('id')}", body) for body in group]
            for type_, group in resources.items()
        }
        past = self._run(earlier, structs.replace(context, before={}))
        return structs.replace(found, segments=deletions(past.segments, found.segments))

    def _run(self, resources: Mapping[str, Sequence[Mapping[str, Any]]], context: OutwardContext) -> Outward:
        out = self._outs.get(context.receiver)
        if out is None:
            out = self._outs[context.receiver] = Out(self._book, self._params, context.receiver)
        out.pending.clear()
        pool = Pool(resources)
        sharing = Sharing(self._entries, self._lines.segments, out)
        root = pool.find(context.root) if context.root else None
        composer = Composer(self._lines, self._entries, pool, sharing, root)
        top = composer.compose()
        holders = [one for member in top.members for one in member.walk()]
        filler = Filler(self._index, out, pool, sharing)
        setter = Setter(self._lines.sets, self.kind, context, self._params, composer)
        for holder in holders:
            setter.early(holder)
            filler.fill(holder)
        for holder in holders:
            setter.late(holder)
        kept = [one for one in holders if not one.is_empty or (one.line is not None and one.line.always)]
        setter.count(kept)
        for holder in kept:
            for resource in holder.own.values():
                resource.used = True
        accounting, items = reckon(pool, self._lines.ignored, context.receiver.name)
        return Outward(
            tuple((one.name, one.fields) for one in kept),
            accounting,
            (*_unique(out.pending), *items),
            _held(out.pending, composer.doubts, kept),
            tuple(_traces(filler, kept)),
        )


def _unique(reports: Sequence[Report]) -> list[Any]:
    found: dict[str, Any] = {}
    for report in reports:
        found.setdefault(report.item.group, report.item)
    return list(found.values())


def _held(reports: Sequence[Report], doubts: Sequence[str], kept: Sequence[Holder]) -> Problem | None:
    if doubts:
        message = f"there are several resources of the type {doubts[0]}, and none of them was named"
        return Problem("root-ambiguous", doubts[0], message)
    for report in reports:
        if report.hold:
            return Problem(report.item.code, report.item.location, report.item.message, report.item.owner)
    for holder in kept:
        if holder.name in ("PID", "SCH") and not holder.own:
            return Problem("root-missing", holder.name, f"there is no resource that {holder.name} is about")
    return None


def _traces(filler: Filler, kept: Sequence[Holder]) -> list[OutwardTrace]:
    known = {id(one) for one in kept}
    return [
        OutwardTrace(
            f"{note.holder.name}-{note.field}[{note.index + 1}].{component}" + (f".{sub}" if sub > 1 else ""),
            text,
            note.row,
            note.element,
        )
        for note in filler.notes
        if id(note.holder) in known
        for (component, sub), text in sorted(note.parts.items())
        if text
    ]


def outward_kinds(book: Workbook) -> tuple[str, ...]:
    """Every kind of message that lines of the `outward` table name, sorted."""
    kinds = set()
    for line in book.outward:
        if line.role == "segment" and line.segment == "MSH":
            for part in line.applies.split():
                type_, _, events = part.partition("^")
                kinds |= {f"{type_}^{event}" for event in events.split("|")}
    return tuple(sorted(kinds))


def compile_outward(
    book: Workbook, kind: str, *, params: Mapping[str, str | int | float | bool] | None = None
) -> OutwardPlan:
    """The plan for one kind of message (`ADT^A08`); `params` are decisions of the folder.

    Raises ConfigError `outward-unknown` for a kind that no line of the `outward` table names, `workbook-invalid` with
    all findings when a line or a row is wrong.
    """
    book = _decided(book, params or {})
    kinds = outward_kinds(book)
    if kind not in kinds:
        message = f"the workbook has no segments for {kind}: it can send {', '.join(kinds) or 'nothing'}"
        raise ConfigError(message, [Finding("outward-unknown", message)], code="outward-unknown")
    texts = {line.param: book.param(line.param) for line in book.params}
    plan = OutwardPlan(book, kind, texts)
    _, findings = read_rules(book)
    wrong = [one for one in (*findings, *plan.findings) if one.severity is Severity.ERROR]
    structs.replace(book, findings=(*book.findings, *wrong)).raise_findings()
    return plan

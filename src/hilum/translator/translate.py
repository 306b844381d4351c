"""Parse -> map -> route. The same message gives the same effects, as often as it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from msgspec import Struct, structs

from hilum import mapping
from hilum.errors import HilumError
from hilum.formats.stored import Stored, read_stored
from hilum.model import DECISIONS, Effects, ExceptionItem, Finding, Held, Message, Outgoing
from hilum.translator.sightings import Sightings

__all__ = ["Judge", "Mapper", "Route", "Translator", "hold"]

# Codes that a person answers once for all messages that are held for the same.
TAUGHT = frozenset({"code-unmapped"})

Route = Callable[[Message, Stored, mapping.Mapped], Iterable[Outgoing]]


class Mapper(Protocol):
    """What is asked of a compiled workbook."""

    def run(self, record: Stored, context: mapping.Context, /) -> mapping.Mapped:
        """Everything that one message says."""
        ...

    def sightings(self, record: Stored, context: mapping.Context, /) -> tuple[str, ...]:
        """After `run`: what its sender did for the first time."""
        ...


class Judge(Struct, frozen=True):
    """Says what is wrong with resources that were made of a message."""

    errors: Callable[[Iterable[bytes]], tuple[Finding, ...]]
    holds: bool  # such a message is held; else it is applied, and a person is told


class Translator:
    """The pure part of the journey. Nothing here remembers a message."""

    def __init__(
        self, plan: Mapper, route: Route, owners: Mapping[str, str], judge: Judge | None = None, learn_days: int = 7
    ) -> None:
        """`owners` says who looks after what each source sends, where no row names somebody."""
        self._plan, self._route, self._owners, self._judge = plan, route, owners, judge
        self._sightings = Sightings(owners, learn_days)

    def turn(self, message: Message) -> Effects | Held:
        """What one message does, or why a person must look at it first. Raises nothing for any message."""
        try:
            record = read_stored(message.body, message.envelope.charset)
            context = mapping.Context.of(message.envelope)
            mapped = self._plan.run(record, context)
        except HilumError as error:
            return self._held(message, error.code, error.message, error.location)
        except Exception as error:  # noqa: BLE001 - a defect in a row holds one message, it never stops the feed
            return self._held(message, "mapping-crashed", f"the workbook failed on it: {type(error).__name__}")
        sighted = self._sightings.of(message, record.get("MSH-12.1"), self._plan.sightings(record, context))
        if mapped.held is not None:
            problem = mapped.held
            held = self._held(message, problem.code, problem.message, problem.location, problem.owner)
            items = tuple(one for one in mapped.exceptions if one.code in TAUGHT)
            return structs.replace(held, items=items, sighted=sighted)
        faults = () if self._judge is None else self._judge.errors(mapping.render(mapped))
        if faults and self._judge is not None and self._judge.holds:
            text = f"{faults[0].code}: {faults[0].message}; {len(faults)} such findings in all"
            return structs.replace(self._held(message, "resource-invalid", text, faults[0].location), sighted=sighted)
        is_decision = message.envelope.source == DECISIONS  # it says that two are two, and nothing else of them
        return Effects(
            seq=message.seq,
            partition=message.partition,
            at=mapped.at or message.envelope.received_at,
            key=message.envelope.key,
            drafts=[one for one in mapped.drafts if one.type != "Patient"] if is_decision else mapped.drafts,
            merges=mapped.merges,
            exceptions=(
                *self._owned(message, mapped.exceptions),
                *self._reports(message),
                *self._invalid(message, faults),
            ),
            outgoing=tuple(self._route(message, record, mapped)),
            accounting=mapped.accounting,
            sighted=sighted,
        )

    def _owned(self, message: Message, items: Iterable[ExceptionItem]) -> Iterator[ExceptionItem]:
        """A field that no row reads has no row's owner: it is for whoever looks after the source."""
        owner = self._owners.get(message.envelope.source, "")
        return (one if one.owner or not owner else structs.replace(one, owner=owner) for one in items)

    def _reports(self, message: Message) -> Iterator[ExceptionItem]:
        """What a person should know of a message besides what is in it."""
        if message.reused_from:
            yield ExceptionItem(
                code="control-id-reused",
                message="this sender gave messages with different content the same control id",
                location="MSH-10",
                owner=self._owners.get(message.envelope.source, ""),
                group=f"control-id-reused|{message.envelope.sender}",
            )

    def _invalid(self, message: Message, faults: Iterable[Finding]) -> Iterator[ExceptionItem]:
        """What is wrong with the resources of a message that is applied all the same."""
        for one in faults:
            yield ExceptionItem(
                code="resource-invalid",
                message=f"{one.code}: {one.message}",
                location=one.location,
                owner=self._owners.get(message.envelope.source, ""),
                group=f"resource-invalid|{message.envelope.sender}|{one.code}|{one.location}",
            )

    def _held(self, message: Message, code: str, text: str, location: str = "", owner: str = "") -> Held:
        return hold(message, code, text, location, owner or self._owners.get(message.envelope.source, ""))


def hold(message: Message, code: str, text: str, location: str = "", owner: str = "") -> Held:
    """This message is held; it keeps its keys, so that later ones can wait behind it."""
    envelope = message.envelope
    return Held(message.seq, message.partition, envelope.key, code, text, location, owner, other_key=envelope.other_key)

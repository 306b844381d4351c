"""Small made-up resources as drafts, and ways to apply them. No person in them exists."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from msgspec import Raw

from hilum.model import Accounting, Draft, Effects, ExceptionItem, Held, Merge, Outgoing
from hilum.repository import Query, SearchTerm, Stored

__all__ = ["MR", "Feed", "body", "draft", "find", "held", "lab", "patient", "raw", "send", "visit"]

MR = "urn:oid:2.16.840.1.113883.19.5"
LOINC = "http://loinc.org"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def raw(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))


def draft(
    type_: str, id_: str, /, *, cleared: tuple[str, ...] = (), defaults: Any = None, slots: Any = None, **elements: Any
) -> Draft:
    return Draft(
        type_,
        id_,
        {name.rstrip("_"): raw(value) for name, value in elements.items()},
        {name: raw(value) for name, value in (defaults or {}).items()},
        cleared,
        slots or {},
    )


def patient(id_: str, family: str = "Aldermann", given: str = "Åsa", **more: Any) -> Draft:
    name = [{"family": family, "given": [given]}]
    return draft("Patient", id_, identifier=[{"system": MR, "value": f"MR-{id_}"}], name=name, **more)


def visit(id_: str, of: str, start: str = "2026-03-01T08:00:00Z", **more: Any) -> Draft:
    usual = {"status": "in-progress", "class_": {"system": "urn:act", "code": "IMP"}, "period": {"start": start}}
    return draft("Encounter", id_, subject={"reference": f"Patient/{of}"}, **{**usual, **more})


def lab(
    id_: str, of: str, at: str = "2026-03-01T09:00:00Z", code: str = "718-7", value: str = "13.20", **more: Any
) -> Draft:
    return draft(
        "Observation",
        id_,
        status="final",
        category=[{"coding": [{"system": CATEGORY, "code": "laboratory"}]}],
        code={"coding": [{"system": LOINC, "code": code}]},
        subject={"reference": f"Patient/{of}"},
        effectiveDateTime=at,
        valueQuantity={
            "value": Raw(value.encode()),
            "unit": "g/dL",
            "system": "http://unitsofmeasure.org",
            "code": "g/dL",
        },
        **more,
    )


def held(seq: int, key: str = "K", code: str = "namespace-unknown", *, behind: bool = False) -> Held:
    return Held(seq, 0, key, code, "somebody must look", "PID-3[1]", "registration", behind)


class Feed:
    """Sends messages to a repository, numbering them."""

    def __init__(self, repository: Any) -> None:
        self.repository = repository
        self.seqs = itertools.count(1)
        self.seq = 0

    async def __call__(
        self,
        *drafts: Draft,
        at: int | None = None,
        merges: tuple[Merge, ...] = (),
        exceptions: tuple[ExceptionItem, ...] = (),
        outgoing: tuple[Outgoing, ...] = (),
        accounting: Accounting | None = None,
    ) -> int:
        """Apply one message; its event time is its number unless told. Returns its seq."""
        self.seq = next(self.seqs)
        effects = Effects(
            self.seq,
            0,
            self.seq if at is None else at,
            drafts=list(drafts),
            merges=merges,
            exceptions=exceptions,
            outgoing=outgoing,
            accounting=accounting or Accounting(4, 3, 1, 0),
        )
        await self.repository.apply([effects], {0: self.seq})
        return self.seq


async def send(repository: Any, *drafts: Draft) -> Feed:
    """A feed that has sent these as its first message."""
    feed = Feed(repository)
    await feed(*drafts)
    return feed


def body(stored: Stored) -> Any:
    """The resource without meta, decoded."""
    made = msgspec.json.decode(stored.body)
    made.pop("meta")
    return made


def find(repository: Any, type_: str, terms: str = "", **more: Any) -> list[str]:
    """Ids found by `name:modifier=value,value&...`, in the order given."""
    return [one.id for one in repository.search(query(type_, terms, **more)).matches]


def query(type_: str, terms: str = "", **more: Any) -> Query:
    made = []
    for pair in filter(None, terms.split("&")):
        written, _, values = pair.partition("=")
        name, _, modifier = written.partition(":")
        made.append(SearchTerm(name, tuple(values.split(",")), modifier))
    return Query(type_, tuple(made), **more)

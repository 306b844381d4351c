"""Deliveries of a merge: what it moved from one record to another goes to whoever is told of such resources. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from hilum.model import Outgoing

__all__ = ["with_moved"]

PART = 500  # resources that are added to one record: a patient may have years of results

_refs = msgspec.json.Decoder(list[tuple[str, str]]).decode


def with_moved(item: Outgoing, records: Iterable[str]) -> Iterator[Outgoing]:
    """The delivery with references to `records` (`Type/id`) added, where it asks for them; a long list in parts.

    Every part has an idempotency key of its own, which is the same whenever the same message is applied.
    """
    if item.moved is None:
        yield item
        return
    named = _refs(item.payload)
    pairs = [(type_, id_) for type_, _, id_ in (record.partition("/") for record in sorted(records))]
    more = [pair for pair in pairs if pair not in named and (not item.moved or pair[0] in item.moved)]
    item = replace(item, moved=None)
    yield replace(item, payload=msgspec.json.encode(named + more[:PART])) if more else item
    for number, start in enumerate(range(PART, len(more), PART), start=2):
        key = sha256(f"{item.idempotency_key}/{number}".encode()).hexdigest()[:32]
        yield replace(item, idempotency_key=key, payload=msgspec.json.encode(more[start : start + PART]))

"""What a sender does for the first time, as far as this process knows. The repository knows what is new altogether."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hilum.model import Message, Sighted

__all__ = ["Sightings"]

_VERSION = re.compile(r"2(\.[0-9]){0,3}")
MOST = 10_000  # remembered; then it starts over, and the repository hears of them again


class Sightings:
    """Remembers kinds, versions and senders; fields, segments and codes are remembered by the mapping."""

    def __init__(self, owners: Mapping[str, str], learn_days: int) -> None:
        self._owners, self._learn_days = owners, learn_days
        self._met: set[tuple[str, str, str, str]] = set()

    def of(self, message: Message, version: str, things: Sequence[str]) -> tuple[Sighted, ...]:
        """Empty for nearly every message. `things` are those that the mapping met for the first time."""
        envelope = message.envelope
        met = (envelope.source, envelope.sender, envelope.kind, version)
        if met in self._met and not things:
            return ()
        found = list(things)
        if met not in self._met:
            if len(self._met) >= MOST:
                self._met.clear()
            self._met.add(met)
            found += [f"event {envelope.kind}", f"version {version if _VERSION.fullmatch(version) else 'other'}"]
        owner = self._owners.get(envelope.source, "")
        by_sender = Sighted(envelope.sender, tuple(dict.fromkeys(found)), owner, self._learn_days)
        by_source = Sighted(f"source {envelope.source}", (f"sender {envelope.sender}",), owner, self._learn_days)
        return (by_sender, by_source)

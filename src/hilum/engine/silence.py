"""Who has gone silent: rates of the past weeks against the time since the last message. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise

from msgspec import Struct

from hilum.journal import Rate
from hilum.model import ExceptionItem

__all__ = ["LOOK_BACK_HOURS", "Feed", "feeds", "heard_again", "silence_items"]

LOOK_BACK_HOURS = 28 * 24  # the past that is taken for usual
LEAST_HOURS = 24  # with messages, before anything is said of a feed
TOLERANCE = 2  # silent for more than so many times the longest pause of that past
HOUR = 3_600_000_000  # microseconds


class Feed(Struct, frozen=True):
    """One kind of message from one sender through one source. Pauses are whole hours without a message."""

    source: str
    sender: str
    kind: str
    messages: int
    active_hours: int
    longest_pause: int
    last_at: int  # microseconds
    silent_hours: int
    by_hour: tuple[int, ...]  # messages of each of the last 24 hours, the one at hand last

    @property
    def is_silent(self) -> bool:
        """Whether it should have been heard of by now. Never for one that has not been known for long."""
        return self.active_hours >= LEAST_HOURS and self.silent_hours > TOLERANCE * max(1, self.longest_pause)


def feeds(rates: Iterable[Rate], now: int) -> list[Feed]:
    """Every feed of these rates, by source, sender and kind. `now` in microseconds."""
    grouped: dict[tuple[str, str, str], list[Rate]] = {}
    for rate in rates:
        grouped.setdefault((rate.source, rate.sender, rate.kind), []).append(rate)
    return [_feed(name, sorted(some, key=lambda one: one.hour), now) for name, some in sorted(grouped.items())]


def _feed(name: tuple[str, str, str], rates: list[Rate], now: int) -> Feed:
    hours = [rate.hour for rate in rates]
    this_hour = now // HOUR
    counts = {rate.hour: rate.messages for rate in rates}
    last_at = max(rate.last_at for rate in rates)
    return Feed(
        *name,
        messages=sum(rate.messages for rate in rates),
        active_hours=len(hours),
        longest_pause=max((after - before - 1 for before, after in pairwise(hours)), default=0),
        last_at=last_at,
        silent_hours=max(0, now - last_at) // HOUR,
        by_hour=tuple(counts.get(hour, 0) for hour in range(this_hour - 23, this_hour + 1)),
    )


def silence_items(found: Iterable[Feed], owners: dict[str, str]) -> list[ExceptionItem]:
    """One item for each silence: the same silence looked at again is the same item. `owners` by source."""
    return [
        ExceptionItem(
            code="feed-silent",
            message=f"{feed.sender} has sent no {feed.kind} since {_time(feed.last_at)}; its longest pause in "
            f"{LOOK_BACK_HOURS // 24} days was {feed.longest_pause} hours",
            owner=owners.get(feed.source, ""),
            group=f"{_name(feed)}|{feed.last_at}",
        )
        for feed in found
        if feed.is_silent
    ]


def heard_again(groups: Iterable[str], found: Iterable[Feed]) -> dict[str, str]:
    """Of the groups of such items those whose silence is over, and what to note of each."""
    by_name = {_name(feed): feed for feed in found}
    ended = {}
    for group in groups:
        name, _, last_at = group.rpartition("|")
        feed = by_name.get(name)
        if feed is not None and feed.last_at > int(last_at):
            ended[group] = f"heard again: the last message came at {_time(feed.last_at)}"
    return ended


def _name(feed: Feed) -> str:
    return f"feed-silent|{feed.source}|{feed.sender}|{feed.kind}"


def _time(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d %H:%M} UTC"

"""A feed is silent when it says nothing for longer than it ever does."""

from __future__ import annotations

from hilum.engine import feeds, silence_items
from hilum.engine.silence import HOUR, LEAST_HOURS
from hilum.journal import Rate

NOW_HOUR = 491_000
NOW = NOW_HOUR * HOUR + HOUR // 2


def rates(*hours: int, kind: str = "ADT^A08") -> list[Rate]:
    return [Rate("adt", "EPIC|HOSP", kind, hour, 5, hour * HOUR + 1) for hour in hours]


def test_a_feed_that_is_never_quiet_for_long_is_missed_soon() -> None:
    (feed,) = feeds(rates(*range(NOW_HOUR - 50, NOW_HOUR - 3)), NOW)
    assert (feed.messages, feed.active_hours, feed.longest_pause, feed.silent_hours) == (235, 47, 0, 4)
    assert feed.is_silent
    (item,) = silence_items([feed], {"adt": "registration"})
    assert (item.code, item.owner) == ("feed-silent", "registration")
    assert "ADT^A08" in item.message
    assert silence_items(feeds(rates(*range(NOW_HOUR - 50, NOW_HOUR - 3)), NOW + HOUR), {})[0].group == item.group


def test_nights_and_weekends_are_not_silence() -> None:
    by_day = [NOW_HOUR - 12 - 24 * day - hour for day in range(10) for hour in range(10)]
    (feed,) = feeds(rates(*sorted(by_day)), NOW)
    assert feed.longest_pause == 14
    assert not feed.is_silent
    (later,) = feeds(rates(*sorted(by_day)), NOW + 24 * HOUR)
    assert later.is_silent


def test_nothing_is_said_of_a_feed_that_is_new() -> None:
    hours = range(NOW_HOUR - 200, NOW_HOUR - 200 + LEAST_HOURS - 1)
    (feed,) = feeds(rates(*hours), NOW)
    assert not feed.is_silent


def test_a_feed_that_was_heard_of_in_this_hour_is_not_silent() -> None:
    (feed,) = feeds(rates(*range(NOW_HOUR - 40, NOW_HOUR + 1)), NOW)
    assert not feed.is_silent
    assert feed.by_hour == (5,) * 24


def test_each_kind_is_a_feed_of_its_own() -> None:
    found = feeds([*rates(1, 2), *rates(1, kind="ORU^R01")], 3 * HOUR)
    assert [(one.kind, one.messages) for one in found] == [("ADT^A08", 10), ("ORU^R01", 5)]
    assert feeds([], NOW) == []

"""Whether a change is an event of a topic, and of a subscription to it. Pure."""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from hilum.app.subscriptions.rows import Subscription
from hilum.app.subscriptions.settings import Topic, Trigger, terms_of
from hilum.repository import SearchTerm, Stored, is_within

__all__ = ["Changed", "concerns"]


class Changed(Struct, frozen=True):
    """One new version, and the one before it; `before` is None where there was none, or it was deleted."""

    before: Stored | None
    after: Stored

    @property
    def change(self) -> str:
        """create, update or delete."""
        if self.after.deleted:
            return "delete"
        return "update" if self.before is not None else "create"

    @property
    def seen(self) -> Stored | None:
        """The version that is looked at: of a deletion the one that was deleted."""
        return self.before if self.after.deleted else self.after


def concerns(one: Subscription, topic: Topic, changed: Changed) -> bool:
    """Whether its subscriber is told: the topic tells of it, the filters let it through, and it may be seen."""
    seen = changed.seen
    if seen is None or not any(_triggers(trigger, changed) for trigger in topic.changes):
        return False
    filters = one.asked.filters.get(seen.type)
    return (not filters or is_within(seen, filters)) and one.sight.sees(seen)


def _triggers(trigger: Trigger, changed: Changed) -> bool:
    if trigger.type != changed.after.type or changed.change not in trigger.events:
        return False
    if trigger.previous and changed.before is not None and not _meets(changed.before, trigger.previous):
        return False
    return not trigger.current or changed.after.deleted or _meets(changed.after, trigger.current)


def _meets(stored: Stored, written: str) -> bool:
    return is_within(stored, (_terms(stored.type, written),))


@lru_cache(maxsize=1_024)
def _terms(type_: str, written: str) -> tuple[SearchTerm, ...]:
    return terms_of(type_, written)

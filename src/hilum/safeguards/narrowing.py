"""What is left of scopes: the asked within the allowed, the allowed within what a person ticks. Never more."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from hilum.safeguards.scopes import ResourceScope, Scopes, ordered

__all__ = ["covers", "meet", "narrow", "union"]


def meet(one: ResourceScope, other: ResourceScope) -> ResourceScope | None:
    """What both open: the common type and verbs, under the terms of both. None: nothing. Written as `one` is."""
    if one.level is not other.level:
        return None
    if "*" not in (one.type, other.type) and one.type != other.type:
        return None
    verbs = "".join(verb for verb in one.verbs if verb in other.verbs)
    if not verbs:
        return None
    type_ = other.type if one.type == "*" else one.type
    return replace(one, type=type_, verbs=verbs, terms=ordered((*one.terms, *other.terms)))


def covers(wide: ResourceScope, narrow_: ResourceScope) -> bool:
    """Whether everything that `narrow_` opens is opened by `wide` too."""
    return (
        wide.level is narrow_.level
        and wide.type in ("*", narrow_.type)
        and set(narrow_.verbs) <= set(wide.verbs)
        and set(wide.terms) <= set(narrow_.terms)
    )


def narrow(asked: Scopes, allowed: Scopes) -> Scopes:
    """The part of `asked` that `allowed` has. What is left is in the order of `asked`; nothing stands in it twice."""
    met = (meet(one, other) for one in asked.resources for other in allowed.resources)
    return Scopes(
        tuple(word for word in asked.plain if word in allowed.plain),
        _without_covered(one for one in met if one is not None),
    )


def union(one: Scopes, other: Scopes) -> Scopes:
    """What both open together; what is opened by something wider does not stand there twice."""
    plain = dict.fromkeys((*one.plain, *other.plain))
    return Scopes(tuple(plain), _without_covered((*one.resources, *other.resources)))


def _without_covered(scopes: Iterable[ResourceScope]) -> tuple[ResourceScope, ...]:
    kept: list[ResourceScope] = []
    for one in scopes:
        if not any(covers(other, one) for other in kept):
            kept = [other for other in kept if not covers(one, other)] + [one]
    return tuple(kept)

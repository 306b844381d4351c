"""Places in a resource with what is checked there, walked through by the names in its JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema_rs

from .run import Check, Run
from .where import Where

__all__ = ["InSlice", "Spot", "walk"]


class Spot:
    """One place: the checks of a value there, and the places below it."""

    __slots__ = ("_below", "_make", "checks")

    def __init__(self, checks: tuple[Check, ...], make: Callable[[], dict[str, Spot]] | None) -> None:
        self.checks, self._make = checks, make
        self._below: dict[str, Spot] | None = None

    @property
    def below(self) -> dict[str, Spot]:
        """JSON name -> place, for those where something is checked."""
        found = self._below
        if found is None:
            found = self._below = {} if self._make is None else self._make()
        return found


def walk(spot: Spot, value: dict[str, Any], where: Where, run: Run) -> None:
    """Make all checks of a value and of what is below it. The value has passed its schema."""
    for check in spot.checks:
        check.look(value, where, run)
    below = spot.below
    for name, held in value.items():
        child = below.get(name)
        if child is None:
            continue
        if type(held) is list:
            for index, one in enumerate(held):
                if type(one) is dict:
                    walk(child, one, (where, name, index), run)
                elif one is not None:
                    for check in child.checks:
                        check.look(one, (where, name, index), run)
        elif type(held) is dict:
            walk(child, held, (where, name, -1), run)
        else:
            for check in child.checks:
                check.look(held, (where, name, -1), run)


class InSlice(Check):
    """What a profile asks of the items of one slice, beyond what their shape tells."""

    __slots__ = ("_is_item", "_spot")

    def __init__(self, told: dict[str, Any], spot: Spot) -> None:
        """`told`: the schema of what is surely an item of it."""
        self._is_item = jsonschema_rs.Draft202012Validator(told, validate_formats=False).is_valid
        self._spot = spot

    def look(self, value: Any, where: Where, run: Run) -> None:
        if not self._is_item(value):
            return
        if type(value) is dict:
            walk(self._spot, value, where, run)
        else:
            for check in self._spot.checks:
                check.look(value, where, run)

"""Lists of primitives, whose extensions are in a list beside them (R4 json.html#primitive). Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["extras", "pad", "realign"]


def extras(holder: dict[str, Any], key: str, change: Callable[[list[Any]], Any]) -> None:
    """Change the list beside, where there is one."""
    if isinstance(holder.get(f"_{key}"), list):
        change(holder[f"_{key}"])


def pad(holder: dict[str, Any], key: str) -> None:
    """Make both lists equally long."""
    values, others = holder.get(key), holder.get(f"_{key}")
    if isinstance(values, list) and isinstance(others, list):
        most = max(len(values), len(others))
        values += [None] * (most - len(values))
        others += [None] * (most - len(others))


def realign(holder: dict[str, Any], key: str) -> None:
    """What was appended stands after everything, also after items that are extensions only."""
    others = holder.get(f"_{key}")
    if isinstance(others, list):
        last = holder[key].pop()
        pad(holder, key)
        holder[key].append(last)
        others.append(None)

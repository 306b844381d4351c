"""Drafts as a workbook would make them, from plain values."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from hilum.model import Draft

__all__ = ["draft", "raw"]


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

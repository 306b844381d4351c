"""Output that all commands share: JSON lines for programs, tables for people, times as people read them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

__all__ = ["print_json", "print_table", "program", "when"]


def print_json(value: Any) -> None:
    """One JSON value on one line of standard output."""
    print(msgspec.json.encode(value).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table; `empty` is said where there are no rows.

    A screen that is too narrow breaks texts, never numbers, times or codes. Where nobody looks at a screen every row is
    one line, for grep.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_number = column in _NUMBERS
        table.add_column(
            column, overflow="fold", no_wrap=is_number or column in _WHOLE = frozenset(
    {"received", "since", "created", "expires", "revoked", "kind", "state", "item", "source", "check", "code"}
)
_NUMBERS = frozenset({"message", "count", "tries", "messages", "attempts"})

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
        whole = is_number or column in _WHOLE
        table.add_column(column, overflow="fold", no_wrap=whole, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*[str(cell) for cell in row])
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 10_000)
    if table.row_count:
        console.print(table)
    else:
        console.print(empty)


def program() -> str:
    """How the person at this terminal can call hilum, for lines to copy: it may not be on the PATH."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "hilum" and shutil.which("hilum") is None else "hilum"


def when(microseconds: int) -> str:
    """UTC to the second, as ISO 8601; "" for 0."""
    if not microseconds:
        return ""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_WHOLE = frozenset(
    {"received", "since", "created", "expires", "revoked", "kind", "state", "item", "source", "check", "code"}
)
_NUMBERS = frozenset({"message", "count", "tries", "messages", "attempts"})

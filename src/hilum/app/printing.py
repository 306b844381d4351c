"""Output that all commands share: JSON lines for programs, tables for people, times as people read them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["print_json", "print_table", "program", "when"]


def print_json(value: Any) -> None:
    """One JSON value on one line of standard output."""
    print(msgspec.json.encode(value).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table; `empty` is said where there are no rows.

    A screen that is too narrow breaks texts, never numbers, times or codes. Where nobody looks at a screen every row is
    one line, for grep. What a screen would obey (ESC and its like) is written as its number.
    """
    lines = [[_harmless(str(cell)) for cell in row] for row in rows]
    if not lines:
        print(empty)
    elif sys.stdout.isatty():
        _print_fitted(columns, lines)
    else:
        _print_lines(columns, lines)


def _print_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[at]) for row in (columns, *rows)) for at in range(len(columns))]
    right = [name in _NUMBERS for name in columns]
    for row in (columns, *rows):
        cells = zip(row, widths, right, strict=True)
        print("  ".join(cell.rjust(wide) if is_right else cell.ljust(wide) for cell, wide, is_right in cells).rstrip())


def _print_fitted(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # a fifth of a second, and only a screen needs it
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_number = column in _NUMBERS
        whole = is_number or column in _WHOLE
        table.add_column(column, overflow="fold", no_wrap=whole, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False, emoji=False).print(table)


def _harmless(text: str) -> str:
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


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

"""Keeps the reference in docs/integration-folder.md current: `python -m hilum.app.reference_page PAGE`."""

from __future__ import annotations

import sys
from pathlib import Path

from hilum.app.sections import SECTIONS
from hilum.config import reference

__all__ = ["updated"]

_BEGIN, _END = "<!-- reference: begin -->\n", "<!-- reference: end -->"


def updated(page: str) -> str:
    """The page with its reference part written anew. Raises ValueError when the marks are not there."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the page needs the lines {_BEGIN.strip()} and {_END}")
    return f"{before}{begin}\n{reference(SECTIONS)}\n{end}{after}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")

"""Keeps code_pages.txt current (where each code is explained): `python -m hilum.app.code_pages docs/codes`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

__all__ = ["code_pages"]

_HEADING = re.compile(r"^#+ `?([a-z0-9]+(?:-[a-z0-9]+)+)`?\s*$", re.MULTILINE)


def code_pages(folder: Path) -> str:
    """A line for each page of this folder: `page: code code`. A code on two pages is on the line of the first."""
    lines, known = [], set[str]()
    for page in sorted(folder.glob("*.md")):
        codes = [code for code in _HEADING.findall(page.read_text("utf-8")) if code not in known]
        known.update(codes)
        if codes:
            lines.append(f"{page.stem}: {' '.join(codes)}\n")
    return "".join(lines)


if __name__ == "__main__":
    Path(__file__).with_suffix(".txt").write_text(code_pages(Path(sys.argv[1])), encoding="utf-8")

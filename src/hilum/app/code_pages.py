"""Keeps code_pages.txt current (where each code is explained): `python -m hilum.app.code_pages docs/codes`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

__all__ = ["code_pages"]

_HEADING = re.compile(r"^#+ `?([a-z0-9]+(?:-[a-z0-9]+)+)`?\s*$", re.MULTILINE)


def code_pages(folder: Path) -> str:
    """A line for each code: `code page`, in the order of codes; of a code on two pages the first page."""
    pages: dict[str, str] = {}
    for page in sorted(folder.glob("*.md")):
        for code in _HEADING.findall(page.read_text("utf-8")):
            pages.setdefault(code, page.stem)
    return "".join(f"{code} {page}\n" for code, page in sorted(pages.items()))


if __name__ == "__main__":
    Path(__file__).with_suffix(".txt").write_text(code_pages(Path(sys.argv[1])), encoding="utf-8")

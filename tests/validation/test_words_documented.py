"""Every code of the table of findings has its paragraph."""

from __future__ import annotations

import re
from pathlib import Path

from hilum.validation import ISSUE_TYPES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "codes" / "validation.md"


def test_every_finding_of_validation_is_documented() -> None:
    documented = set(re.findall(r"^## ([a-z0-9-]+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(ISSUE_TYPES) > 30
    assert set(ISSUE_TYPES) <= documented

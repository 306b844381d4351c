"""Differences on purpose between the base workbook and what other projects expect: docs/mapping-differences.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["RULES", "UNMADE", "Rule"]

# Types that the base never makes of these messages: their fields are not compared, their number is shown.
UNMADE = frozenset(
    {
        "MessageHeader",
        "PractitionerRole",
        "ResearchStudy",
        "Linkage",
        "Task",
        "ClaimResponse",
        "Substance",
        "Consent",
        "MedicationDispense",
        "Bundle",
    }
)


@dataclass(frozen=True)
class Rule:
    """A difference on purpose: where (a regular expression over `Type.path`), and when. The code heads its reason."""

    code: str
    path: str
    folder: str = ""
    when: Callable[[Any, Any], bool] = lambda *_: True
    resource: Callable[[Any], bool] | None = None

    def holds(self, folder: str, path: str, expected: Any, ours: Any, resource: Any) -> bool:
        """Whether this is the reason for a field that differs."""
        if self.folder and self.folder != folder:
            return False
        if not re.fullmatch(self.path, path):
            return False
        if self.resource is not None and (resource is None or not self.resource(resource)):
            return False
        return self.when(expected, ours)


RULES: tuple[Rule, ...] = ()

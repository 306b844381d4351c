"""Where sample messages of other projects are, when they are: in a folder beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the sample data folder ../shared/data is not beside this checkout"
)

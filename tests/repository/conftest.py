"""Every implementation of the repository, found by the seam and not by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hilum.repository
from hilum.repository import SCHEMA, Repository
from hilum.store import Store

IMPLEMENTATIONS = [
    value
    for name in hilum.repository.__all__
    if inspect.isclass(value := getattr(hilum.repository, name))
    and value is not Repository
    and all(hasattr(value, verb) for verb in ("apply", "get", "history", "search"))
]


def opened(make: Callable[..., Any], folder: Path, **more: Any) -> Iterator[Any]:
    """One implementation, with a store of its own when it needs one."""
    if "store" not in inspect.signature(make).parameters:
        yield make(**more)
        return
    with Store.open(folder / "hilum.db", key=bytes(32), schemas=[SCHEMA]) as store:
        yield make(store, **more)


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda one: one.__name__)
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    yield from opened(request.param, tmp_path)

"""The tables of loads and exports in the store."""

from __future__ import annotations

from importlib import resources

from hilum.store import Schema

__all__ = ["BULK_SCHEMA"]

BULK_SCHEMA = Schema(
    name="bulk", version=2, script=resources.files("hilum.app.bulk").joinpath("bulk.sql").read_text("utf-8")
)

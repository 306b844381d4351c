"""The tables of subscriptions in the store."""

from __future__ import annotations

from importlib import resources

from hilum.store import Schema

__all__ = ["SUBSCRIPTIONS_SCHEMA"]

SUBSCRIPTIONS_SCHEMA = Schema(
    name="subscriptions",
    version=1,
    script=resources.files("hilum.app.subscriptions").joinpath("subscriptions.sql").read_text("utf-8"),
)

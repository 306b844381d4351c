"""Versions of FHIR resources, their search index, holds, exceptions, outbox and positions, in one transaction."""

from __future__ import annotations

from .desk import count
from .feed import Feed, Moment, Step, Version
from .matching import is_within
from .memory import MemoryRepository
from .merging import MergeRecord, MergeState
from .past import Past, Versions
from .seam import (
    RELOAD,
    WAITING_DELIVERIES,
    Delivery,
    DeliveryState,
    ExceptionRecord,
    Hold,
    HoldState,
    Limits,
    Page,
    Query,
    ReplayRequest,
    Repository,
    RepositoryCounts,
    SearchTerm,
    Stored,
    StuckDeliveries,
)
from .sqlite import SCHEMA, SqliteRepository
from .writes import Aftermath, Change, Did, Verb, WriteRefused, Written

__all__ = [
    "RELOAD",
    "SCHEMA",
    "WAITING_DELIVERIES",
    "Aftermath",
    "Change",
    "Delivery",
    "DeliveryState",
    "Did",
    "ExceptionRecord",
    "Feed",
    "Hold",
    "HoldState",
    "Limits",
    "MemoryRepository",
    "MergeRecord",
    "MergeState",
    "Moment",
    "Page",
    "Past",
    "Query",
    "ReplayRequest",
    "Repository",
    "RepositoryCounts",
    "SearchTerm",
    "SqliteRepository",
    "Step",
    "Stored",
    "StuckDeliveries",
    "Verb",
    "Version",
    "Versions",
    "WriteRefused",
    "Written",
    "count",
    "is_within",
]

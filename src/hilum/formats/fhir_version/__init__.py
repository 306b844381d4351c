"""A version of a FHIR resource as it is stored: what messages stated, its text, and what it is found by. No I/O."""

from __future__ import annotations

from .finding import definition_digest, found_by, make_ready
from .patch import DEFAULTED, NOTHING, Slots, Stated, patch
from .text import PLAIN, Overlay, Record, meta_text, own_meta, pack, serve, served_text, unpack

__all__ = [
    "DEFAULTED",
    "NOTHING",
    "PLAIN",
    "Overlay",
    "Record",
    "Slots",
    "Stated",
    "definition_digest",
    "found_by",
    "make_ready",
    "meta_text",
    "own_meta",
    "pack",
    "patch",
    "serve",
    "served_text",
    "unpack",
]

"""A version of a FHIR resource as it is stored: what messages stated, and its text. No I/O."""

from __future__ import annotations

from .patch import DEFAULTED, NOTHING, Slots, Stated, patch
from .text import PLAIN, Overlay, Record, make_ready, meta_text, own_meta, pack, serve, served_text, unpack

__all__ = [
    "DEFAULTED",
    "NOTHING",
    "PLAIN",
    "Overlay",
    "Record",
    "Slots",
    "Stated",
    "make_ready",
    "meta_text",
    "own_meta",
    "pack",
    "patch",
    "serve",
    "served_text",
    "unpack",
]

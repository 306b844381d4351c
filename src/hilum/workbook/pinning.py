"""The base that a site's tables were written against: `workbook/base.lock`.

It holds the hash of every line of that base, and the whole text of those that the site has its own version of. It
notices that hilum ships another base; it does not bring the old one back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from hilum import __version__
from hilum.errors import ConfigError
from hilum.workbook.documents import Document
from hilum.workbook.sheets import FOLDER, Entry, Review, content_hash, read_layer

__all__ = ["BASE", "LOCK", "Pin", "base_hash", "lock_after", "lock_text", "pin_of", "read_pin"]

LOCK = "base.lock"
BASE = "hilum-base"
_SHORT = 16  # hex digits: enough to tell two versions of one line apart


class Pin(Struct, frozen=True):
    """`lines`: name of each line of the base to the first 16 hex digits of its hash. `over`: cells by name."""

    format: int
    extends: str
    version: str
    hash: str
    lines: dict[str, str]
    over: dict[str, dict[str, str]] = {}


def line_hash(entry: Entry) -> str:
    """What a lock keeps of a line."""
    return content_hash(entry)[:_SHORT]


def base_hash(entries: Iterable[Entry]) -> str:
    """SHA-256 over the names and hashes of all lines of a base."""
    lines = sorted((entry.name, content_hash(entry)) for entry in entries)
    return sha256(msgspec.json.encode(lines)).hexdigest()


def pin_of(review: Review) -> Pin:
    """The base that is shipped, as a site's lock keeps it."""
    base = review.base.entries
    return Pin(
        1,
        BASE,
        __version__,
        base_hash(base.values()),
        {entry.name: line_hash(entry) for entry in base.values()},
        {base[key].name: _filled(base[key]) for key in review.site.entries if key in base},
    )


def lock_after(review: Review, documents: Mapping[str, Document]) -> str:
    """The file as it is to be once these tables are written."""
    texts = {file: document.text for file, document in {**review.site.documents, **documents}.items()}
    return lock_text(pin_of(structs.replace(review, site=read_layer(texts.items(), "site"))))


def _filled(entry: Entry) -> dict[str, str]:
    return {name: text for name, text in entry.cells.items() if text}


def lock_text(pin: Pin) -> str:
    """The file."""
    return msgspec.json.format(msgspec.json.encode(pin, order="sorted"), indent=1).decode() + "\n"


def read_pin(folder: Path) -> Pin | None:
    """The lock of an integration folder; None when it has none. Raises ConfigError `lock-unreadable`."""
    path = folder / FOLDER / LOCK
    if not path.is_file():
        return None
    try:
        pin = msgspec.json.decode(path.read_bytes(), type=Pin)
    except msgspec.DecodeError as error:
        raise _unreadable() from error
    if pin.format != 1 or pin.extends != BASE:
        raise _unreadable()
    return pin


def _unreadable() -> ConfigError:
    return ConfigError(
        f"{FOLDER}/{LOCK} cannot be read: take it back from version control, or remove it and have "
        "`hilum workbook upgrade` pin the base that is shipped now",
        code="lock-unreadable",
    )

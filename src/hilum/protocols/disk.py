"""Steps on the disk that survive a power cut, for both sides of a folder."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["sync_folder", "write_all"]


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte, then wait until they are on the disk. Raises OSError; some bytes may then be there."""
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until names made, changed or removed in a folder are on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The store key: 32 random bytes, from a secret or from a key file of mode 0600; never a pass phrase."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hilum.errors import StoreUnsafe

__all__ = ["KEY_BYTES", "derive", "key_from_file", "key_from_secret"]

KEY_BYTES = 32
_HOW = "give 32 random bytes as 64 hexadecimal characters or as base64 (`openssl rand -hex 32` makes them)"


def key_from_secret(text: str) -> bytes:
    """The key that a secret's value spells. Raises StoreUnsafe `store-key-invalid`."""
    key = _from_hex(text.strip()) or _from_base64(text.strip())
    if len(key) != KEY_BYTES:
        raise StoreUnsafe(f"the store key cannot be read: {_HOW}", code="store-key-invalid")
    return key


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else b""
    except ValueError:
        return b""


def _from_base64(text: str) -> bytes:
    """Both alphabets of RFC 4648, with or without padding."""
    text = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        return b""


def key_from_file(path: Path, *, store: Path) -> bytes:
    """The key in `path`; made there, with mode 0600, when neither it nor the store exists yet.

    Raises StoreUnsafe: `store-key-missing` (the store exists and its key does not), `store-key-exposed` (others may
    read the file), `store-key-invalid`.
    """
    if not path.exists():
        if store.exists():
            raise StoreUnsafe(
                "the store exists but its key file does not: put the key file back from its copy; without it "
                "the store cannot be read by anyone",
                code="store-key-missing",
            )
        _generate(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise StoreUnsafe(
            f"the key file has mode {mode:04o}, others may read it: `chmod 600` it", code="store-key-exposed"
        )
    return key_from_secret(path.read_text("ascii", "replace"))


def _generate(path: Path) -> None:
    """Write a new key so that it is whole and on the disk, or not there at all; an existing file is never replaced."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, secrets.token_hex(KEY_BYTES).encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass  # another process made it first: its key counts
    finally:
        draft.unlink()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def derive(key: bytes, purpose: str) -> bytes:
    """A 32-byte key for one purpose, by HKDF-SHA256 (RFC 5869); knowing one tells nothing of another."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"hilum {purpose}".encode()).derive(key)

"""The container of definitions: one file, hashed, each section compressed by itself and decoded when it is asked for.

    8 bytes   "HILUMDEF"
    4 bytes   length of the header, big endian
    header    JSON: name, version, format, where it was made from, and for each section offset, size, size when expanded
    sections  Zstandard frames: JSON objects from a name to its definition

A reader gets the SHA-256 of the whole file from elsewhere (beside the wheel's pack, or from the index of packages) and
refuses a file that has another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import zstandard
from msgspec import Raw, Struct

from hilum.errors import HilumError

__all__ = ["FORMAT", "Header", "Origin", "Pack", "open_pack", "write_pack"]

MAGIC = b"HILUMDEF"
FORMAT = 1
MOST = 64 * 1024 * 1024  # bytes that a section may expand to


class Origin(Struct, frozen=True):
    """One file that a pack was made from."""

    name: str
    version: str
    license: str
    sha256: str


class _Section(Struct, frozen=True):
    offset: int  # from the end of the header
    size: int
    expanded: int


class Header(Struct, frozen=True):
    """What a pack says of itself."""

    name: str  # "hl7.fhir.r4"
    version: str  # "4.0.1"
    canonical: str
    made_from: tuple[Origin, ...]
    sections: dict[str, _Section]
    format: int = FORMAT
    depends_on: dict[str, str] = {}
    guides: tuple[str, ...] = ()  # canonical URLs of the implementation guides in it, with their versions


class Pack:
    """An open pack. A section is expanded once, on first use, and its entries are decoded one by one."""

    def __init__(self, header: Header, body: memoryview, sha256: str) -> None:
        self.header, self.sha256 = header, sha256
        self._body = body
        self._sections: dict[str, dict[str, Raw]] = {}

    @property
    def label(self) -> str:
        """`hl7.fhir.r4#4.0.1`, as FHIR packages are written."""
        return f"{self.header.name}#{self.header.version}"

    def section(self, name: str) -> Mapping[str, Raw]:
        """The entries of a section, not decoded; empty when the pack has no such section."""
        found = self._sections.get(name)
        if found is None:
            found = self._sections[name] = self._expand(name)
        return found

    def _expand(self, name: str) -> dict[str, Raw]:
        where = self.header.sections.get(name)
        if where is None:
            return {}
        if where.expanded > MOST:
            raise _damaged("a section is larger than any that hilum writes")
        frame = self._body[where.offset : where.offset + where.size]
        try:
            expanded = zstandard.ZstdDecompressor().decompress(frame, max_output_size=where.expanded)
            return msgspec.json.decode(expanded, type=dict[str, Raw])
        except (zstandard.ZstdError, msgspec.MsgspecError) as error:
            raise _damaged(f"section {name} cannot be read") from error


def open_pack(content: bytes, sha256: str) -> Pack:
    """A pack from its bytes. Raises HilumError `definitions-damaged` when they are not those that were hashed."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _damaged("its bytes are not those that were written")
    if content[:8] != MAGIC or len(content) < 12:
        raise _damaged("it is no pack of definitions")
    start = 12 + int.from_bytes(content[8:12], "big")
    try:
        header = msgspec.json.decode(content[12:start], type=Header)
    except msgspec.MsgspecError as error:
        raise _damaged("its header cannot be read") from error
    if header.format != FORMAT:
        raise HilumError(
            f"definitions of format {header.format}, and this hilum reads format {FORMAT}: add the package again",
            code="definitions-other-format",
        )
    return Pack(header, memoryview(content)[start:], sha256)


def _damaged(what: str) -> HilumError:
    return HilumError(f"a pack of definitions cannot be used: {what}", code="definitions-damaged")


def write_pack(
    path: Path,
    name: str,
    version: str,
    canonical: str,
    made_from: Sequence[Origin],
    sections: Mapping[str, Mapping[str, Any]],
    depends_on: Mapping[str, str] | None = None,
    guides: Sequence[str] = (),
) -> str:
    """Write a pack; returns its SHA-256. The same input gives the same bytes."""
    compressor = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(22, window_log=24)
    )
    places: dict[str, _Section] = {}
    frames: list[bytes] = []
    for section, entries in sections.items():
        plain = msgspec.json.encode(dict(sorted(entries.items())), order="deterministic")
        frame = compressor.compress(plain)
        places[section] = _Section(sum(map(len, frames)), len(frame), len(plain))
        frames.append(frame)
    header = msgspec.json.encode(
        Header(
            name,
            version,
            canonical,
            tuple(made_from),
            places,
            depends_on=dict(depends_on or {}),
            guides=tuple(guides),
        )
    )
    content = b"".join((MAGIC, len(header).to_bytes(4, "big"), header, *frames))
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()

"""The file writer: one file per record, or lines of NDJSON. A record sent twice is there once."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time

import msgspec

from hilum.delivery.lines import LineFile
from hilum.delivery.sections import FilesDestination
from hilum.errors import ConfigError, DeliveryError, HilumError, Outcome
from hilum.model import Finding, Outgoing, Receipt
from hilum.protocols import sync_folder, write_all

__all__ = ["FileWriter"]

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_SUFFIXES = {"hl7": ".hl7", "json": ".json", "xml": ".xml", "csv": ".csv"}


class FileWriter:
    """A `Destination`. Every byte is on the disk before `send` returns. One writer per folder."""

    def __init__(self, name: str, config: FilesDestination) -> None:
        self.name = name
        self._config = config
        self._folder = config.folder
        table = config.send.partition(":")[2]
        self._lines = LineFile(config.folder, table, ".csv", b"\r\n") if table else LineFile(config.folder)
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Makes the folder. Raises ConfigError `files-folder-unusable`."""
        await asyncio.to_thread(self._prepare)

    async def send(self, record: Outgoing) -> Receipt:
        """Receipt.reference is the file's name: the idempotency key, or its hash where it would not do as a name."""
        async with self._turn:
            try:
                name = await self._in_thread(record)
            except OSError as error:
                text = f"The folder does not take the record: {error.strerror}"
                raise DeliveryError(text, code="files-not-written", location=self.name) from error
        return Receipt(name)

    async def close(self) -> None:
        """Let go of the files."""
        async with self._turn:
            await asyncio.to_thread(self._lines.close)

    async def probe(self) -> list[Finding]:
        """Whether the folder can be written to."""
        try:
            await asyncio.to_thread(self._prepare_folder)
        except HilumError as error:
            return [Finding(error.code, error.message, self.name)]
        return []

    async def _in_thread(self, record: Outgoing) -> str:
        """A cancelled send still ends before the next one begins: a thread cannot be stopped."""
        work = asyncio.ensure_future(asyncio.to_thread(self._write, record))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait({work})
            raise

    def _prepare(self) -> None:
        self._prepare_folder()
        if self._config.layout != "each":
            try:
                self._lines.open()
            except OSError as error:
                raise _unusable(error) from error

    def _prepare_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(self._folder)
        except OSError as error:
            raise _unusable(error) from error
        if not os.access(self._folder, os.W_OK | os.X_OK):
            text = f"hilum may not write into {self._folder}; give its user the right to"
            raise ConfigError(text, code="files-folder-unusable")

    def _write(self, record: Outgoing) -> str:
        if self._config.layout == "csv":
            header, end, lines = record.payload.partition(b"\r\n")
            return self._lines.append(record.idempotency_key, lines.removesuffix(end), time.time(), header + end)
        if self._config.layout == "ndjson":
            return self._lines.append(record.idempotency_key, _one_line(record.payload), time.time())
        return self._write_file(_name(record), record.payload)

    def _write_file(self, name: str, payload: bytes) -> str:
        target = self._folder / name
        if target.exists():
            if target.read_bytes() == payload:
                return name
            text = "Another record was written under this idempotency key"
            raise DeliveryError(text, code="files-conflict", location=self.name, outcome=Outcome.HOLD)
        temporary = self._folder / f".{name}.tmp"
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, payload)
        finally:
            os.close(descriptor)
        temporary.replace(target)
        sync_folder(self._folder)
        return name


def _unusable(error: OSError) -> ConfigError:
    text = f"The folder cannot be used: {error.strerror}: {error.filename}"
    return ConfigError(text, code="files-folder-unusable")


def _name(record: Outgoing) -> str:
    kind = record.content_type.partition(";")[0].lower()
    suffix = next((suffix for word, suffix in _SUFFIXES.items() if word in kind), ".bin")
    key = record.idempotency_key
    return (key if _SAFE.fullmatch(key) else hashlib.sha256(key.encode()).hexdigest()[:40]) + suffix


def _one_line(payload: bytes) -> bytes:
    """JSON without line ends. Raises DeliveryError `files-not-json`, outcome hold."""
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        text = "Only JSON can be a line of NDJSON; use the layout `each` for other records"
        raise DeliveryError(text, code="files-not-json", outcome=Outcome.HOLD) from error
    # Outside of strings a line end is white space, and inside of them JSON does not allow one.
    return payload.strip().replace(b"\r", b" ").replace(b"\n", b" ")

"""What a watched folder does between its loop and the disk: look, read, put away. It runs in a thread."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

import structlog

from hilum.errors import ConfigError
from hilum.formats import records
from hilum.intake.folder import (
    MARKER,
    Content,
    Look,
    Unusable,
    file_tag,
    is_still,
    look,
    move,
    read_whole,
    write_notes,
)
from hilum.intake.ledger import HashLedger
from hilum.intake.parts import Claim, claim
from hilum.intake.sections import FilesSource
from hilum.model import Ack, Finding
from hilum.protocols import sync_folder
from hilum.store import fault

__all__ = ["FolderDisk"]

_ANSWERED = fault.declare("files.answered", "the journal has every message of a file, the ledger does not know it")
_NOTED = fault.declare("files.noted", "findings lie beside the place of a file, which still lies in its folder")
_LEDGERED = fault.declare("files.ledgered", "the ledger knows a file, it still lies in its folder")
_MOVED = fault.declare("files.moved", "a file was moved away, its marker may still be there")

log = structlog.get_logger("hilum.intake.files")


class FolderDisk:
    """The disk side of a `FolderWatch`. Every method blocks."""

    def __init__(self, name: str, config: FilesSource) -> None:
        self.name = name
        self._config = config
        self._folder = config.folder
        self._processed = config.folder / config.processed
        self._failed = config.folder / config.failed
        self._state = config.folder / config.state
        self._ledger = HashLedger(self._state / "taken.sha256")
        self._since: dict[str, tuple[Look, float]] = {}  # since when a file looks like this
        self._open: dict[str, Content] = {}  # taken, not yet moved
        self._counts: Counter[str] = Counter()

    def _prepare(self) -> None:
        self._prepare_folders()
        try:
            self._ledger.open()
        except OSError as error:
            text = f"The ledger of taken files cannot be used: {error.strerror}: {error.filename}"
            raise ConfigError(text, code="files-folder-unusable") from error

    def _prepare_folders(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)  # not its parents: those say that the path is meant
            device = self._folder.stat().st_dev
            for folder in (self._processed, self._failed, self._folder / self._config.state):
                folder.mkdir(mode=0o700, exist_ok=True)
                if folder.stat().st_dev != device:
                    text = f"{folder} is on another disk than {self._folder}: files could not be moved in one step"
                    raise ConfigError(text, code="files-folder-unusable")
            sync_folder(self._folder)
        except OSError as error:
            text = f"The folder cannot be used: {error.strerror}: {error.filename}"
            raise ConfigError(text, code="files-folder-unusable") from error

    def _look(self) -> deque[Look]:
        looks, markers = look(self._folder, self._config.pattern)
        now = time.monotonic()
        before, self._since = self._since, {}
        ripe: deque[Look] = deque()
        for seen in looks:
            known = before.get(seen.name)
            since = known[1] if known is not None and known[0] == seen else now
            self._since[seen.name] = (seen, since)
            if seen.name not in self._open and self._is_ripe(seen, now - since, markers.get(seen.name)):
                ripe.append(seen)
        return ripe

    def _is_ripe(self, seen: Look, steady: float, marked: int | None) -> bool:
        ready = self._config.ready
        if not seen.is_regular or ready == "rename":
            return True
        if ready == "marker":
            return marked is not None and marked >= seen.changed  # an older one belonged to a file before
        # An empty file may be one that is about to be written: moving it would take it from under its writer.
        return seen.size > 0 and steady >= self._config.stable_seconds

    def _read(self, seen: Look) -> Content | None:
        """The file, or None when there is nothing to take: it changed, was taken before, or never can be."""
        try:
            content = read_whole(self._folder, seen, self._config.limits.file_bytes)
        except Unusable as unusable:
            self._refuse(seen, (unusable.finding,))
            return None
        if content is None or any(one.digest == content.digest for one in self._open.values()):
            return None
        if content.digest in self._ledger:
            self._note("files-duplicate", seen)
            self._move(seen, self._processed)
            return None
        return content

    def _claim(self, seen: Look) -> Claim | None:
        """A large file as a copy of its own; None as for `_read`."""
        limits = self._config.limits
        is_sheet = isinstance(self._config.format, records.Spreadsheet)
        limit = limits.file_bytes if is_sheet else limits.record_file_bytes
        try:
            claimed = claim(self._folder, self._state, seen, limit)
        except Unusable as unusable:
            self._refuse(seen, (unusable.finding,))
            return None
        if claimed is not None and claimed.content.digest in self._ledger:
            self._note("files-duplicate", seen)
            self._move(seen, self._processed)
            claimed.forget()
            return None
        return claimed

    def _put_away(self, content: Content, ack: Ack) -> None:
        if ack.code in ("AA", "CA") or ack.taken:
            fault.reach(_ANSWERED)
            if ack.findings:
                notes = [str(finding) for finding in ack.findings]
                write_notes(self._processed, content.look.name, ".findings", notes)
            fault.reach(_NOTED)
            self._ledger.add(content.digest)
            fault.reach(_LEDGERED)
            self._move(content.look, self._processed)
            if ack.findings:
                self._note("files-with-findings", content.look, taken=str(ack.taken), answer=ack.code)
        elif ack.finding is not None and ack.finding.code.startswith("store-"):
            self._note("files-not-stored", content.look, reason=ack.finding.code)  # stays; taken again later
        else:
            findings = ack.findings or ((ack.finding,) if ack.finding else ())
            self._refuse(content.look, findings, ack.code)

    def _refuse(self, seen: Look, findings: Sequence[Finding], code: str = "") -> None:
        self._note(findings[0].code if findings else "files-refused", seen, answer=code)
        answer = [f"answered {code}"] if code else []
        write_notes(self._failed, seen.name, ".reason", answer + [str(finding) for finding in findings])
        self._move(seen, self._failed)

    def _move(self, seen: Look, folder: Path) -> None:
        """Nothing moves when the name belongs to another file by now: that one stays and is looked at."""
        if not is_still(self._folder, seen):
            return
        move(self._folder / seen.name, folder)
        fault.reach(_MOVED)
        if self._config.ready == "marker":
            (self._folder / (seen.name + MARKER)).unlink(missing_ok=True)

    def _note(self, code: str, seen: Look | None = None, **facts: str | None) -> None:
        self._counts[code] += 1
        file = file_tag(seen.name) if seen is not None else ""
        log.warning("files", code=code, source=self.name, file=file, **facts)

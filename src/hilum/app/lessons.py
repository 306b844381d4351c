"""Exceptions that teach: what a code without a map may mean, and what follows when somebody says it."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from hilum.app.opening import Opened, whoami
from hilum.app.reviewing import review_folder, written
from hilum.errors import FormatError, HilumError, NotFound
from hilum.formats import hl7v2
from hilum.mapping import load_workbook
from hilum.repository import ExceptionRecord, Hold
from hilum.workbook import Candidate, MissingCode, candidates, missing_code, targets_of, taught

__all__ = ["Lesson", "Teachable", "sender_of", "teach", "teachable"]

MANY = 1000  # holds looked at in one go


class Teachable(Struct, frozen=True):
    """A code that a person can say the meaning of. `display` is what its sender calls it, `targets` are its map's."""

    missing: MissingCode
    display: str
    candidates: list[Candidate]
    targets: list[str]


class Lesson(Struct, frozen=True):
    """What was written, and how many held messages run again. `file` is where, or `said before`."""

    map: str
    sender: str
    code: str
    target: str
    file: str
    replayed: int


def teachable(opened: Opened, number: int) -> Teachable | None:
    """None for an item about something else. Raises NotFound `exception-unknown`."""
    item = opened.repository.exception(number)
    missing = missing_code(item.group)
    if missing is None:
        return None
    display = _display(opened, item, missing.code)
    book = load_workbook(opened.tree.folder)
    return Teachable(missing, display, candidates(book, missing, display), targets_of(book, missing.map))


def teach(opened: Opened, number: int, target: str, *, system: str, display: str, note: str) -> Lesson:
    """Write the line, settle the item, let a running hilum take the workbook, and run again what was held for it.

    Raises HilumError `not-teachable`, ConfigError `map-taught`, `map-target-unknown`, `code-outside-binding`.
    """
    item = opened.repository.exception(number)
    missing = missing_code(item.group)
    if missing is None:
        text = f"E{number} is {item.code}: it is not about a code without a map"
        raise HilumError(text, code="not-teachable")
    folder = opened.tree.folder
    reviewed = review_folder(folder)
    note = note or f"E{number}, said by {whoami()}"
    files = taught(reviewed.review, missing, target, system=system, display=display, note=note, owner=item.owner)
    names = written(reviewed, {name: document.text for name, document in files.items()}, folder)
    file = names[0] if names else "said before"
    opened.audit("map", f"E{number}", f"{missing.map} in {file}")
    replayed = asyncio.run(_follow_up(opened, item, missing, note))
    return Lesson(missing.map, missing.sender, missing.code, target, file, replayed)


async def _follow_up(opened: Opened, item: ExceptionRecord, missing: MissingCode, note: str) -> int:
    """In this order: whoever replays has the new line by then."""
    repository = opened.repository
    await repository.request_reload(whoami())
    asked = [hold.seq for hold in _held_for(opened, item, missing)]
    for seq in asked:
        await repository.request_replay(seq, whoami())
    if item.is_open:
        await repository.settle(item.id, whoami(), note)
    return len(asked)


def _held_for(opened: Opened, item: ExceptionRecord, missing: MissingCode) -> list[Hold]:
    """Held messages of this sender with the item's reason."""
    found: list[Hold] = []
    after = 0
    while some := opened.repository.holds(code=item.code, after=after, limit=MANY):
        after = some[-1].seq
        found += [one for one in some if one.message == item.message and sender_of(opened, one.seq) == missing.sender]
    return found


def sender_of(opened: Opened, seq: int) -> str:
    """`application|facility` of a message; "" when retention took it."""
    try:
        return opened.journal.get(seq).envelope.sender
    except NotFound:
        return ""


def _display(opened: Opened, item: ExceptionRecord, code: str) -> str:
    """The words beside the code in a message that it came in (CWE.2); "" where there are none."""
    for seq in reversed(item.samples):
        try:
            message = opened.journal.get(seq)
            record = hl7v2.parse(message.body, default_charset=message.envelope.charset)
            field = item.location.partition("[")[0].partition(".")[0]
            codes, words = record.all(f"{field}[*].1"), record.all(f"{field}[*].2")
        except (NotFound, FormatError):
            continue
        found = [text for said, text in zip(codes, words, strict=False) if said == code and text]
        if found:
            opened.audit("show", f"E{item.id}", f"words of the code in message/{seq}")
            return found[0]
    return ""

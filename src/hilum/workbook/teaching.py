"""What a code without a map could mean, and the line that teaches it to the site. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

from msgspec import Struct

from hilum.errors import ConfigError
from hilum.mapping import Workbook, columns_of, read_rules
from hilum.workbook.changes import Edit, apply_edits
from hilum.workbook.documents import Document
from hilum.workbook.sheets import Entry, Review
from hilum.workbook.targets import target_findings

__all__ = ["Candidate", "MissingCode", "candidates", "missing_code", "only_one", "targets_of", "taught"]

CODE = "code-unmapped"
MOST_SHOWN = 12  # targets of a map, in a message
ALIKE = 0.5  # of 1: below that two texts have little to do with each other

_WORD = re.compile(r"[a-z0-9]+")


class MissingCode(Struct, frozen=True):
    """A code that no line of a map knows. `sender` is `application|facility`."""

    sender: str
    map: str
    code: str


class Candidate(Struct, frozen=True):
    """A target that the map knows. `alike` from 0 to 1; `why` for people."""

    target: str
    system: str
    display: str
    alike: float
    why: str


def missing_code(group: str) -> MissingCode | None:
    """What an exception item's group says; None when it is about something else."""
    parts = group.split("|", 4)
    if len(parts) < 5 or parts[0] != CODE:
        return None
    return MissingCode(f"{parts[1]}|{parts[2]}", parts[3], parts[4])


def candidates(book: Workbook, missing: MissingCode, display: str = "", limit: int = 5) -> list[Candidate]:
    """Targets of the map, those most like the code and its words first; those that nothing speaks for are left out.

    `display` is what the sender calls it (CWE.2). The same code from another sender counts most, then the same words.
    """
    best: dict[tuple[str, str], Candidate] = {}
    for entry in book.maps:
        if entry.map != missing.map or not entry.target:
            continue
        alike, why = _likeness(missing.code, display, entry.code, entry.display, entry.target)
        known = best.get((entry.target, entry.system))
        if alike >= ALIKE and (known is None or alike > known.alike):
            best[entry.target, entry.system] = Candidate(
                entry.target, entry.system, entry.display, round(alike, 2), why
            )
    return sorted(best.values(), key=lambda one: (-one.alike, one.target))[:limit]


def targets_of(book: Workbook, name: str) -> list[str]:
    """What codes of a map can mean, each once."""
    return sorted({entry.target for entry in book.maps if entry.map == name and entry.target})


def _likeness(code: str, display: str, known: str, known_display: str, target: str) -> tuple[float, str]:
    if code.casefold() == known.casefold():
        return 1.0, f"another sender's {known}"
    if code.casefold() == target.casefold():
        return 0.95, "the code is the target"
    said = [text for text in (display, code) if text]
    words = [text for text in (known_display, target.replace("-", " ")) if text]
    return max((_alike(one, two), f"`{one}` is like `{two}`") for one in said for two in words)


def _alike(first: str, second: str) -> float:
    """Words in common count as much as letters in a row: `Emerg. visit` is like `emergency`."""
    one, two = _words(first), _words(second)
    if not one or not two:
        return 0.0
    if one == two:
        return 0.9
    common = len(set(one) & set(two)) / min(len(set(one)), len(set(two)))
    letters = SequenceMatcher(None, " ".join(one), " ".join(two)).ratio()
    return 0.85 * max(common * min(1.0, 0.5 + letters), letters)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def taught(
    review: Review,
    missing: MissingCode,
    target: str,
    *,
    system: str = "",
    display: str = "",
    note: str,
    owner: str = "",
) -> dict[str, Document]:
    """The site's files with one more line of `maps`, a draft: this code of this sender means `target`.

    System and display are taken from the lines of the same target where they are not given. An empty target says that
    the code means nothing on purpose. No file changes when the site says just this already: whoever was killed before
    the messages ran again asks once more. Raises ConfigError `map-taught` when it says something else of this code,
    `map-target-unknown` for a target that no line of the map has, `code-outside-binding` for one that R4 forbids.
    """
    maps = (entry.cells for entry in review.merged.values() if entry.table == "maps")
    lines = [cells for cells in maps if cells["map"] == missing.map and cells["target"]]
    same = next((cells for cells in lines if cells["target"] == target), dict.fromkeys(columns_of("maps"), ""))
    cells = dict.fromkeys(columns_of("maps"), "") | {
        "map": missing.map,
        "sender": missing.sender,
        "code": missing.code,
        "target": target,
        "system": (system or same["system"] or only_one(cells["system"] for cells in lines)) if target else "",
        "display": (display or same["display"]) if target else "",
        "owner": owner or only_one(cells["owner"] for cells in lines),
        "status": "draft",
        "note": note,
    }
    key = ("maps", *(cells[name] for name in ("map", "sender", "code")))
    there = review.site.entries.get(key)
    if there is not None and not there.is_retired and there.cells["target"] == target:
        return {}
    if there is not None:
        raise ConfigError(
            f"the map {missing.map} of this folder says something else of `{missing.code}` of {missing.sender}: "
            "change it there, then `hilum workbook reload`",
            code="map-taught",
        )
    _refuse_unfit(review, cells, lines, is_sure=bool(system or display))
    return apply_edits(review, [Edit(key, cells)])


def _refuse_unfit(review: Review, cells: dict[str, str], lines: list[dict[str, str]], *, is_sure: bool) -> None:
    """A target that is mistyped would reach every resource of this code from now on."""
    target, name = cells["target"], cells["map"]
    rules = [rule for rule in read_rules(review.book)[0] if rule.row.map == name]
    rows = {entry.cells["row_id"]: entry for entry in review.merged.values() if entry.table == "rows"}
    line = Entry("maps", cells, "maps.csv", layer="site")
    found = [one for one in target_findings(rules, rows, {name: [line]}) if one.location == line.location("target")]
    if found:
        raise ConfigError(f"{found[0].message}: {found[0].hint}", code=found[0].code)
    known = sorted({one["target"] for one in lines})
    if target and known and target not in known and not is_sure:
        some = ", ".join(known[:MOST_SHOWN]) + (
            f" and {len(known) - MOST_SHOWN} more" if len(known) > MOST_SHOWN else ""
        )
        text = f"no line of the map {name} has the target `{target}`: it has {some}"
        raise ConfigError(f"{text}. If you mean it, say --display, and --system", code="map-target-unknown")


def only_one(texts: Iterable[str]) -> str:
    """What all of them say; "" when they differ."""
    found = set(texts)
    return found.pop() if len(found) == 1 else ""

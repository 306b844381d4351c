"""What a person or a program is told when a command cannot do its work: code, reason, what to do; never a patient."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hilum.app.arguments import with_folder_last
from hilum.config import place_of
from hilum.errors import ConfigError, HilumError

if TYPE_CHECKING:
    from cyclopts import CycloptsError

    from hilum.model import Finding

__all__ = [
    "finding_as_json",
    "is_about_a_file",
    "line_of",
    "page_of",
    "report_bug",
    "report_error",
    "report_file",
    "report_order",
    "report_usage",
]

_PACKAGE = Path(__file__).parents[1]


def report_error(error: HilumError, *, as_json: bool, docs: str) -> None:
    """`code message`, the findings behind it, and where the code is explained."""
    findings = error.findings if isinstance(error, ConfigError) else ()
    page = f"{docs}/codes{_page(error)}#{error.code}"
    if as_json:
        body = {
            "code": error.code,
            "message": error.message,
            "location": error.location,
            "findings": [finding_as_json(finding) for finding in findings],
            "docs": page,
        }
        print(msgspec.json.encode({"error": body}).decode())
        return
    for finding in findings:
        print(line_of(finding), file=sys.stderr)
    print(f"hilum: {error}", file=sys.stderr)
    print(f"  {page}", file=sys.stderr)


def report_usage(error: CycloptsError, command: str) -> None:
    """One line, and where help is."""
    chain = " ".join(error.command_chain or (command,)).removeprefix("hilum ")
    print(f"hilum: {_usage(error)}", file=sys.stderr)
    print(f"  `hilum {chain} --help` explains the command", file=sys.stderr)


def _usage(error: CycloptsError) -> str:
    argument = error.argument
    if type(error).__name__ == "MissingArgumentError" and argument is not None and argument.index is not None:
        return f"{argument.name.lstrip('-').upper()} is missing: {argument.parameter.help}"
    return " ".join(str(error).split())


def report_order(words: Sequence[str]) -> None:
    """After a failure: the command line as it may have been meant, where the folder does not stand at its end."""
    if meant := with_folder_last(words):
        print(f"  FOLDER comes last: `{meant}`", file=sys.stderr)


def is_about_a_file(error: OSError) -> bool:
    """Whether a file or a disk is why, and not a fault of hilum."""
    return error.filename is not None or error.errno in _DISK


_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})


def report_file(error: OSError) -> None:
    """A file that was named and cannot be used, or its disk."""
    named = f"{error.filename}: " if error.filename is not None else ""
    print(f"hilum: file-unusable {named}{error.strerror}", file=sys.stderr)


def report_bug(error: Exception) -> None:
    """Where it happened, without the text of the error: it may hold content of a message."""
    place = next(
        (
            f"{Path(frame.filename).relative_to(_PACKAGE)}:{frame.lineno}"
            for frame in reversed(traceback.extract_tb(error.__traceback__))
            if Path(frame.filename).is_relative_to(_PACKAGE)
        ),
        "hilum",
    )
    print(f"hilum: internal-error {type(error).__name__} in {place}; this is a fault of hilum", file=sys.stderr)
    if os.environ.get("HILUM_TRACEBACK"):
        traceback.print_exception(error)
    else:
        print("  HILUM_TRACEBACK=1 shows the traceback; it may hold patient data", file=sys.stderr)


def line_of(finding: Finding) -> str:
    """`file:line:col code message (hint)`, and whether it is only a warning."""
    return f"{finding} [warning]" if finding.severity == "warning" else str(finding)


def finding_as_json(finding: Finding) -> dict[str, object]:
    """A finding with its place taken apart; `line` and `column` are 0 where there is none."""
    file, line, column = place_of(finding.location)
    return {
        "code": finding.code,
        "message": finding.message,
        "severity": str(finding.severity),
        "location": finding.location,
        "file": file,
        "line": line,
        "column": column,
        "hint": finding.hint,
    }


def page_of(code: str) -> str:
    """Name of the page in docs/codes that explains a code; "" when none does."""
    return _pages().get(code, "")


@lru_cache(maxsize=1)
def _pages() -> dict[str, str]:
    words = resources.files(__package__).joinpath("code_pages.txt").read_text("utf-8").split()
    return dict(zip(words[::2], words[1::2], strict=True))


def _page(error: HilumError) -> str:
    page = page_of(error.code)
    return f"/{page}.md" if page else ""

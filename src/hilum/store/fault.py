"""Named crash points: places where a test kills the process to see what is left.

`HILUM_CRASH_AT=journal.before_commit` kills the process with SIGKILL the first time it gets there,
`HILUM_CRASH_AT=journal.before_commit:7` the seventh time. Unset, `reach` does nothing.
Every point is declared where it is used, so that tests can go through all of `POINTS`.
"""

from __future__ import annotations

import os
import signal

__all__ = ["POINTS", "declare", "reach"]

POINTS: dict[str, str] = {}  # name -> what has just happened there

_VARIABLE = "HILUM_CRASH_AT"


def declare(name: str, what: str) -> str:
    """Make a point known; `what` says what has happened by then. Returns the name."""
    POINTS[name] = what
    return name


class _Countdown:
    """Kills the process when the armed point is reached for the nth time."""

    __slots__ = ("left", "name")

    def __init__(self, setting: str) -> None:
        name, _, times = setting.partition(":")
        self.name = name
        self.left = int(times or 1)

    def __call__(self, name: str) -> None:
        if name not in POINTS:
            raise LookupError(f"crash point {name} was never declared")
        if name != self.name:
            return
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _nothing(name: str) -> None:
    """The unarmed point."""


reach = _Countdown(os.environ[_VARIABLE]) if os.environ.get(_VARIABLE) else _nothing

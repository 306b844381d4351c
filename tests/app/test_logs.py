"""What a running hilum says on standard error, to people and to programs."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator

import pytest
import structlog

from hilum.app.logs import Log, set_up_logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def said(monkeypatch: pytest.MonkeyPatch, log: Log, error: io.StringIO) -> list[str]:
    monkeypatch.setattr(sys, "stderr", error)
    set_up_logs(log)
    logger = structlog.get_logger("hilum.test")
    logger.info("listening", source="adt")
    try:
        raise ZeroDivisionError("the text of this must not be seen")
    except ZeroDivisionError:
        logger.warning("delivery failed", destination="portal", code="connection-refused", reason="", exc_info=True)
    assert "must not be seen" not in error.getvalue()
    return error.getvalue().splitlines()


@pytest.mark.parametrize(("log", "error"), [(Log.AUTO, io.StringIO), (Log.JSON, Terminal)])
def test_programs_get_every_event_as_json(monkeypatch: pytest.MonkeyPatch, log: Log, error: type[io.StringIO]) -> None:
    lines = [json.loads(line) for line in said(monkeypatch, log, error())]
    assert [(one["event"], one["level"]) for one in lines] == [("listening", "info"), ("delivery failed", "warning")]
    assert lines[0]["timestamp"].endswith("Z")
    assert lines[1]["exception"] == "ZeroDivisionError"


@pytest.mark.parametrize(("log", "error"), [(Log.AUTO, Terminal), (Log.LINES, io.StringIO)])
def test_people_get_a_line_for_what_needs_somebody(
    monkeypatch: pytest.MonkeyPatch, log: Log, error: type[io.StringIO]
) -> None:
    (line,) = said(monkeypatch, log, error())
    assert line[8:].startswith(" warning: delivery failed (destination portal, code connection-refused, exception Zero")
    assert "{" not in line

"""Logs of a running hilum on standard error: JSON for programs, lines for people; codes and numbers, never PHI."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import structlog

from hilum.app.unblocked import unblocked_stderr

__all__ = ["Log", "logs_of_service", "set_up_logs", "tell_left_out"]


class Log(StrEnum):
    """Who reads standard error."""

    AUTO = "auto"  # people where it is a terminal, programs elsewhere
    JSON = "json"  # programs: every event, one JSON object a line
    LINES = "lines"  # people: what needs somebody, one line each


@contextmanager
def logs_of_service(log: Log = Log.AUTO) -> Iterator[None]:
    """Logs that keep nobody waiting: a service goes on though nobody reads what it says."""
    with unblocked_stderr(tell_left_out):
        set_up_logs(log)
        yield


def set_up_logs(log: Log = Log.AUTO) -> None:
    """With time and level. Tracebacks give places and types: the text of a foreign error may hold content."""
    is_for_people = log is Log.LINES or (log is Log.AUTO and sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if is_for_people else "iso", utc=not is_for_people),
            _without_error_texts,
            _line if is_for_people else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if is_for_people else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def tell_left_out(count: int) -> None:
    """What the reader who is back hears: so many lines stand nowhere."""
    structlog.get_logger(__name__).warning("log-lines-left-out", count=count)


def _line(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    """`12:30:01 warning: delivery failed (destination portal, code connection-refused)`."""
    head = f"{event.pop('timestamp')} {event.pop('level')}: {event.pop('event')}"
    facts = ", ".join(f"{name} {value}" for name, value in event.items() if value not in ("", None, []))
    return f"{head} ({facts})" if facts else head


def _without_error_texts(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if event.pop("exc_info", False):
        kind, _, trace = sys.exc_info()
        places = []
        while trace is not None:
            code = trace.tb_frame.f_code
            places.append(f"{code.co_filename.rpartition('hilum/')[2]}:{trace.tb_lineno} {code.co_name}")
            trace = trace.tb_next
        event["exception"] = kind.__name__ if kind else ""
        event["trace"] = places
    return event

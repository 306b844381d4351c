"""Logs of a running hilum: JSON lines on standard error, codes and numbers, never PHI."""

from __future__ import annotations

import logging
import sys

import structlog

__all__ = ["set_up_logs"]


def set_up_logs() -> None:
    """JSON with time and level. Tracebacks give places and types: the text of a foreign error may hold content."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_error_texts,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


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

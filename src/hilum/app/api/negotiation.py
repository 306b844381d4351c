"""Which format the caller takes, and how strict it wants to be. Pure.

R4 http.html 3.1.0.1.9 (content types), 3.1.0.1.11 (_format overrides Accept), 3.1.1.1.1 of search (Prefer: handling).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from hilum.app.api.outcomes import Problem

__all__ = [
    "FHIR_JSON",
    "JSON",
    "accepts_json",
    "check_format",
    "is_other_release",
    "is_strict",
    "return_preference",
    "takes_gzip",
]

FHIR_JSON = "application/fhir+json; charset=utf-8"
JSON = "application/json"

_JSON_NAMES = frozenset({"json", "application/json", "application/fhir+json", "text/json"})
_RANGES = frozenset({"*/*", "application/*", "text/*"})
_RELEASE = ("4.0", "4.0.1")


def check_format(accept: str, asked: str | None) -> None:
    """Raise Problem 406 `format-unsupported` unless JSON will do. `asked` is `_format`, which overrides `accept`."""
    # a literal + in a query string arrives as a space: application/fhir+json
    fits = accepts_json(accept) if asked is None else accepts_json(asked.strip().replace(" json", "+json"))
    if not fits:
        raise Problem(
            "format-unsupported",
            406,
            "not-supported",
            "resources are served as FHIR R4 JSON only: send Accept: application/fhir+json or _format=json",
        )


@lru_cache(maxsize=512)
def accepts_json(accept: str) -> bool:
    """Whether an Accept header (RFC 9110 12.5.1) or a `_format` takes FHIR R4 JSON. An empty one takes anything."""
    if not accept.strip():
        return True
    best: dict[str, float] = {}
    for item in accept.split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if is_other_release(parameters):
            continue
        best[name.lower()] = max(best.get(name.lower(), 0.0), _quality(parameters))
    named = [quality for name, quality in best.items() if name in _JSON_NAMES]
    if named:  # the more specific range decides, even when it says no
        return max(named) > 0
    return any(quality > 0 for name, quality in best.items() if name in _RANGES)


def is_other_release(parameters: Sequence[str]) -> bool:
    """Whether parameters of a media type name another release than R4 (R4 versioning.html#mt-version)."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "fhirversion":
            return value.strip().strip('"') not in _RELEASE
    return False


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


@lru_cache(maxsize=256)
def is_strict(prefer: str) -> bool:
    """Whether `Prefer: handling=strict` is set (RFC 7240: of two, the first counts). Lenient is the default."""
    for item in prefer.split(","):
        for part in item.split(";"):
            name, _, value = part.partition("=")
            if name.strip().lower() == "handling":
                return value.strip().strip('"').lower() == "strict"
    return False


@lru_cache(maxsize=256)
def return_preference(prefer: str, default: str = "representation") -> str:
    """`Prefer: return=` (RFC 7240, R4 http.html 3.1.0.1.7), `default` when nothing that is known is asked for."""
    for item in prefer.replace(";", ",").split(","):
        name, _, value = item.partition("=")
        if name.strip().lower() == "return":
            asked = value.strip().strip('"')
            return asked if asked in ("minimal", "representation", "OperationOutcome") else default
    return default


@lru_cache(maxsize=256)
def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header names gzip, with a weight that is not 0 (RFC 9110 12.5.3)."""
    for item in accepted.lower().split(","):
        coding, _, weight = item.replace(" ", "").partition(";q=")
        if coding in ("gzip", "x-gzip") and not re.fullmatch(r"0(\.0*)?", weight):
            return True
    return False

"""Values as they are written in a search -> what is compared. Pure (R4 search.html#ptypes)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from hilum.errors import HilumError
from hilum.formats import fhir
from hilum.formats.fhir import Kind, Prefix

__all__ = [
    "date_value",
    "invalid",
    "read_values",
    "reference_values",
    "split_at",
    "token_value",
    "unescape",
    "unknown",
]

APPROXIMATELY = 0.1  # R4 search.html#prefix: a tenth of the value, or of the time from it to now

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,2})?", re.ASCII)


def read_values(kind: Kind, values: tuple[str, ...], written: str) -> tuple[Any, ...]:
    """What these alternatives mean for a parameter of this kind. Raises `search-value-invalid`."""
    return tuple(_READ[kind](value, written) for value in values)


def token_value(text: str, written: str) -> tuple[str | None, str | None]:
    """(system, code); None is any, "" as a system is none."""
    parts = split_at(text, "|")
    if len(parts) > 2 or not any(parts):
        raise invalid(written, "a token is `code`, `system|code`, `|code` or `system|`")
    if len(parts) == 1:
        return None, parts[0]
    return parts[0], parts[1] or None


def _string(text: str, written: str) -> tuple[str, str]:
    plain = unescape(text)
    folded = fhir.fold(plain)
    if not folded:
        raise invalid(written, "a value is missing")
    return folded, plain


def date_value(text: str, written: str) -> tuple[Prefix, int, int]:
    """(prefix, first, after) in milliseconds; `ap` comes widened."""
    prefix, rest = fhir.split_prefix(text)
    found = fhir.date_range(rest.replace(" ", "+"))  # a literal + in a URL arrives as a space
    if found is None:
        raise invalid(
            written,
            "a date is 2026, 2026-11, 2026-11-01 or 2026-11-01T09:30:00Z, after eq, ne, gt, lt, ge, le, sa, eb or ap",
        )
    if prefix is Prefix.AP:
        margin = int(abs(time.time() * 1000 - found[0]) * APPROXIMATELY)
        return prefix, found[0] - margin, found[1] + margin
    return prefix, *found


def reference_values(text: str, only: str, written: str) -> list[str]:
    """`Type/id` as it may be meant, to type `only` if that is given; a whole URL is meant as it is, too."""
    if "://" in text:
        found = fhir.parse_reference(text)
        return [text] if found is None or (only and only != found.type) else [text, found.path]
    found = fhir.parse_reference(text)
    if found is None:
        if text.startswith("urn:"):
            return [text]
        raise invalid(written, "a reference is `id`, `Type/id` or a URL")
    if found.type:
        return [found.path] if only in ("", found.type) else []
    return [f"{type_}/{found.id}" for type_ in ((only,) if only else fhir.RESOURCE_TYPES)]


def _quantity(text: str, written: str) -> tuple[Prefix, float, float, float, str | None, str | None]:
    number, *unit = split_at(text, "|")
    prefix, digits = fhir.split_prefix(number)
    if not _NUMBER.fullmatch(digits) or len(unit) not in (0, 2):
        raise invalid(written, "a quantity is `5.4`, `5.4|system|code` or `5.4||unit`")
    system, code = unit or (None, None)
    return (*_interval(prefix, digits), system or None, code or None)


def _number(text: str, written: str) -> tuple[Prefix, float, float, float, str | None, str | None]:
    prefix, digits = fhir.split_prefix(text)
    if not _NUMBER.fullmatch(digits):
        raise invalid(written, "a number is `5`, `5.40` or `1e3`, after eq, ne, gt, lt, ge, le, sa, eb or ap")
    return (*_interval(prefix, digits), None, None)


def _interval(prefix: Prefix, digits: str) -> tuple[Prefix, float, float, float]:
    mantissa, _, exponent = digits.lower().partition("e")
    places = len(mantissa.partition(".")[2]) - int(exponent or 0)
    half = 0.5 * 10.0**-places
    value = float(digits)
    if prefix is Prefix.AP:
        margin = max(abs(value) * APPROXIMATELY, half)
        return Prefix.EQ, value - margin, value, value + margin
    return prefix, value - half, value, value + half


def _uri(text: str, _: str) -> str:
    return unescape(text)


def _cannot(_: str, written: str) -> Any:
    raise unknown(written, "it cannot stand here")


def split_at(text: str, mark: str, *, keep: bool = False) -> list[str]:
    """At marks that no backslash escapes; the parts without their escapes, unless they are to be kept."""
    parts = re.split(rf"(?<!\\){re.escape(mark)}", text)
    return parts if keep else [unescape(part) for part in parts]


def unescape(text: str) -> str:
    r"""`a\,b` -> `a,b`."""
    return re.sub(r"\\([\\|$,])", r"\1", text)


def unknown(location: str, why: str) -> HilumError:
    """A parameter or key that is not offered."""
    return HilumError(why, code="search-parameter-unknown", location=location)


def no_modifier(location: str, why: str) -> HilumError:
    """A modifier that a parameter does not take."""
    return HilumError(why, code="search-modifier-unknown", location=location)


def invalid(location: str, why: str) -> HilumError:
    """A value that cannot be read."""
    return HilumError(why, code="search-value-invalid", location=location)


_READ: dict[Kind, Callable[[str, str], Any]] = {
    Kind.TOKEN: token_value,
    Kind.IDENTIFIER: token_value,
    Kind.STRING: _string,
    Kind.DATE: date_value,
    Kind.REFERENCE: _cannot,
    Kind.QUANTITY: _quantity,
    Kind.NUMBER: _number,
    Kind.URI: _uri,
    Kind.COMPOSITE: _cannot,
}

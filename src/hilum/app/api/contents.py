"""What a program sends: bytes -> a resource that may be stored. Pure.

The bytes are read whole and written again in one form, so that what is validated, indexed, stored and served is the
same. Decimals keep their text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

import msgspec
from msgspec import Raw, Struct

from hilum import validation
from hilum.app.api.negotiation import is_other_release
from hilum.app.api.outcomes import Problem, issue
from hilum.definitions import Definitions
from hilum.errors import FormatError
from hilum.formats import fhir
from hilum.formats.fhir import Issue, IssueSeverity

__all__ = [
    "LARGE",
    "Content",
    "Validator",
    "by_definitions",
    "check_media",
    "check_references",
    "content_of",
    "decode_json",
    "r4_validator",
]

Validator = Callable[[bytes], Sequence[Issue]]


def by_definitions(definitions: Definitions | None = None, profiles: Sequence[str] = ()) -> Validator:
    """Validation by R4, or by R4 with packages; by these profiles, too."""
    rules = _rules_of(definitions)
    return lambda raw: validation.issues_of(rules.validate_bytes(raw, profiles=profiles))


@cache
def _rules_of(definitions: Definitions | None) -> validation.Validator:
    """One for all who ask by the same definitions, as its parts are compiled when they are first needed."""
    return validation.Validator(definitions)


@cache
def r4_validator() -> Validator:
    """Validation by R4 alone."""
    return by_definitions()


_JSON = frozenset({"application/fhir+json", "application/json", "text/json"})
MOST_ISSUES = 50
LARGE = 128 * 1024  # bytes of a body that is read and validated beside the event loop
# an empty text, one that begins with white space or with what may be some, an empty array or object
_EMPTY = re.compile(rb'"["\x00-\x20\x80-\xff\\]|\[\]|\{\}')
_members = msgspec.json.Decoder(dict[str, Raw]).decode


class Content(Struct, frozen=True):
    """A resource without resourceType and id, by element. `id` is the one that its sender gave, "" for none."""

    type: str
    id: str
    elements: dict[str, Raw]
    notes: tuple[Issue, ...] = ()  # warnings of the validation


@lru_cache(maxsize=256)
def check_media(written: str, allowed: frozenset[str] = _JSON, name: str = "application/fhir+json") -> None:
    """Raise Problem 415 `media-unsupported` for a body that is not JSON in UTF-8. An absent type is taken as JSON."""
    kind, _, parameters = written.partition(";")
    charset = dict(part.strip().lower().partition("=")[::2] for part in parameters.split(";") if "=" in part)
    known = charset.get("charset", "utf-8").strip('"') in ("utf-8", "utf8", "us-ascii")
    if (kind.strip() and kind.strip().lower() not in allowed) or not known:
        raise Problem("media-unsupported", 415, "not-supported", f"send the body as {name} in UTF-8; XML is not taken")
    if is_other_release(parameters.split(";")):
        text = "this server takes R4: send the body as R4 has it, with fhirVersion=4.0 or without"
        raise Problem("media-unsupported", 415, "not-supported", text)


_BOM = b"\xef\xbb\xbf"
_BLANK = re.compile(rb'"[ \t\n\r]')  # before a colon, perhaps
_MEMBER = re.compile(rb'"\s*:')


def decode_json(body: bytes) -> Any:
    """Raises Problem 400 `body-not-json`, `member-repeated`."""
    try:
        value = fhir.decode(body.removeprefix(_BOM))
    except FormatError as error:
        text = f"the body is not JSON in UTF-8 ({error.message}): send a FHIR resource"
        raise Problem("body-not-json", 400, "invalid", text) from None
    if _has_repeated(body, fhir.encode(value)):
        text = "a member stands twice in an object of the body, and nobody can say which is meant: send each once"
        raise Problem("member-repeated", 400, "structure", text)
    return value


def _has_repeated(body: bytes, again: bytes) -> bool:
    """Whether the body has more members than what it was read as: R4 json.html wants names to be unique."""
    there, kept = body.count(b'":'), again.count(b'":')
    if _BLANK.search(body) is not None:
        there, kept = len(_MEMBER.findall(body)), len(_MEMBER.findall(again))
    return there > kept


def content_of(resource: Any, validate: Validator, type_: str = "") -> Content:
    """A resource as it may be stored. `type_` is the one that the address asks for, "" for any.

    Raises Problem 400 `resource-not-object`, `resource-type-wrong`, `id-invalid`, 422 `resource-invalid`.
    """
    if not isinstance(resource, dict):
        raise Problem("resource-not-object", 400, "structure", "the body is not a FHIR resource: send a JSON object")
    said = resource.get("resourceType")
    if not isinstance(said, str) or not fhir.is_resource_type(said) or (type_ and said != type_):
        what = f"`{type_}`, as in the address" if type_ else "a type of R4"
        raise Problem("resource-type-wrong", 400, "invalid", f"the resourceType of the body is not {what}")
    id_ = resource.get("id", "")
    if not isinstance(id_, str) or (id_ and not fhir.is_id(id_)):
        raise Problem("id-invalid", 400, "value", "an id is 1 to 64 letters, digits, `-` and `.`")
    text = fhir.encode(resource)
    notes = _checked(resource, text, validate)
    elements = _members(text)
    for name in ("resourceType", "id"):
        elements.pop(name, None)
    meta = resource.get("meta")
    if isinstance(meta, dict):
        meta = {name: value for name, value in meta.items() if name not in ("versionId", "lastUpdated")}
        elements["meta"] = Raw(fhir.encode(meta))
        if not meta:
            del elements["meta"]
    return Content(said, id_, elements, notes)


def check_references(content: Content, known: bytes = b"") -> None:
    """Refuse conditional references, which only a transaction resolves (R4 http.html#trules), but for those in `known`.

    A `urn:` is an address like any other (references.html#literal): it is kept as it is, for there may be nothing to
    resolve it by. Raises Problem 422 `reference-unresolved`.
    """
    if content.type == "Bundle":  # its references are resolved among its own entries (bundle.html#references)
        return
    for name, raw in content.elements.items():
        for text in fhir.all_references(bytes(raw)):
            is_conditional = "?" in text and "://" not in text and not text.startswith("urn:")
            if is_conditional and text.encode() not in known:
                problem = Problem("reference-unresolved", 422, "not-found", "")
                why = (
                    "a reference by a condition is resolved in a transaction only: post the resource in a Bundle of "
                    "type transaction, or refer to Type/id"
                )
                problem.issues = (fhir.Issue("not-found", why, problem.code, expression=(f"{content.type}.{name}",)),)
                raise problem


def _checked(resource: dict[str, Any], text: bytes, validate: Validator) -> tuple[Issue, ...]:
    """The warnings. Raises Problem 422 with the errors."""
    found = validate(text)
    errors = [one for one in found if one.severity in (IssueSeverity.ERROR, IssueSeverity.FATAL)]
    if not errors and _may_be_misshapen(text):
        errors = [*_shape(resource)]
    if errors:
        problem = Problem("resource-invalid", 422, "invalid", "")
        problem.issues = tuple(errors[:MOST_ISSUES])
        raise problem
    return tuple(found[:MOST_ISSUES])


def _may_be_misshapen(text: bytes) -> bool:
    """A look at the compact text, which clears most resources: what `_shape` refuses has one of these in it."""
    return b"null" in text or b"\\u0000" in text or _EMPTY.search(text) is not None


def _shape(resource: dict[str, Any]) -> Iterator[Issue]:
    """R4 json.html 2.6.2: no empty string, array or object, and null only in arrays of primitives."""
    for name, value in resource.items():
        yield from _empty(value, f"{resource['resourceType']}.{name}", is_item=False)


def _empty(value: Any, path: str, *, is_item: bool) -> Iterator[Issue]:
    if value is None:
        if not is_item:
            yield _bad(path, "is null: leave it out")
    elif isinstance(value, str):
        if not value.strip():
            yield _bad(path, "is an empty text: leave it out")
        elif "\0" in value:
            yield _bad(path, "holds a character that FHIR does not allow")
    elif isinstance(value, list | dict):
        if not value:
            yield _bad(path, "is empty: leave it out")
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            below = f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}"
            yield from _empty(item, below, is_item=isinstance(value, list))


def _bad(path: str, why: str) -> Issue:
    one = issue("resource-invalid", "structure", f"{path} {why}")
    return Issue(one.type, one.text, one.code, expression=(path,))

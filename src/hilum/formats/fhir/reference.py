"""What a FHIR reference points to (R4 references.html)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from .types import is_id, is_resource_type

__all__ = [
    "Reference",
    "all_references",
    "local_references",
    "parse_reference",
    "redirect_references",
    "replace_references",
]

# A regular expression instead of a walk: 1 us for a resource, and it finds references in extensions, too.
_REFERENCE = re.compile(rb'"reference"\s*:\s*"([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})"')


class Reference(Struct, frozen=True):
    """`Type/id`, with the base of an absolute URL and the version when it has them. An empty type: a bare id."""

    type: str
    id: str
    base: str = ""
    version: str = ""

    @property
    def path(self) -> str:
        """`Type/id`."""
        return f"{self.type}/{self.id}"


def parse_reference(text: str) -> Reference | None:
    """A literal reference or bare id; None for `#contained`, `urn:uuid:...`, other URLs and text that is none."""
    head, _, version = text.partition("/_history/")
    parts = head.split("/")
    id_ = parts[-1]
    if not is_id(id_):
        return None
    if len(parts) == 1:
        return Reference("", id_, version=version)
    if not is_resource_type(parts[-2]):
        return None
    base = "/".join(parts[:-2])
    if base and not base.startswith(("http://", "https://")):
        return None
    return Reference(parts[-2], id_, base, version)


def local_references(body: bytes) -> list[str]:
    """`Type/id` of every relative reference in this JSON, in order, with repeats."""
    return [found.decode() for found in _REFERENCE.findall(body)]


def redirect_references(body: bytes, targets: dict[str, str]) -> bytes:
    """The same JSON with references to the keys of `targets` pointing to its values; all else byte for byte."""

    def point(match: re.Match[bytes]) -> bytes:
        target = targets.get(match[1].decode())
        return match[0] if target is None else match[0].replace(match[1], target.encode())

    return _REFERENCE.sub(point, body)


# R4 http.html#trules: what stands in elements of type Reference, uri, url, oid, uuid; an Identifier's value does not.
_LINK = re.compile(
    rb'("(?:reference|url|uri|value(?:Uri|Url|Uuid|Oid|Canonical))"\s*:\s*)"((?:[^"\\]|\\.)*)"',
)


# In a narrative, which is a text in JSON: its quotes are escaped (R4 http.html#trules: <a href> and <img src>).
_ANCHOR = re.compile(rb"""((?:href|src)\s*=\s*(\\"|'))([^"'\\<>]+)(?=\2)""")


def replace_references(body: bytes, targets: Mapping[str, str]) -> bytes:
    """The same JSON with references that are keys of `targets`, whatever their form, pointing to its values.

    `body` itself when there are none.
    """

    def point(match: re.Match[bytes]) -> bytes:
        text = match[2].decode()
        target = targets.get(text if "\\" not in text else msgspec.json.decode(b'"' + match[2] + b'"', type=str))
        return match[0] if target is None else match[1] + msgspec.json.encode(target)

    if b'"reference"' not in body and b"urn:" not in body:
        return body

    def lead(match: re.Match[bytes]) -> bytes:
        target = targets.get(match[3].decode())
        return match[0] if target is None else match[1] + target.encode()

    changed = _LINK.sub(point, body)
    if b"href" in body or b"src" in body:
        changed = _ANCHOR.sub(lead, changed)
    return body if changed == body else changed


def all_references(body: bytes) -> list[str]:
    """The text of every reference in this JSON, in order, with repeats."""
    return [
        msgspec.json.decode(b'"' + text + b'"', type=str)
        for key, text in _LINK.findall(body)
        if key.startswith(b'"reference"')
    ]

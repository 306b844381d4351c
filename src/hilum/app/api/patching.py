"""Patches as they are sent: JSON Patch, FHIRPath Patch, JSON Merge Patch. Pure.

RFC 6902, R4 fhirpatch.html, RFC 7396; R4 http.html#patch has the first two. Clients that send `application/json` mean
any of them: what the body is decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hilum.app.api.contents import check_media, decode_json
from hilum.app.api.outcomes import Problem
from hilum.errors import FormatError
from hilum.formats import fhir
from hilum.formats.fhir_patch import apply_fhirpath_patch

__all__ = ["PATCH_FORMATS", "Patch", "patch_of"]

JSON_PATCH, FHIRPATH_PATCH = "application/json-patch+json", "application/fhir+json"
MERGE_PATCH = "application/merge-patch+json"
PATCH_FORMATS = (JSON_PATCH, FHIRPATH_PATCH, MERGE_PATCH)

Patch = Callable[[bytes], Any]
"""The body of a resource -> the resource after the patch. Raises Problem 422."""

_Apply = Callable[[Any, Any], Any]


def patch_of(body: bytes, media: str) -> Patch:
    """What a body of this media type does to a resource. Raises Problem 400, 415."""
    kind = media.partition(";")[0].strip().lower()
    if kind not in (*PATCH_FORMATS, *_PLAIN):
        raise _unsupported()
    check_media(media, frozenset({kind}))
    operations = decode_json(body)
    apply = _meant(kind, operations)

    def patched(stored: bytes) -> Any:
        try:
            return apply(fhir.decode(stored), operations)
        except FormatError as error:
            text = f"operation {error.location or '/'}: {error.message}"
            raise Problem(error.code, 422, "processing", text) from None

    return patched


_PLAIN = ("application/json", "text/json")


def _meant(kind: str, operations: Any) -> _Apply:
    is_parameters = isinstance(operations, dict) and operations.get("resourceType") == "Parameters"
    if kind == JSON_PATCH or (kind in _PLAIN and isinstance(operations, list)):
        return fhir.apply_patch
    if is_parameters and kind != MERGE_PATCH:
        return apply_fhirpath_patch
    if isinstance(operations, dict) and kind in (MERGE_PATCH, *_PLAIN):
        return fhir.merge_patch
    raise _unsupported()


def _unsupported() -> Problem:
    known = f"JSON Patch as {JSON_PATCH}, FHIRPath Patch (Parameters) as {FHIRPATH_PATCH}, Merge Patch as {MERGE_PATCH}"
    text = f"send one of: {known}"
    return Problem("media-unsupported", 415, "not-supported", text, headers={"Accept-Patch": ", ".join(PATCH_FORMATS)})

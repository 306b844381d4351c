"""Patches as they are sent: JSON Patch (RFC 6902) or FHIRPath Patch (R4 http.html#patch, fhirpatch.html). Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hilum.app.api.contents import check_media, decode_json
from hilum.app.api.outcomes import Problem
from hilum.errors import FormatError
from hilum.formats import fhir
from hilum.formats.fhir_patch import apply_fhirpath_patch

__all__ = ["PATCH_FORMATS", "Patch", "patch_of"]

PATCH_FORMATS = ("application/json-patch+json", "application/fhir+json")

Patch = Callable[[bytes], Any]
"""The body of a resource -> the resource after the patch. Raises Problem 422."""


def patch_of(body: bytes, media: str) -> Patch:
    """What a body of this media type does to a resource. Raises Problem 400, 415."""
    if not media.strip():
        raise _unsupported()
    if media.partition(";")[0].strip().lower() == PATCH_FORMATS[0]:
        check_media(media, frozenset(PATCH_FORMATS[:1]), PATCH_FORMATS[0])
        apply: Callable[[Any, Any], Any] = fhir.apply_patch
    else:
        check_media(media, name=f"{PATCH_FORMATS[0]}, or a FHIRPath Patch as {PATCH_FORMATS[1]}")
        apply = apply_fhirpath_patch
    operations = decode_json(body)
    if apply is apply_fhirpath_patch and not (
        isinstance(operations, dict) and operations.get("resourceType") == "Parameters"
    ):
        raise _unsupported()

    def patched(stored: bytes) -> Any:
        try:
            return apply(fhir.decode(stored), operations)
        except FormatError as error:
            text = f"operation {error.location or '/'}: {error.message}"
            raise Problem(error.code, 422, "processing", text) from None

    return patched


def _unsupported() -> Problem:
    text = f"send a JSON Patch as {PATCH_FORMATS[0]}, or a FHIRPath Patch (Parameters) as {PATCH_FORMATS[1]}"
    return Problem("media-unsupported", 415, "not-supported", text, headers={"Accept-Patch": ", ".join(PATCH_FORMATS)})

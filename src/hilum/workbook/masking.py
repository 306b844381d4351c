"""Values as shapes: what a reader may see of a patient's data without a reason."""

from __future__ import annotations

__all__ = ["shape_of"]

_LONGEST = 24
_PUBLIC = (".system", ".url", ".reference")


def shape_of(path: str, value: str) -> str:
    """`"1970-01-02"` becomes `"9999-99-99"`, `"Rivera"` `"Aaaaaa"`. Systems and URLs are names, no data: they stay.

    `value` is JSON or "". A reference keeps its type: `"Patient/..."`.
    """
    if not value or value in ("{}", "[]", "null"):
        return value
    if path.endswith(".reference"):
        return value.partition("/")[0] + '/..."' if "/" in value else '"..."'
    if path.endswith(_PUBLIC) or path.endswith("(deleted)"):
        return value
    if value in ("true", "false"):
        return "boolean"
    masked = "".join(map(_masked, value))
    return masked if len(masked) <= _LONGEST else f"{masked[:_LONGEST]}... ({len(value)})"


def _masked(character: str) -> str:
    if character.isalpha():
        return "A" if character.isupper() else "a"
    return "9" if character.isnumeric() else character

"""Values as shapes: what a reader may see of a patient's data without a reason."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["shape_of"]

_LONGEST = 24
_PUBLIC = (".system", ".url", ".reference")


@lru_cache(4096)
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
    masked = value.translate(_MASKS)
    return masked if len(masked) <= _LONGEST else f"{masked[:_LONGEST]}... ({len(value)})"


class _Masks(dict[int, str]):
    """What is shown for each character, found when it is first seen."""

    def __missing__(self, number: int) -> str:
        character = chr(number)
        shown = "A" if character.isalpha() and character.isupper() else "a" if character.isalpha() else character
        found = self[number] = "9" if character.isnumeric() and not character.isalpha() else shown
        return found


_MASKS = _Masks()

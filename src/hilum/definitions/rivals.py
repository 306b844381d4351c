"""Elements that R4 allows no resource together, by rules that no order of messages must break."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Raw

__all__ = ["rivals"]


def rivals(type_: str, elements: Mapping[str, Raw]) -> list[tuple[list[str], str]]:
    """Elements of an Observation that R4 allows no other beside: (the names of its value, the other), each pair.

    A value and why there is none (obs-6), a value and components with the same code (obs-7).
    """
    if type_ != "Observation" or not ("dataAbsentReason" in elements or "component" in elements):
        return []
    values = [name for name in elements if name.startswith("value") and name[5:6].isupper()]
    same = b'"code":' + bytes(elements.get("code", b"?"))
    others = ["dataAbsentReason"] if "dataAbsentReason" in elements else []
    if "component" in elements and same in bytes(elements["component"]):
        others.append("component")
    return [(values, other) for other in others] if values else []

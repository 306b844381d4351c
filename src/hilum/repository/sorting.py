"""Sort keys in SQL, and the place after which a page begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from hilum.formats import fhir
from hilum.formats.fhir import Kind

from .arranging import Sort
from .sql import Row

__all__ = ["ID_OF", "NO_NUMBER", "Order", "beyond", "order_of"]

ID_OF = "hilum_id_of"  # a function of SQL: the id of a packed name
NO_NUMBER = -1.7976931348623157e308  # a resource without a value sorts before all that have one

_LABELS = "SELECT rid, min(value) AS value FROM fact_label WHERE parameter = ? GROUP BY rid"
_DATES = "SELECT rid, min(first) AS value FROM fact_date WHERE parameter = ? GROUP BY rid"
_NUMBERS = "SELECT rid, min(value) AS value FROM fact_quantity WHERE parameter = ? GROUP BY rid"
_CODES = (
    "SELECT t.rid, min(e.code) AS value FROM term e CROSS JOIN fact_token t ON t.term = e.id WHERE e.parameter = ? "
    "GROUP BY t.rid"
)
_NAMES = "SELECT rid, min(key) AS value FROM resource_name GROUP BY rid"
_VALUES = {
    Kind.STRING: (_LABELS, "''"),
    Kind.URI: (_LABELS, "''"),
    Kind.IDENTIFIER: (_LABELS, "''"),
    Kind.TOKEN: (_CODES, "''"),
    Kind.DATE: (_DATES, str(fhir.FAR_PAST - 1)),
    Kind.QUANTITY: (_NUMBERS, repr(NO_NUMBER)),
    Kind.NUMBER: (_NUMBERS, repr(NO_NUMBER)),
}


class Order(Struct, frozen=True):
    """Expressions of the keys, and what must be joined to have them."""

    keys: tuple[str, ...]
    joins: str = ""
    values: Row = ()

    def clause(self, sorts: Sequence[Sort]) -> str:
        """What stands behind ORDER BY: the number of the resource decides between equals."""
        keys = [f"{key} {_direction(sort)}" for key, sort in zip(self.keys, sorts, strict=True)]
        return ", ".join((*keys, f"v.rid {_direction(sorts[-1])}"))


def order_of(sorts: Sequence[Sort]) -> Order:
    """The keys of these sorts."""
    keys: list[str] = []
    joins = ""
    values: list[Any] = []
    for index, sort in enumerate(sorts):
        if sort.is_by_id:
            joins += f" LEFT JOIN ({_NAMES}) s{index} ON s{index}.rid = v.rid"
            keys.append(f"{ID_OF}(s{index}.value)")
        elif sort.kind is None:
            keys.append("v.tick")
        elif sort.is_ordering:
            keys.append(f"coalesce(v.first, {fhir.FAR_PAST - 1})" if len(sorts) > 1 else "v.first")
        else:
            sql, absent = _VALUES[sort.kind]
            joins += f" LEFT JOIN ({sql}) s{index} ON s{index}.rid = v.rid"
            keys.append(f"coalesce(s{index}.value, {absent})")
            values.append(sort.number)
    return Order(tuple(keys), joins, tuple(values))


def beyond(order: Order, sorts: Sequence[Sort], place: Sequence[Any]) -> tuple[str, Row]:
    """The condition of lying after a place, which is the keys and the number of a resource."""
    keys = (*order.keys, "v.rid")
    signs = [*("<" if sort.is_descending else ">" for sort in sorts)]
    signs.append(signs[-1])
    if len(set(signs)) == 1:
        return f"({', '.join(keys)}) {signs[0]} ({', '.join('?' * len(keys))})", tuple(place)
    parts: list[str] = []
    values: list[Any] = []
    for at in range(len(keys)):
        equal = [f"{key} = ?" for key in keys[:at]]
        parts.append(f"({' AND '.join((*equal, f'{keys[at]} {signs[at]} ?'))})")
        values += place[: at + 1]
    return f"({' OR '.join(parts)})", tuple(values)


def _direction(sort: Sort) -> str:
    return "DESC" if sort.is_descending else "ASC"

"""What tables made of FHIR (`csv:worklist`) say of the resources that a message makes, beside these resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from hilum.formats.records import ResourceRecord, read_resource
from hilum.mapping import Context, Mapped, TablePlan, Workbook, compile_table, render, tables_of
from hilum.model import Draft

__all__ = ["TableLines"]

Param = str | int | float | bool
_OUT = Context("hilum", "")


class TableLines(Struct, frozen=True):
    """The tables that one workbook makes; `plans` is empty where it makes none."""

    plans: tuple[TablePlan, ...]

    @staticmethod
    def of(book: Workbook, params: Mapping[str, Param]) -> TableLines:
        """Raises ConfigError."""
        return TableLines(tuple(compile_table(book, kind, params=params) for kind in tables_of(book)))

    def beside(self, mapped: Mapped) -> Mapped:
        """The same, with a draft for each line: its type is the table, its id the resource, its elements the columns.

        References lead to resources of the same message: the store is not asked. Of a held message nothing is sent.
        """
        if not self.plans or mapped.held is not None:
            return mapped
        resources = {f"{one['resourceType']}/{one['id']}": one for one in map(read_resource, render(mapped))}
        return structs.replace(mapped, drafts=[*mapped.drafts, *self._lines(resources)])

    def _lines(self, resources: Mapping[str, dict[str, Any]]) -> Iterator[Draft]:
        for plan in self.plans:
            name = plan.kind.partition(":")[2]
            for reference, resource in resources.items():
                type_ = resource["resourceType"]
                if type_ not in plan.types:
                    continue
                made = plan.run(ResourceRecord(f"fhir:{type_}", resource, resolve=resources.get), _OUT).mapped
                if made.held is not None:
                    said = Raw(msgspec.json.encode(f"{made.held.code} {made.held.location}"))
                    yield Draft(name, reference, {"(held)": said})
                for draft in made.drafts if made.held is None else ():
                    yield structs.replace(draft, type=name, id=reference)

"""Tables that go out: rows whose targets are columns make one line of each resource, by the same plan.

A line is a draft of a type of its own, whose elements are the columns: reading, transforms, policies, accounting and
traces are those of resources.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import msgspec
from msgspec import Struct, structs

from hilum.errors import ConfigError
from hilum.mapping.columns import is_resource_kind
from hilum.mapping.mapped import Context, Mapped, Trace
from hilum.mapping.places import Target
from hilum.mapping.plan import Plan, checked_rules
from hilum.mapping.record_rows import LINE
from hilum.mapping.resource_elements import Resource
from hilum.mapping.rows import Rule, read_rules
from hilum.mapping.tables import Row, Workbook
from hilum.model import Accounting

__all__ = ["TableLine", "TablePlan", "compile_table", "tables_of"]

PREFIX = "csv:"
_LINE_ROW = "(line)"  # makes the lines of types without a row that says when
_text = msgspec.json.Decoder(str).decode


class TableLine(Struct, frozen=True):
    """What one resource says of a table. `cells` in the order of its columns; None when it makes no line.

    `mapped` has the accounting, the exceptions, and why the line is held, if it is.
    """

    cells: tuple[str, ...] | None
    mapped: Mapped


class TablePlan:
    """The rows of one table, ready to run. `columns` are those of its rows, in the order of the tables."""

    def __init__(self, kind: str, plan: Plan, rules: list[Rule]) -> None:
        self.kind, self._plan = kind, plan
        self.columns = tuple(dict.fromkeys(rule.target.steps[0].name for rule in rules if rule.target.steps))
        self.types = tuple(sorted({kind.partition(":")[2] for rule in rules for kind in rule.applies}))
        paths = [path.column for rule in rules for path in rule.paths()]
        self.follows = any("resolve()" in path for path in paths)

    def run(self, record: Resource, context: Context) -> TableLine:
        """One line of one resource. Raises nothing for any resource."""
        mapped = self._plan.run(record, context)
        if not mapped.drafts and mapped.held is None:  # the condition of the line does not hold: left out on purpose
            counts = mapped.accounting
            return TableLine(None, Mapped([], accounting=Accounting(counts.valued, 0, counts.valued, 0)))
        if mapped.held is not None:
            return TableLine(None, mapped)
        elements = {name: value for draft in mapped.drafts for name, value in draft.elements.items()}
        cells = tuple(_shown(bytes(elements[name])) if name in elements else "" for name in self.columns)
        return TableLine(cells, mapped)

    def trace(self, record: Resource, context: Context) -> list[Trace]:
        """Where each cell comes from."""
        return [one for one in self._plan.trace(record, context) if one.path != "id"]


def _shown(value: bytes) -> str:
    """The text of a cell: texts without their quotes, numbers and booleans as JSON writes them."""
    return _text(value) if value[:1] == b'"' else value.decode()


def tables_of(book: Workbook) -> tuple[str, ...]:
    """The kinds of tables that rows write, sorted; rows that cannot be read write none."""
    return _tables(read_rules(book)[0])


def _tables(rules: list[Rule]) -> tuple[str, ...]:
    return tuple(sorted({f"{PREFIX}{rule.target.type}" for rule in rules if rule.target.is_cell and rule.target.steps}))


def compile_table(
    workbook: Workbook, kind: str, *, params: Mapping[str, str | int | float | bool] | None = None
) -> TablePlan:
    """The rows that write `csv:worklist`. Raises ConfigError `csv-table-unknown` or `workbook-invalid`."""
    book, rules = checked_rules(workbook, params or {})
    name = kind.removeprefix(PREFIX)
    mine = [rule for rule in rules if rule.target.is_cell and rule.target.type == name]
    if not any(rule.target.steps for rule in mine) or not kind.startswith(PREFIX):
        known = _tables(rules)
        near = difflib.get_close_matches(kind, known, 1)
        hint = f" (did you mean {near[0]}?)" if near else f" (there are: {', '.join(known)})" if known else ""
        text = f"no row writes the table `{kind}`; a target such as {name or 'worklist'}[Name] does{hint}"
        raise ConfigError(text, code="csv-table-unknown")
    return TablePlan(kind, Plan(book, [*_lines(mine, name), *mine], book.findings, kind), mine)


def _lines(rules: list[Rule], name: str) -> list[Rule]:
    """Rows that make a line of each resource of types for which no row says when."""
    told = {kind for rule in rules if rule.target.role == "key" for kind in rule.applies}
    found = []
    for rule in rules:
        kinds = tuple(kind for kind in rule.applies if kind not in told and is_resource_kind(kind))
        told.update(kinds)
        if kinds:
            source, transform = LINE
            line = structs.replace(
                rule,
                row=Row(_LINE_ROW, owner=rule.row.owner, where=rule.row.where),
                applies=kinds,
                alternatives=source,
                when=None,
                target=Target(name, "", (), role="key", is_cell=True),
                transform=transform,
                missing="skip",
            )
            found.append(line)
    return found

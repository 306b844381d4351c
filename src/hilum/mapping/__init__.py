"""The mapping workbook: the tables that owners review and sign are the tables that run. No I/O but reading its tables.

Read rows (`load_base`, `load_workbook`), compile them (`compile_workbook`), run them on records (`Plan.run`), and ask
where a value comes from (`Plan.trace`). docs/workbook.md is the grammar.
"""

from hilum.mapping.identity import resource_id
from hilum.mapping.mapped import Context, Mapped, Problem, Record, Trace, render
from hilum.mapping.plan import Plan, compile_workbook
from hilum.mapping.record_conditions import compile_condition
from hilum.mapping.tables import Row, Workbook, load_base, load_workbook, read_workbook

__all__ = [
    "Context",
    "Mapped",
    "Plan",
    "Problem",
    "Record",
    "Row",
    "Trace",
    "Workbook",
    "compile_condition",
    "compile_workbook",
    "load_base",
    "load_workbook",
    "read_workbook",
    "render",
    "resource_id",
]

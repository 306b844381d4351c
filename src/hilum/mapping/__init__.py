"""The mapping workbook: the tables that owners review and sign are the tables that run. No I/O but reading its tables.

Read rows (`load_base`, `load_workbook`), compile them (`compile_workbook`), run them on records (`Plan.run`), and ask
where a value comes from (`Plan.trace`). docs/workbook.md is the grammar.
"""

from hilum.mapping.accounting import FieldFates
from hilum.mapping.conditions import compare
from hilum.mapping.decisions import params_asked
from hilum.mapping.elements import choice_of, is_required
from hilum.mapping.identity import resource_id
from hilum.mapping.lookup import sender_rank
from hilum.mapping.mapped import Context, Mapped, Problem, Record, Trace, render
from hilum.mapping.plan import Plan, compile_workbook
from hilum.mapping.program import Opened
from hilum.mapping.record_conditions import compile_condition
from hilum.mapping.rows import Rule, read_rules
from hilum.mapping.syntax import (
    Binary,
    Call,
    Expression,
    Literal,
    Logic,
    Membership,
    Negation,
    Param,
    Path,
    Word,
    walk,
)
from hilum.mapping.tables import (
    CodeSystem,
    Ignore,
    MapEntry,
    Namespace,
    ParamLine,
    Row,
    TestCase,
    Workbook,
    base_files,
    columns_of,
    key_columns,
    load_base,
    load_workbook,
    read_workbook,
    required_columns,
    table_of,
    table_text,
)
from hilum.mapping.tables_out import TableLine, TablePlan, compile_table, tables_of
from hilum.mapping.transforms import COMBINATORS, plugin_names, release_of
from hilum.mapping.transforms import names as transform_names
from hilum.mapping.transforms.times import zone_of

__all__ = [
    "COMBINATORS",
    "Binary",
    "Call",
    "CodeSystem",
    "Context",
    "Expression",
    "FieldFates",
    "Ignore",
    "Literal",
    "Logic",
    "MapEntry",
    "Mapped",
    "Membership",
    "Namespace",
    "Negation",
    "Opened",
    "Param",
    "ParamLine",
    "Path",
    "Plan",
    "Problem",
    "Record",
    "Row",
    "Rule",
    "TableLine",
    "TablePlan",
    "TestCase",
    "Trace",
    "Word",
    "Workbook",
    "base_files",
    "choice_of",
    "columns_of",
    "compare",
    "compile_condition",
    "compile_table",
    "compile_workbook",
    "is_required",
    "key_columns",
    "load_base",
    "load_workbook",
    "params_asked",
    "plugin_names",
    "read_rules",
    "read_workbook",
    "release_of",
    "render",
    "required_columns",
    "resource_id",
    "sender_rank",
    "table_of",
    "table_text",
    "tables_of",
    "transform_names",
    "walk",
    "zone_of",
]

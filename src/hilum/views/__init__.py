"""Tables from FHIR: SQL on FHIR v2 ViewDefinitions, compiled to DuckDB SQL over NDJSON or Parquet.

view = load_view("patients")
with private_folder(output) as work:
    run_view(view, [Path("Patient.ndjson")], output, "parquet", work=work, table="patients")
"""

from __future__ import annotations

from .compiler import compile_view
from .definition import Column, Constant, Select, View, read_view
from .engine import FORMATS, Done, private_folder, run_view
from .shipped import load_view, starter_views
from .sources import resource_files

__all__ = [
    "FORMATS",
    "Column",
    "Constant",
    "Done",
    "Select",
    "View",
    "compile_view",
    "load_view",
    "private_folder",
    "read_view",
    "resource_files",
    "run_view",
    "starter_views",
]

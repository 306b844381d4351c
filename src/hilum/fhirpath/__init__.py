"""FHIRPath (N1, with the R4 model): expressions compiled to closures over parsed JSON.

expression = compile_expression("Patient.name.where(use = 'official').given.first()", type="Patient")
expression(decode(raw))  # ["Ana"]
"""

from __future__ import annotations

from . import syntax
from .expression import Expression, compile_expression, decode
from .failure import FhirPathError
from .model import Field, Model, R4Model, r4_model
from .parser import parse
from .printing import render
from .quantity import Quantity
from .temporal import Temporal, parse_temporal
from .values import Element, system_type, system_value

__all__ = [
    "Element",
    "Expression",
    "FhirPathError",
    "Field",
    "Model",
    "Quantity",
    "R4Model",
    "Temporal",
    "compile_expression",
    "decode",
    "parse",
    "parse_temporal",
    "r4_model",
    "render",
    "syntax",
    "system_type",
    "system_value",
]

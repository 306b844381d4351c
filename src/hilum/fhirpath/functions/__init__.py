"""The functions of FHIRPath by name: what builds the step of each."""

from __future__ import annotations

from hilum.fhirpath.functions.building import Build
from hilum.fhirpath.functions.collections import COLLECTIONS
from hilum.fhirpath.functions.conversion import CONVERSION
from hilum.fhirpath.functions.existence import EXISTENCE
from hilum.fhirpath.functions.filtering import FILTERING
from hilum.fhirpath.functions.numbers import NUMBERS
from hilum.fhirpath.functions.references import REFERENCES
from hilum.fhirpath.functions.texts import TEXTS
from hilum.fhirpath.functions.tree import TREE

__all__ = ["FUNCTIONS"]

FUNCTIONS: dict[str, Build] = {
    **EXISTENCE,
    **FILTERING,
    **COLLECTIONS,
    **TEXTS,
    **NUMBERS,
    **CONVERSION,
    **TREE,
    **REFERENCES,
}

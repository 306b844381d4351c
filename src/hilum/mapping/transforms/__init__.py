"""Transforms: named, tested functions from HL7 v2 datatypes to FHIR JSON."""

from __future__ import annotations

from hilum.mapping.transforms import codes, copies, identifiers, numbers, people, texts, times  # noqa: F401 - they register
from hilum.mapping.transforms.frame import (
    NOTHING,
    Env,
    Evaluator,
    Report,
    Spec,
    Typed,
    json_object,
    json_text,
    names,
    transform_of,
)
from hilum.mapping.transforms.identifiers import Identity, identity_of, key_evaluator
from hilum.mapping.transforms.people import words_of
from hilum.mapping.transforms.texts import encoded_text

__all__ = [
    "NOTHING",
    "Env",
    "Evaluator",
    "Identity",
    "Report",
    "Spec",
    "Typed",
    "encoded_text",
    "identity_of",
    "json_object",
    "json_text",
    "key_evaluator",
    "names",
    "transform_of",
    "words_of",
]

"""Transforms: named, tested functions from HL7 v2 datatypes to FHIR JSON."""

from __future__ import annotations

from hilum.mapping.transforms import codes, copies, identifiers, numbers, people, texts, times  # noqa: F401 - they register
from hilum.mapping.transforms.frame import (
    COMBINATORS,
    NOTHING,
    Env,
    Evaluator,
    Factory,
    Report,
    Spec,
    Typed,
    json_object,
    json_text,
    names,
    registered,
)
from hilum.mapping.transforms.identifiers import Identity, identity_of, key_evaluator
from hilum.mapping.transforms.people import words_of
from hilum.mapping.transforms.plugins import PluginProblem, package_of, plugin_names, plugin_of
from hilum.mapping.transforms.texts import encoded_text

__all__ = [
    "COMBINATORS",
    "NOTHING",
    "Env",
    "Evaluator",
    "Identity",
    "PluginProblem",
    "Report",
    "Spec",
    "Typed",
    "encoded_text",
    "identity_of",
    "json_object",
    "json_text",
    "key_evaluator",
    "names",
    "plugin_names",
    "release_of",
    "transform_of",
    "words_of",
]


def transform_of(name: str) -> Factory | None:
    """The transform of that name, hilum's own or one that a package brings; None: there is none.

    Raises PluginProblem when a package brings it, and it cannot be had.
    """
    return registered(name) or plugin_of(name)


def release_of(name: str) -> str:
    """`acme-transforms 1.2`: the package that brings this transform; "" for hilum's own, and when none does."""
    return "" if name in COMBINATORS or registered(name) else package_of(name)

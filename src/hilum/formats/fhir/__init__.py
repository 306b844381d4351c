"""FHIR R4 as values: references, dates, numbers, outcomes, and what can be searched for. No I/O."""

from __future__ import annotations

from .care import care_dates
from .dates import FAR_FUTURE, FAR_PAST, Prefix, compare_ranges, date_range, format_instant, split_prefix
from .facts import OTHER_REFERENCE, Fact, Facts, facts_of, meta_facts, more_facts, unit_key
from .json_patch import apply_patch, merge_patch
from .numbers import decode, encode
from .outcome import Issue, IssueSeverity, operation_outcome
from .parameters import PARAMETERS, Kind, Parameter, Part
from .places import Place, values_at
from .reference import (
    Reference,
    all_references,
    local_references,
    parse_reference,
    redirect_references,
    replace_references,
)
from .registry import (
    COMMON,
    OFFERED,
    find_parameter,
    offer_packages,
    offered_of,
    offered_types,
    ordering_of,
    parameter,
    parameters_of,
)
from .strings import fold
from .types import RESOURCE_TYPES, is_id, is_resource_type
from .wide import strings_of, values_of

__all__ = [
    "COMMON",
    "FAR_FUTURE",
    "FAR_PAST",
    "OFFERED",
    "OTHER_REFERENCE",
    "PARAMETERS",
    "RESOURCE_TYPES",
    "Fact",
    "Facts",
    "Issue",
    "IssueSeverity",
    "Kind",
    "Parameter",
    "Part",
    "Place",
    "Prefix",
    "Reference",
    "all_references",
    "apply_patch",
    "care_dates",
    "compare_ranges",
    "date_range",
    "decode",
    "encode",
    "facts_of",
    "find_parameter",
    "fold",
    "format_instant",
    "is_id",
    "is_resource_type",
    "local_references",
    "merge_patch",
    "meta_facts",
    "more_facts",
    "offer_packages",
    "offered_of",
    "offered_types",
    "operation_outcome",
    "ordering_of",
    "parameter",
    "parameters_of",
    "parse_reference",
    "redirect_references",
    "replace_references",
    "split_prefix",
    "strings_of",
    "unit_key",
    "values_at",
    "values_of",
]

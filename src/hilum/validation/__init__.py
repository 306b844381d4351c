"""Validating FHIR R4: structure, rules and codes, and with packages also profiles.

    validator = Validator()                      # R4; Validator(Shelf(folder).definitions(r4())) with packages
    findings = validator.validate_bytes(raw)     # () when there is nothing to say
    outcome_of(validator.report(raw))            # an OperationOutcome

Make one `Validator` and keep it. The parts that are compiled on first use are kept in it.
"""

from __future__ import annotations

from .outcome import issues_of, outcome_of
from .validator import Report, Validator
from .words import ISSUE_TYPES

__all__ = ["ISSUE_TYPES", "Report", "Validator", "issues_of", "outcome_of"]

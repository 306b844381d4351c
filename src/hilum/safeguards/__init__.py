"""Who may do what, as values: SMART scopes, what is left of them after consent, and what they open. No I/O.

asked = parse_scopes("launch/patient patient/Observation.rs?category=laboratory")
granted = narrow(asked, allowed=app.scopes)
allowances(Rights(granted.resources, patient="p1"), "Observation", Interaction.SEARCH)
"""

from hilum.safeguards.narrowing import covers, meet, narrow, union
from hilum.safeguards.rights import (
    DECIDING_TYPES,
    SHARED_TYPES,
    SUPPORTING_TYPES,
    Allowance,
    Person,
    Rights,
    allowances,
)
from hilum.safeguards.scopes import (
    PLAIN,
    Interaction,
    Level,
    ResourceScope,
    Scopes,
    Term,
    parse_scope,
    parse_scopes,
    print_scope,
    print_scopes,
)

__all__ = [
    "DECIDING_TYPES",
    "PLAIN",
    "SHARED_TYPES",
    "SUPPORTING_TYPES",
    "Allowance",
    "Interaction",
    "Level",
    "Person",
    "ResourceScope",
    "Rights",
    "Scopes",
    "Term",
    "allowances",
    "covers",
    "meet",
    "narrow",
    "parse_scope",
    "parse_scopes",
    "print_scope",
    "print_scopes",
    "union",
]

"""The integration folder: plain files -> a typed tree, or every finding with its place.

Other packages declare their part with `Section`; `load` reads a folder and raises with all findings; `examine` never
raises.
"""

from hilum.config.boundary import INTEGRATION
from hilum.config.document import place_of
from hilum.config.editor import editor_schemas
from hilum.config.hosts import is_loopback, is_public, may_be_called
from hilum.config.integration import (
    Api,
    Area,
    Data,
    Direction,
    Flow,
    Integration,
    Level,
    Owners,
    Risk,
    Route,
    StoreSettings,
    System,
    Tls,
    User,
    ValidationPolicy,
    retention_days,
)
from hilum.config.load import examine, load
from hilum.config.reference import reference
from hilum.config.safeguards import BreakGlass, InCare, Safeguards, Tie
from hilum.config.secrets import Secret
from hilum.config.section import Check, Section
from hilum.config.smart import Smart, SmartProvider, SmartRegistration
from hilum.config.tree import Tree

__all__ = [
    "INTEGRATION",
    "Api",
    "Area",
    "BreakGlass",
    "Check",
    "Data",
    "Direction",
    "Flow",
    "InCare",
    "Integration",
    "Level",
    "Owners",
    "Risk",
    "Route",
    "Safeguards",
    "Secret",
    "Section",
    "Smart",
    "SmartProvider",
    "SmartRegistration",
    "StoreSettings",
    "System",
    "Tie",
    "Tls",
    "Tree",
    "User",
    "ValidationPolicy",
    "editor_schemas",
    "examine",
    "is_loopback",
    "is_public",
    "load",
    "may_be_called",
    "place_of",
    "reference",
    "retention_days",
]

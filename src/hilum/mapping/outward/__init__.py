"""The way out: rows read backwards make HL7 v2 segments of FHIR resources. Pure; bytes are made by `formats.hl7v2`.

`compile_outward` makes the plan of one kind of message; `OutwardPlan.run` gives segments, accounting and exceptions.
docs/outward.md explains what can be sent and what a row read backwards means.
"""

from hilum.mapping.outward.lookup import ambiguities
from hilum.mapping.outward.plan import OutwardPlan, compile_outward, outward_kinds
from hilum.mapping.outward.resources import read_resource
from hilum.mapping.outward.values import Outward, OutwardContext, OutwardTrace, Receiver

__all__ = [
    "Outward",
    "OutwardContext",
    "OutwardPlan",
    "OutwardTrace",
    "Receiver",
    "ambiguities",
    "compile_outward",
    "outward_kinds",
    "read_resource",
]

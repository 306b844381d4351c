"""HL7 v2: lazy parser, header gate, batches, grouping, acknowledgements, names for people."""

from hilum.formats.hl7v2.ack import AckMode, AckWanted, Wish, acknowledge, wants
from hilum.formats.hl7v2.batch import Batch, is_batch, split_batch
from hilum.formats.hl7v2.building import DELETE, build
from hilum.formats.hl7v2.codes import CODES, Code
from hilum.formats.hl7v2.delimiters import STANDARD, Delimiters
from hilum.formats.hl7v2.escape import escape, unescape
from hilum.formats.hl7v2.gate import Admission, Rules, admit
from hilum.formats.hl7v2.grouping import Node, parents_of
from hilum.formats.hl7v2.message import Hl7Message, Segment
from hilum.formats.hl7v2.names import FieldInfo, SegmentInfo, component_name, describe, field_info
from hilum.formats.hl7v2.path import Path, compile_path
from hilum.formats.hl7v2.reader import parse

__all__ = [
    "CODES",
    "DELETE",
    "STANDARD",
    "AckMode",
    "AckWanted",
    "Admission",
    "Batch",
    "Code",
    "Delimiters",
    "FieldInfo",
    "Hl7Message",
    "Node",
    "Path",
    "Rules",
    "Segment",
    "SegmentInfo",
    "Wish",
    "acknowledge",
    "admit",
    "build",
    "compile_path",
    "component_name",
    "describe",
    "escape",
    "field_info",
    "is_batch",
    "parents_of",
    "parse",
    "split_batch",
    "unescape",
    "wants",
]

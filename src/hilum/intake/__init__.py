"""Ways in: each frames bytes, hands whole messages on and answers only what it is told to answer."""

from hilum.intake.files import FolderWatch
from hilum.intake.memory import MemorySource
from hilum.intake.mllp import MllpListener
from hilum.intake.seam import Source
from hilum.intake.sections import AckRules, FilesLimits, FilesSource, MllpLimits, MllpSource

__all__ = [
    "AckRules",
    "FilesLimits",
    "FilesSource",
    "FolderWatch",
    "MemorySource",
    "MllpLimits",
    "MllpListener",
    "MllpSource",
    "Source",
]

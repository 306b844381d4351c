"""What a source's file says of its messages, for the two that judge them: the HL7 gate and the framing before it."""

from __future__ import annotations

from msgspec import Struct

from hilum.formats import hl7v2
from hilum.intake import FilesSource, MllpSource
from hilum.model import Disposition
from hilum.protocols import TOLERATED

__all__ = ["Judgement", "judgement_of"]


class Judgement(Struct, frozen=True):
    """Rules of the gate, and dispositions of what the wire tolerated."""

    gate: hl7v2.Rules
    framing: dict[str, Disposition]


def judgement_of(source: MllpSource | FilesSource) -> Judgement:
    """Raises ConfigError with every mistake in charset, key and tolerances."""
    framing = {code: policy for code, policy in source.tolerances.items() if code in TOLERATED}
    rest = {code: policy for code, policy in source.tolerances.items() if code not in TOLERATED}
    return Judgement(hl7v2.Rules(source.charset, source.key, rest), framing)

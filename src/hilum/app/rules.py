"""What a source's file says of its messages, for the two that judge them: the HL7 gate and the framing before it."""

from __future__ import annotations

from msgspec import Struct

from hilum.config import Tree
from hilum.formats import hl7v2
from hilum.intake import FilesSource, MllpSource
from hilum.model import Disposition
from hilum.protocols import TOLERATED

__all__ = ["Judgement", "SourceConfig", "judgement_of", "source_configs"]

SourceConfig = MllpSource | FilesSource


class Judgement(Struct, frozen=True):
    """Rules of the gate, and dispositions of what the wire tolerated."""

    gate: hl7v2.Rules
    framing: dict[str, Disposition]


def judgement_of(source: SourceConfig) -> Judgement:
    """Raises ConfigError with every mistake in charset, key and tolerances."""
    framing = {code: policy for code, policy in source.tolerances.items() if code in TOLERATED}
    rest = {code: policy for code, policy in source.tolerances.items() if code not in TOLERATED}
    return Judgement(hl7v2.Rules(source.charset, source.key, rest), framing)


def source_configs(tree: Tree) -> dict[str, SourceConfig]:
    """Every way in of a folder, by name, as its file says it."""
    return {**tree.all(MllpSource), **tree.all(FilesSource)}

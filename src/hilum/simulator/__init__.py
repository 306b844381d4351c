"""A simulated hospital, and a sender that counts the answers it gets."""

from hilum.simulator.hospital import Expect, Hospital, SimMessage
from hilum.simulator.sender import Surprise, Tally, Target, read_answer, send

__all__ = ["Expect", "Hospital", "SimMessage", "Surprise", "Tally", "Target", "read_answer", "send"]

"""A simulated hospital, and a sender that counts the answers it gets."""

from hilum.simulator.hospital import Expect, Hospital, SimMessage

__all__ = ["Expect", "Hospital", "SimMessage"]

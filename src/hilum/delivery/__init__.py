"""Ways out: each sends one record and says what came of it. When to try again is a decision in `policy`."""

from typing import TYPE_CHECKING, Any

from hilum.delivery.files import FileWriter
from hilum.delivery.memory import MemoryDestination
from hilum.delivery.mllp import MllpSender
from hilum.delivery.policy import BreakerPolicy, BreakerState, CircuitBreaker, RetryDecision, RetryPolicy
from hilum.delivery.seam import Destination
from hilum.delivery.sections import FilesDestination, MllpAnswers, MllpDestination, WebhookDestination
from hilum.delivery.signature import SIGNATURE_HEADER, sign, verify_signature

if TYPE_CHECKING:
    from hilum.delivery.webhook import WebhookSender

__all__ = [
    "SIGNATURE_HEADER",
    "BreakerPolicy",
    "BreakerState",
    "CircuitBreaker",
    "Destination",
    "FileWriter",
    "FilesDestination",
    "MemoryDestination",
    "MllpAnswers",
    "MllpDestination",
    "MllpSender",
    "RetryDecision",
    "RetryPolicy",
    "WebhookDestination",
    "WebhookSender",
    "sign",
    "verify_signature",
]


def __getattr__(name: str) -> Any:
    """The webhook sender when it is first wanted: every command reads the settings of ways out, few speak HTTP."""
    if name != "WebhookSender":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hilum.delivery.webhook import WebhookSender

    return WebhookSender

"""Ways out: each sends one record and says what came of it. When to try again is a decision in `policy`."""

from hilum.delivery.files import FileWriter
from hilum.delivery.memory import MemoryDestination
from hilum.delivery.mllp import MllpSender
from hilum.delivery.policy import BreakerPolicy, BreakerState, CircuitBreaker, RetryDecision, RetryPolicy
from hilum.delivery.seam import Destination
from hilum.delivery.sections import FilesDestination, MllpAnswers, MllpDestination, WebhookDestination
from hilum.delivery.signature import SIGNATURE_HEADER, sign, verify_signature
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

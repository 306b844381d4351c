"""Ways out: each sends one record and says what came of it. When to try again is a decision in `policy`."""

from hilum.delivery.policy import BreakerPolicy, BreakerState, CircuitBreaker, RetryDecision, RetryPolicy
from hilum.delivery.seam import Destination
from hilum.delivery.sections import FilesDestination, MllpAnswers, MllpDestination, WebhookDestination

__all__ = [
    "BreakerPolicy",
    "BreakerState",
    "CircuitBreaker",
    "Destination",
    "FilesDestination",
    "MllpAnswers",
    "MllpDestination",
    "RetryDecision",
    "RetryPolicy",
    "WebhookDestination",
]

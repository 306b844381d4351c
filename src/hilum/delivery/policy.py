"""When to try again, and when to leave a partner alone: decisions as values. Somebody else waits and sends."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from hilum.errors import DeliveryError, HilumError, Outcome

__all__ = ["BreakerPolicy", "BreakerState", "CircuitBreaker", "RetryDecision", "RetryPolicy"]

_LONGEST_WISH = 24 * 3600.0  # seconds; a partner that asks for more is asked again after a day


class RetryDecision(Struct, frozen=True):
    """What becomes of a delivery that failed. `delay` (seconds) matters for the outcome retry alone."""

    outcome: Outcome
    delay: float = 0.0
    code: str = ""


class RetryPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exponential back-off with jitter, up to a number of attempts."""

    first_seconds: Annotated[float, Meta(gt=0, description="wait after the first failure, seconds")] = 1
    factor: Annotated[float, Meta(ge=1, description="each wait is this many times the one before")] = 2
    longest_seconds: Annotated[float, Meta(gt=0, description="no wait is longer than this, seconds")] = 300
    jitter: Annotated[
        float, Meta(ge=0, le=1, description="part of each wait that is random, so that senders spread out")
    ] = 0.5
    attempts: Annotated[int, Meta(ge=0, description="attempts before the delivery is given up; 0: never given up")] = (
        1000
    )

    def decide(self, attempt: int, error: HilumError, rng: Callable[[], float]) -> RetryDecision:
        """`attempt` counts from 1; `rng` gives [0, 1). A wait that the partner asked for is kept, up to a day."""
        if error.outcome is not Outcome.RETRY:
            return RetryDecision(error.outcome, code=error.code)
        if self.attempts and attempt >= self.attempts:
            return RetryDecision(Outcome.DEAD_LETTER, code="attempts-exhausted")
        wish = error.retry_after if isinstance(error, DeliveryError) else 0.0
        delay = self._ceiling(attempt) * (1 - self.jitter * rng())
        return RetryDecision(Outcome.RETRY, max(delay, min(wish, _LONGEST_WISH)), error.code)

    def _ceiling(self, attempt: int) -> float:
        try:
            return min(self.longest_seconds, self.first_seconds * float(self.factor) ** max(0, attempt - 1))
        except OverflowError:
            return self.longest_seconds


class BreakerState(StrEnum):
    """Whether a partner is asked at all."""

    CLOSED = "closed"  # it answers: send
    OPEN = "open"  # it failed too often: leave it alone for a while
    HALF_OPEN = "half-open"  # one trial is on its way; the rest waits for what it brings


class BreakerPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a partner is left alone, and for how long."""

    failures: Annotated[int, Meta(ge=1, description="failures in a row that open the breaker")] = 5
    open_seconds: Annotated[
        float, Meta(gt=0, description="first pause, seconds; it doubles with each failed trial")
    ] = 10
    longest_seconds: Annotated[float, Meta(gt=0, description="no pause is longer than this, seconds")] = 300


class CircuitBreaker(Struct, frozen=True):
    """The state of one destination; every step gives the next value. Times are seconds of any steady clock.

    Tell it only of failures with the outcome retry: a partner that refuses a record is alive.
    """

    policy: BreakerPolicy = BreakerPolicy()
    state: BreakerState = BreakerState.CLOSED
    failures: int = 0  # in a row
    trials: int = 0  # failed trials since it opened
    until: float = 0.0  # open: when a trial may start; half-open: when the trial counts as lost

    def ask(self, now: float) -> tuple[bool, CircuitBreaker]:
        """May one record be sent now? A yes from an open breaker is the trial: report what came of it."""
        if self.state is BreakerState.CLOSED:
            return True, self
        if now < self.until:
            return False, self
        trial = msgspec.structs.replace(self, state=BreakerState.HALF_OPEN, until=now + self.pause)
        return True, trial

    def succeeded(self) -> CircuitBreaker:
        """The partner answered."""
        return CircuitBreaker(self.policy)

    def failed(self, now: float) -> CircuitBreaker:
        """The partner did not answer, or asked to be tried later."""
        failures = self.failures + 1
        if self.state is BreakerState.OPEN:
            return msgspec.structs.replace(self, failures=failures)  # was sent before it opened
        trials = self.trials + (self.state is BreakerState.HALF_OPEN)
        changed = msgspec.structs.replace(self, failures=failures, trials=trials)
        if self.state is BreakerState.CLOSED and failures < self.policy.failures:
            return changed
        return msgspec.structs.replace(changed, state=BreakerState.OPEN, until=now + changed.pause)

    def wait(self, now: float) -> float:
        """Seconds until `ask` may say yes."""
        return 0.0 if self.state is BreakerState.CLOSED else max(0.0, self.until - now)

    @property
    def pause(self) -> float:
        """Seconds that this breaker stays open."""
        return min(self.policy.longest_seconds, self.policy.open_seconds * 2.0 ** min(self.trials, 30))

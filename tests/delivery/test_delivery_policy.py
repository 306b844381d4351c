"""When to try again and when to leave a partner alone: values that can be checked without waiting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hilum.delivery import BreakerPolicy, BreakerState, CircuitBreaker, RetryDecision, RetryPolicy
from hilum.errors import DeliveryError, HilumError, Outcome, StoreFull

LATER = DeliveryError("later", code="partner-later")


def test_waits_double_up_to_the_longest() -> None:
    policy = RetryPolicy(first_seconds=1, factor=2, longest_seconds=10, jitter=0)
    delays = [policy.decide(attempt, LATER, lambda: 0.0).delay for attempt in range(1, 7)]
    assert delays == [1, 2, 4, 8, 10, 10]


def test_jitter_takes_away_its_part_and_no_more() -> None:
    policy = RetryPolicy(first_seconds=8, jitter=0.25)
    assert policy.decide(1, LATER, lambda: 0.0).delay == 8
    assert policy.decide(1, LATER, lambda: 0.999999).delay == pytest.approx(6)


def test_a_wait_that_the_partner_asked_for_is_kept() -> None:
    error = DeliveryError("busy", retry_after=120)
    assert RetryPolicy().decide(1, error, lambda: 0.5).delay == 120
    forever = DeliveryError("busy", retry_after=1e12)
    assert RetryPolicy().decide(1, forever, lambda: 0.5).delay == 24 * 3600


def test_the_last_attempt_gives_the_delivery_up() -> None:
    policy = RetryPolicy(attempts=3)
    outcomes = [policy.decide(attempt, LATER, lambda: 0.0).outcome for attempt in (1, 2, 3)]
    assert outcomes == [Outcome.RETRY, Outcome.RETRY, Outcome.DEAD_LETTER]
    assert policy.decide(3, LATER, lambda: 0.0).code == "attempts-exhausted"


def test_without_a_limit_it_never_gives_up() -> None:
    decision = RetryPolicy(attempts=0).decide(10**9, LATER, lambda: 0.0)
    assert (decision.outcome, decision.delay) == (Outcome.RETRY, 300)


@pytest.mark.parametrize("outcome", [Outcome.HOLD, Outcome.DEAD_LETTER, Outcome.STOP])
def test_what_must_not_be_tried_again_is_not(outcome: Outcome) -> None:
    error = DeliveryError("no", code="partner-no", outcome=outcome)
    assert RetryPolicy().decide(1, error, lambda: 0.0) == RetryDecision(outcome, 0.0, "partner-no")


def test_any_error_with_the_outcome_retry_is_retried() -> None:
    assert RetryPolicy().decide(1, StoreFull("no space"), lambda: 0.0).outcome is Outcome.RETRY
    assert RetryPolicy().decide(1, HilumError("bad"), lambda: 0.0).outcome is Outcome.STOP


@given(
    st.builds(
        RetryPolicy,
        first_seconds=st.floats(0.001, 1e6),
        factor=st.floats(1, 1e6),
        longest_seconds=st.floats(0.001, 1e6),
        jitter=st.floats(0, 1),
        attempts=st.just(0),
    ),
    st.integers(1, 10**12),
    st.floats(0, 1, exclude_max=True),
)
def test_every_wait_is_within_its_bounds(policy: RetryPolicy, attempt: int, chance: float) -> None:
    decision = policy.decide(attempt, LATER, lambda: chance)
    assert 0 <= decision.delay <= policy.longest_seconds


POLICY = BreakerPolicy(failures=3, open_seconds=10, longest_seconds=35)


def broken(now: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker(POLICY)
    for _ in range(POLICY.failures):
        breaker = breaker.failed(now)
    return breaker


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker = CircuitBreaker(POLICY).failed(0).failed(0).succeeded().failed(0).failed(0)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.failed(0).state is BreakerState.OPEN


def test_an_open_breaker_lets_one_trial_through_after_its_pause() -> None:
    breaker = broken()
    assert breaker.ask(9.9) == (False, breaker)
    assert breaker.wait(4) == 6
    allowed, trial = breaker.ask(10)
    assert (allowed, trial.state) == (True, BreakerState.HALF_OPEN)
    assert trial.ask(10.1)[0] is False


def test_a_good_trial_closes_and_a_bad_one_opens_for_longer() -> None:
    _, trial = broken().ask(10)
    assert trial.succeeded() == CircuitBreaker(POLICY)
    pauses = []
    breaker = broken()
    now = 0.0
    for _ in range(4):
        now = breaker.until
        _, trial = breaker.ask(now)
        breaker = trial.failed(now)
        pauses.append(breaker.until - now)
    assert pauses == [20, 35, 35, 35]


def test_a_trial_that_never_reports_does_not_lock_the_breaker() -> None:
    _, trial = broken().ask(10)
    assert trial.ask(19)[0] is False
    assert trial.ask(20)[0] is True


def test_late_failures_of_what_was_sent_before_do_not_prolong_the_pause() -> None:
    breaker = broken(0)
    assert breaker.failed(9).until == breaker.until


class Breaker(RuleBasedStateMachine):
    """Whatever happens in whatever order, at most one record is out while the partner is left alone."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = CircuitBreaker(POLICY)
        self.now = 0.0
        self.out = 0

    @rule(seconds=st.floats(0, 50))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_record_is_sent_when_allowed(self) -> None:
        before = self.breaker
        allowed, self.breaker = before.ask(self.now)
        if allowed:
            self.out += 1
        if before.state is BreakerState.CLOSED:
            assert allowed
        else:
            assert allowed is (self.now >= before.until)
        if not allowed:
            assert self.breaker == before

    @precondition(lambda self: self.out > 0)
    @rule()
    def the_partner_answers(self) -> None:
        self.out -= 1
        self.breaker = self.breaker.succeeded()
        assert self.breaker.ask(self.now)[0]

    @precondition(lambda self: self.out > 0)
    @rule()
    def the_partner_fails(self) -> None:
        self.out -= 1
        before = self.breaker
        self.breaker = before.failed(self.now)
        assert self.breaker.failures == before.failures + 1
        if before.state is BreakerState.HALF_OPEN:
            assert self.breaker.state is BreakerState.OPEN

    @invariant()
    def it_always_gives_the_partner_another_chance(self) -> None:
        wait = self.breaker.wait(self.now)
        assert 0 <= wait <= POLICY.longest_seconds + 1e-6
        assert self.breaker.ask(self.now + wait + 1e-6)[0]

    @invariant()
    def it_is_closed_exactly_while_failures_are_few(self) -> None:
        closed = self.breaker.state is BreakerState.CLOSED
        assert closed == (self.breaker.failures < POLICY.failures)


TestBreaker = Breaker.TestCase

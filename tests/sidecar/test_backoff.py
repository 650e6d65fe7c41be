"""Times of retries and renewals, with our own dice."""

import heapq
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featward_ca.errors import TooManyRequestsError
from featward_ca.service import limits
from featward_ca.service.limits import Allowance
from featward_ca.service.rpcs import RPCS
from featward_sidecar.backoff import Backoff, renewal_time, some_time_within

CLIENTS = 10_000
# Of the minute after the CA's return, what is left for handshakes, signatures and answers.
ASKED_WITHIN_SECONDS = 50


def low(a: float, _: float) -> float:
    return a


def high(_: float, b: float) -> float:
    return b


def test_delays_double_up_to_a_minute() -> None:
    backoff = Backoff(high)
    assert [backoff.next(86_400) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_before_the_first_identity_no_wait_is_over_10_seconds() -> None:
    backoff = Backoff(high)
    assert [backoff.next() for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]


def test_chance_takes_off_up_to_half() -> None:
    assert [Backoff(low).next(), Backoff(high).next()] == [0.25, 0.5]


def test_success_starts_over() -> None:
    backoff = Backoff(high)
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() == 0.5


@given(st.floats(0.1, 1e6), st.integers(0, 2000))
def test_no_wait_takes_more_than_a_quarter_of_what_is_left(left: float, failures: int) -> None:
    backoff = Backoff(high)
    backoff.failures = failures
    assert backoff.next(None, left) <= max(0.5, left / 4)


@pytest.mark.parametrize(("life", "longest"), [(86_400, 20), (3600, 20), (150, 15), (20, 2)])
def test_an_expired_identity_is_asked_for_again_within_20_seconds_or_a_tenth_of_its_life(
    life: float, longest: float
) -> None:
    backoff = Backoff(high)
    backoff.failures = 9
    assert backoff.next(life, left=-5) == longest


def test_ten_thousand_whose_identity_has_ended_are_let_in_within_a_minute_of_the_cas_return() -> (
    None
):
    """All have waited for long; the CA lets as many in as its strictest limit does, and paces the others."""
    dice = random.Random(4).uniform
    allowance = Allowance(RPCS["featward.identity.v1.IdentityService/Attest"].limit)
    waiting = []
    for number in range(CLIENTS):
        backoff = Backoff(dice)
        backoff.failures = 12
        # The CA is back somewhere within the delay that each has begun.
        waiting.append((dice(0, backoff.next(3600, -5)), number, backoff))
    heapq.heapify(waiting)
    last = 0.0
    while waiting:
        last, number, backoff = heapq.heappop(waiting)
        try:
            allowance.enter(None, last)
            allowance.leave()
        except TooManyRequestsError as error:
            later = last + backoff.next(3600, -5, error.retry_after)
            heapq.heappush(waiting, (later, number, backoff))
    assert last <= ASKED_WITHIN_SECONDS


def test_one_whose_identity_has_ended_and_whom_the_ca_sends_away_is_back_within_a_minute() -> None:
    backoff = Backoff(high)
    backoff.failures = 12
    waits = backoff.next(3600, -5), backoff.next(3600, -25, limits._LONGEST_WAIT)
    assert sum(waits) <= ASKED_WITHIN_SECONDS


def test_a_short_life_sees_many_attempts_before_it_ends() -> None:
    backoff, now = Backoff(high), 0.0
    attempts = 0
    while now < 10:
        now += backoff.next(10, 10 - now)
        attempts += 1
    assert attempts >= 7


@pytest.mark.parametrize(("dice", "expected"), [(low, 1620.0), (high, 1980.0)])
def test_renewals_spread_a_tenth_of_their_interval_around_the_given_time(
    dice: object, expected: float
) -> None:
    assert renewal_time(0, 1800, 3600, dice) == expected  # type: ignore[arg-type]


@given(st.floats(1, 86_400), st.floats(0.0, 1.0))
def test_a_renewal_is_never_planned_for_the_last_tenth_of_a_life(life: float, share: float) -> None:
    for dice in (low, high):
        assert renewal_time(100, 100 + life * share, 100 + life, dice) <= 100 + life * 0.9 + 1e-6


def test_what_all_are_told_to_do_at_once_is_spread_evenly() -> None:
    dice = random.Random(4).uniform
    moments = [some_time_within(40, dice) for _ in range(CLIENTS)]
    assert 0 <= min(moments) <= max(moments) <= 40
    # Of 4 s each, so that no second sees much more than the CA's 250 renewals.
    tenths = Counter(int(moment / 4) for moment in moments)
    assert sorted(tenths) == list(range(10))
    assert all(900 <= count <= 1100 for count in tenths.values())


def test_a_ca_that_asks_for_time_gets_it_and_never_more_than_the_identity_has() -> None:
    assert [Backoff(low).next(3600, 1800, 20), Backoff(high).next(3600, 1800, 20)] == [20, 30]
    assert Backoff(high).next(3600, 40, 20) == 10
    assert Backoff(high).next(3600, -5, 20) == 30
    assert Backoff(low).next(None, None, 0) == 0

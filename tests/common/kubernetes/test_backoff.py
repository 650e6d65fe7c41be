"""Delays, by dice that always fall the same."""

from itertools import pairwise

import pytest

from featward.kubernetes.backoff import Backoff


@pytest.mark.parametrize(
    "dice", [lambda low, high: low, lambda low, high: high], ids=["low", "high"]
)
def test_five_attempts_fit_into_the_first_half_minute(dice: object) -> None:
    backoff = Backoff(dice=dice)  # type: ignore[arg-type]  # parametrize knows no types
    at, times = 0.0, [0.0]
    while at < 1000:
        at += backoff.next()
        times.append(at)
    assert sum(time < 30 for time in times) == 5
    longest = max(after - before for before, after in pairwise(times))
    assert longest <= 30


def test_what_the_server_asks_for_is_the_least() -> None:
    backoff = Backoff(dice=lambda low, high: low)
    assert backoff.next(asked=7) == 7
    assert backoff.next(asked=1e9) == 300
    backoff.reset()
    assert backoff.next() == 0.375

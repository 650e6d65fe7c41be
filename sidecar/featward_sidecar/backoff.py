"""When to try again after a failure, and when to renew: times with jitter, and nothing else.

Apart so that a test can walk through a year of it with its own clock and dice. Jitter keeps ten thousand
sidecars that lost the CA in one moment from coming back in one moment.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Backoff", "Dice", "renewal_time", "some_time_within"]

Dice = Callable[[float, float], float]
"""A number between two others, as `random.uniform`."""

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 60.0
"""A CA that is back is noticed within a minute; ten thousand sidecars make 170 attempts a second by then."""

LONGEST_EXPIRED_SECONDS = 20.0
"""The same for an identity that has ended, since every request is refused meanwhile.

It has to be back within 60 s of the CA: 20 s until it tries, 30 s if the CA sends it away once (it asks for
20 s at most, which we spread over half as much again), 10 s for the answer. Ten thousand make 670 attempts a
second, which the CA answers as they come."""

LONGEST_WITHOUT_SECONDS = 10.0
"""The same before the first identity: an app waits for it, and a refused connection costs the CA little."""

RENEWAL_JITTER = 0.1
"""Renewals are spread over a tenth of their interval to either side."""


def _dice(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311 -- spreads load, protects nothing


@dataclass(slots=True)
class Backoff:
    """Doubling delays, each with up to half of it taken off by chance."""

    dice: Dice = _dice
    failures: int = field(default=0, init=False)

    def next(
        self,
        life: float | None = None,
        left: float | None = None,
        asked: float | None = None,
    ) -> float:
        """Seconds to wait after one more failure.

        `life` is how long our identity lives in all (None: we have none yet), and `left` what remains of
        it. A tenth of the life and a quarter of the rest bound the wait, so that short lives get several
        attempts; an identity that has expired waits for LONGEST_EXPIRED_SECONDS at most, so that it comes
        back soon after the CA. `asked` is how long the other side wants us to stay away; it knows its queue,
        so it is obeyed, spread over half as much again, unless our identity would end.
        """
        longest = LONGEST_WITHOUT_SECONDS if life is None else min(LONGEST_SECONDS, life / 10)
        if left is not None and left <= 0:
            longest = min(longest, LONGEST_EXPIRED_SECONDS)
        delay = min(max(FIRST_SECONDS, longest), FIRST_SECONDS * 2 ** min(self.failures, 10))
        self.failures += 1
        if left is not None and left > 0:
            delay = min(delay, max(FIRST_SECONDS, left / 4))
        if asked is not None:
            delay = max(delay, asked * 1.5)
            if left is not None and left > 0:
                delay = min(delay, max(FIRST_SECONDS, left / 4))
            return self.dice(min(asked, delay), delay)
        return self.dice(delay / 2, delay)

    def reset(self) -> None:
        self.failures = 0


def some_time_within(seconds: float, dice: Dice = _dice) -> float:
    """A moment for what many are told to do at once."""
    return dice(0.0, seconds)


def renewal_time(issued_at: float, renew_at: float, not_after: float, dice: Dice = _dice) -> float:
    """When to renew, on the clock of the CA: around `renew_at`, and always before the last tenth of the
    life."""
    interval = renew_at - issued_at
    latest = not_after - (not_after - issued_at) / 10
    return min(latest, renew_at + dice(-RENEWAL_JITTER, RENEWAL_JITTER) * interval)

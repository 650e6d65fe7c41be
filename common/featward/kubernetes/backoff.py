"""How long to wait after a failure: times with jitter and nothing else, so that a test can walk through them.

Jitter keeps the replicas and reflectors that lost the API server in one moment from coming back in one.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Backoff", "Dice", "dice"]

Dice: TypeAlias = Callable[[float, float], float]
"""A number between two others, as `random.uniform`."""

_LONGEST_ASKED = 300.0
"""A server that wants more than five minutes of quiet is asked again after five."""


def dice(low: float, high: float) -> float:
    """By chance."""
    return random.uniform(low, high)  # noqa: S311 -- spreads load, protects nothing


@dataclass(slots=True)
class Backoff:
    """Growing delays in seconds, each with up to a quarter taken off by chance."""

    first: float = 0.5
    longest: float = 30.0
    """A server that is back is noticed within half a minute; client-go's reflectors wait as long."""
    factor: float = 3.0
    """0.4 to 0.5, 1.1 to 1.5, 3.4 to 4.5, 10 to 13.5, then 23 to 30: five attempts in the first half minute,
    whatever the dice say."""
    dice: Dice = dice
    failures: int = field(default=0, init=False)

    def next(self, asked: float | None = None) -> float:
        """Seconds to wait after one more failure, never less than the server ``asked`` for."""
        delay = min(self.longest, self.first * self.factor ** min(self.failures, 20))
        self.failures += 1
        delay = self.dice(0.75 * delay, delay)
        if asked is None:
            return delay
        asked = min(asked, _LONGEST_ASKED)
        return max(delay, self.dice(asked, 1.25 * asked))

    def reset(self) -> None:
        """Something worked."""
        self.failures = 0

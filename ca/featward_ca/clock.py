"""Time as a parameter, so that a test can let a week pass without sleeping."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where the CA gets the time of day, and how its schedules wait."""

    def now(self) -> float:
        """Unix seconds."""
        ...

    async def sleep_until(self, moment: float) -> None:
        """Return when `now()` has reached `moment`."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    async def sleep_until(self, moment: float) -> None:
        """Wait in steps of at most a minute, so that a stepped or suspended clock is noticed."""
        while (left := moment - self.now()) > 0:  # noqa: ASYNC110  # time sets no event
            await asyncio.sleep(min(left, 60.0))


def milliseconds(clock: Clock) -> int:
    """Unix milliseconds, as the protocols tell the time."""
    return int(clock.now() * 1000)

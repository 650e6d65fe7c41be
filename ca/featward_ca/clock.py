"""Time as a parameter, so that a test can let a week pass without sleeping."""

import asyncio
import datetime
import logging
import time
from typing import Protocol

from featward.logs import fields

# What to do about a clock that is behind what it was.
REMEDY = (
    "set the clock right; if it is right now and was ahead then, wait until that time, or restore a"
    " backup from before it"
)
_log = logging.getLogger(__name__)
# No sleep is longer, and no look at whether the clock was set later.
_STEP = 5.0
# A clock that is slewed never gets so far in one step.
_JUMP = 2.0
# A clock that drifts is no clock that was set, so each of these begins anew.
_WATCHED = 60.0


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
        """Wait in steps of a few seconds, so that a clock that was set is noticed soon."""
        while (left := moment - self.now()) > 0:  # noqa: ASYNC110  # time sets no event
            await asyncio.sleep(min(left, _STEP))


async def sleep_or(clock: Clock, moment: float, event: asyncio.Event) -> None:
    """Return when `clock` has reached `moment`, or sooner when the event is set; it is cleared."""
    waits = [
        asyncio.create_task(clock.sleep_until(moment)),
        asyncio.create_task(event.wait()),
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    event.clear()


async def wait_steadily(clock: Clock, seconds: float) -> bool:
    """Wait for so long by a clock that nobody can set; whether ours agrees with it."""
    began, ahead = time.monotonic(), clock.now() - time.monotonic()
    while (left := began + seconds - time.monotonic()) > 0:
        await asyncio.sleep(min(left, _STEP))
        if abs(clock.now() - time.monotonic() - ahead) > _JUMP:
            return False
    return True


async def report_jumps(clock: Clock) -> None:
    """Log each time that the clock was set while this process ran, until cancelled. A machine that
    was suspended looks the same.
    """
    while True:
        ahead = clock.now() - time.monotonic()
        await wait_steadily(clock, _WATCHED)
        jump = clock.now() - time.monotonic() - ahead
        if abs(jump) > _JUMP:
            _log.error(
                "the clock was set; if it is wrong now, so are the times in what is signed",
                extra=fields(seconds=round(jump, 1)),
            )


def readable(moment: float) -> str:
    """For a person."""
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(seconds: float) -> str:
    """A length of time in its two largest units: ``6d 23h``."""
    left = int(max(0, seconds))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return " ".join(parts[:2]) or "0s"


def milliseconds(clock: Clock) -> int:
    """Unix milliseconds, as the protocols tell the time."""
    return int(clock.now() * 1000)

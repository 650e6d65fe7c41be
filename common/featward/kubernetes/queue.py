"""Keys of objects that somebody has to look at, each at most once at a time and after failures ever later.

A key carries no payload: whoever gets it looks at the caches as they are then, so ten changes of one object are
one piece of work. What client-go's work queue promises is promised here as well; the difference is that all
of it happens on one event loop, and needs no locks.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from featward.kubernetes.backoff import Backoff, Dice, dice

__all__ = ["QueueWatcher", "WorkQueue"]

K = TypeVar("K", bound=Hashable)

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 300.0
"""A key whose work fails for hours is looked at every five minutes, and at once when its object changes."""


class QueueWatcher(Protocol):
    """Who counts; see the metrics of controller-runtime for what they mean."""

    def added(self, depth: int) -> None: ...
    def taken(self, depth: int, waited: float) -> None: ...
    def finished(self, took: float) -> None: ...
    def retried(self) -> None: ...


class WorkQueue(Generic[K]):
    """Used by any number of workers: ``key = await get()``, work, ``done(key)``."""

    def __init__(
        self,
        *,
        first: float = FIRST_SECONDS,
        longest: float = LONGEST_SECONDS,
        watcher: QueueWatcher | None = None,
        clock: Callable[[], float] = time.monotonic,
        dice: Dice = dice,
    ) -> None:
        self._first = first
        self._longest = longest
        self._watcher = watcher
        self._clock = clock
        self._dice = dice
        # Waiting, in order, with when each was added; worked on, with since when; added during that.
        self._waiting: OrderedDict[K, float] = OrderedDict()
        self._working: dict[K, float] = {}
        self._again: set[K] = set()
        self._later: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, Backoff] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        """How many keys wait to be taken."""
        return len(self._waiting)

    def add(self, key: K) -> None:
        """Have it looked at: once, however often it is added; after the work on it, if there is some."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting[key] = self._clock()
            self._filled.set()
            if self._watcher:
                self._watcher.added(len(self._waiting))

    def add_after(self, key: K, seconds: float) -> None:
        """The same in so many seconds; of several such moments the first counts."""
        loop = asyncio.get_running_loop()
        if seconds <= 0:
            self.add(key)
            return
        at, known = loop.time() + seconds, self._later.get(key)
        if known is not None:
            if known.when() <= at:
                return
            known.cancel()
        self._later[key] = loop.call_at(at, self._due, key)

    def add_limited(self, key: K, asked: float | None = None) -> None:
        """After a failure: in a second, then two, four, up to five minutes; ``asked`` is the least."""
        if self._watcher:
            self._watcher.retried()
        backoff = self._failures.get(key)
        if backoff is None:
            backoff = Backoff(self._first, self._longest, 2.0, self._dice)
            self._failures[key] = backoff
        self.add_after(key, backoff.next(asked))

    def failures(self, key: K) -> int:
        """How often in a row it was added by `add_limited`."""
        backoff = self._failures.get(key)
        return backoff.failures if backoff else 0

    def forget(self, key: K) -> None:
        """Its work went well: the next failure is the first."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The key that has waited longest; it is being worked on until `done`."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        key, since = self._waiting.popitem(last=False)
        now = self._working[key] = self._clock()
        if self._watcher:
            self._watcher.taken(len(self._waiting), now - since)
        return key

    def done(self, key: K) -> None:
        """The work on it is over, well or not."""
        began = self._working.pop(key)
        if self._watcher:
            self._watcher.finished(self._clock() - began)
        if key in self._again:
            self._again.remove(key)
            self.add(key)

    def unfinished(self) -> tuple[float, float]:
        """Seconds of work under way: of all keys together, and of the one that takes longest."""
        now = self._clock()
        ages = [now - began for began in self._working.values()]
        return sum(ages), max(ages, default=0.0)

    def close(self) -> None:
        """Drop what is to come later; whoever stops working on a queue calls it."""
        for timer in self._later.values():
            timer.cancel()
        self._later.clear()

    def _due(self, key: K) -> None:
        del self._later[key]
        self.add(key)

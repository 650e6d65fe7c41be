"""Brings every edit to the open streams that it concerns: compiled once for all that get the same, then sent.

Edits that come together are compiled together. Each stream is written by a task of its own, so that a sidecar
on a slow link delays nobody else; what it has not been sent when the next edit comes, it is never sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from featward.errors import UnknownWorkloadError
from featward.logs import fields
from featward.policy.overrides import lowers
from featward.policy.v1 import policy_pb2 as v1
from featward_operator.policy.refusals import RefusedError, no_policy, not_permitted

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from featward.identity.spiffe import SpiffeId
    from featward.policy.slices import Outcome, SliceCompiler
    from featward_operator.policy.streams import Stream, Streams, ViewKey

__all__ = ["Pushes", "Watcher"]

_log = logging.getLogger(__name__)
# Edits of one `kubectl apply` arrive within this.
_TOGETHER = 0.05
# "What you have is the newest"; the sidecar takes three times that for silence.
CURRENT_SECONDS = 30.0
_BEAT = 1.0
# A clock that jumps must not make us sleep past a date.
_LONGEST_SLEEP = 30.0


class Watcher(Protocol):
    """Who counts."""

    def compiled(self, seconds: float) -> None:
        """A snapshot was compiled; how long it took, slices for others included."""

    def pushed(self, seconds: float) -> None:
        """A sidecar was sent a new snapshot; how long after the edit was known here."""


class _Nobody:
    def compiled(self, seconds: float) -> None:
        pass

    def pushed(self, seconds: float) -> None:
        pass


@dataclass(eq=False, slots=True)
class _View:
    """What streams of one view get; ``outcome`` None before it was compiled, and where nobody is known."""

    key: ViewKey
    engine: str
    streams: int = 0
    outcome: Outcome | None = None
    error: RefusedError | None = None
    # Whether an edit or a date came since, and when.
    stale: bool = True
    stale_since: float = 0.0
    lock: asyncio.Lock | None = None


class Pushes:
    """One for each replica. ``now`` is the time of day, in Unix seconds."""

    def __init__(
        self,
        slices: SliceCompiler,
        streams: Streams,
        *,
        now: Callable[[], float] = time.time,
        watcher: Watcher | None = None,
        current_seconds: float = CURRENT_SECONDS,
    ) -> None:
        self._slices, self._streams, self._now = slices, streams, now
        self._watcher: Watcher = watcher or _Nobody()
        self._current_seconds = current_seconds
        self._views: dict[ViewKey, _View] = {}
        self._of_workload: defaultdict[SpiffeId, set[ViewKey]] = defaultdict(set)
        self._news = asyncio.Event()
        # Only so that they are not collected while they run.
        self._tasks: set[asyncio.Task[None]] = set()

    def mark(self, workloads: frozenset[SpiffeId]) -> None:
        """Edits may have changed the snapshots of these."""
        for workload in workloads:
            for key in self._of_workload.get(workload, ()):
                self._mark(self._views[key])

    def _mark(self, view: _View) -> None:
        if not view.stale:
            view.stale, view.stale_since = True, time.monotonic()
        self._news.set()

    def open(self, workload: SpiffeId, outbound: frozenset[str], engine: str) -> ViewKey:
        """Begin to follow what a stream is to get; paired with `close`. Raises CompileError for the engine."""
        key = (workload, outbound, lowers(engine))
        view = self._views.setdefault(key, _View(key, engine))
        if not view.streams:
            self._slices.follow(workload, outbound)
            self._of_workload[workload].add(key)
        view.streams += 1
        return key

    def close(self, key: ViewKey) -> None:
        """A stream of this view has ended."""
        view = self._views[key]
        view.streams -= 1
        if not view.streams:
            del self._views[key]
            self._slices.unfollow(key[0], key[1])
            self._of_workload[key[0]].discard(key)
            if not self._of_workload[key[0]]:
                del self._of_workload[key[0]]

    async def begin(self, stream: Stream) -> None:
        """Send a new stream what there is. Raises RefusedError where there is nothing, but not for one that
        has a policy and is only to keep it.
        """
        view = self._views[stream.view]
        await self._compile(view)
        if view.error is not None and (view.outcome is None or not stream.digest):
            raise view.error
        self._offer(view, stream, 0.0)
        if stream.wanted is None and stream.digest:
            await self.affirm(stream)

    async def affirm(self, stream: Stream) -> None:
        """Say that what the sidecar uses is the newest, or what it is to keep."""
        stream.told_at = time.monotonic()
        current = v1.Current(digest=stream.using, server_time=int(self._now()))
        await stream.say(current=current)

    async def run(self) -> None:
        """Push until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._push_news(), name="policy pushes")
            group.create_task(self._affirm_all(), name="policy affirmations")

    async def _push_news(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._until_a_date()):
                    await self._news.wait()
                await asyncio.sleep(_TOGETHER)
            except TimeoutError:
                now = self._now()
                for view in self._views.values():
                    again = view.outcome.again_at if view.outcome else None
                    if again is not None and again <= now:
                        self._mark(view)
            self._news.clear()
            for view in [one for one in self._views.values() if one.stale]:
                await self._push(view)

    def _until_a_date(self) -> float:
        dates = [
            view.outcome.again_at
            for view in self._views.values()
            if view.outcome is not None and view.outcome.again_at is not None
        ]
        left = min(dates, default=float("inf")) - self._now()
        return min(_LONGEST_SLEEP, max(0.01, left))

    async def _push(self, view: _View) -> None:
        await self._compile(view)
        for stream in self._streams.of(view.key):
            if view.error is not None and view.outcome is None:
                stream.end(view.error)
            else:
                self._offer(view, stream, view.stale_since)

    async def _compile(self, view: _View) -> None:
        """Bring a view up to date; those who come while this is under way wait for it."""
        view.lock = view.lock or asyncio.Lock()
        async with view.lock:
            # An edit that comes now is another reason to compile.
            while view.stale:
                view.stale = False
                began = time.monotonic()
                try:
                    workload, outbound, _ = view.key
                    view.outcome = await self._slices.compile_gently(
                        workload, outbound, view.engine, self._now()
                    )
                    view.error = _error_of(view.outcome)
                except UnknownWorkloadError as error:
                    view.outcome, view.error = None, not_permitted(str(error))
                except BaseException:
                    view.stale = True
                    raise
                self._watcher.compiled(time.monotonic() - began)
                self._log(view)

    def _log(self, view: _View) -> None:
        outcome = view.outcome
        if outcome is not None and outcome.compiled is not None:
            _log.info(
                "policy compiled",
                extra=fields(
                    workload=str(view.key[0]),
                    digest=outcome.compiled.digest,
                    bytes=len(outcome.compiled.snapshot_bytes),
                    standing=str(outcome.standing),
                    held=str(outcome.held[0]) if outcome.held else None,
                ),
            )

    def _offer(self, view: _View, stream: Stream, since: float) -> None:
        """Have a stream sent what the view has, if that is newer; ``since`` when (monotonic) that is known."""
        outcome = view.outcome
        if outcome is None or outcome.compiled is None:
            return
        if outcome.replaces(stream.digest):
            stream.wanted, stream.wanted_since = outcome.compiled, since
            if stream.sending is None:
                stream.sending = self._start(self._send(stream))
        elif outcome.compiled.digest == stream.digest:
            # An edit was taken back before its parts were sent.
            stream.wanted = None

    async def _send(self, stream: Stream) -> None:
        try:
            while (compiled := stream.wanted) is not None:
                if await stream.send(compiled) and stream.wanted is compiled:
                    stream.wanted = None
                    if stream.wanted_since:
                        self._watcher.pushed(time.monotonic() - stream.wanted_since)
        except Exception as error:  # grpc has no one class for a stream that has ended meanwhile
            _log.debug("policy not sent", extra=fields(error=repr(error)))
        finally:
            stream.sending = None

    async def _affirm_all(self) -> None:
        """Every so often to each stream that nothing is being sent to."""
        while True:
            await asyncio.sleep(min(_BEAT, self._current_seconds))
            due = time.monotonic() - self._current_seconds
            for stream in self._streams:
                if stream.told_at <= due and self.has_newest(stream):
                    self._start(self._affirm_quietly(stream))
                    stream.told_at = time.monotonic()

    def has_newest(self, stream: Stream) -> bool:
        """Whether what the engine uses is what it is to use."""
        view = self._views.get(stream.view)
        if not stream.using or view is None or view.stale or stream.wanted is not None:
            return False
        outcome = view.outcome
        return outcome is not None and not outcome.replaces(stream.using)

    def newest(self, workload: SpiffeId) -> str:
        """The digest of what most of a workload's sidecars are to use; "" where none of them is connected."""
        made = [
            (view.streams, view.outcome.compiled.digest)
            for view in map(self._views.__getitem__, self._of_workload.get(workload, ()))
            if view.outcome is not None and view.outcome.compiled is not None
        ]
        return max(made, default=(0, ""))[1]

    async def _affirm_quietly(self, stream: Stream) -> None:
        try:
            await self.affirm(stream)
        except Exception as error:  # as above
            _log.debug("policy not affirmed", extra=fields(error=repr(error)))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _error_of(outcome: Outcome) -> RefusedError | None:
    if outcome.compiled is not None:
        return None
    return no_policy(f"no policy can be made: {outcome.held[0]}")

"""What the sidecars of this replica say, added up for each feature set, for its status.

A report counts only where its sender is who it says: the pod must be one of the service account that the SVID
names, and a set one that this workload serves. Nothing here is acted on, so what a sidecar tells falsely about
its own set misleads its own owner and nobody else.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from featward.identity.spiffe import SpiffeId
    from featward.policy.index import Key
    from featward.policy.v1 import policy_pb2 as v1
    from featward_operator.policy.streams import Stream
    from featward_operator.world import World

__all__ = ["MOST", "Bypass", "Open", "Seen", "SetTally", "Sidecar", "Tallies"]

# Rows of each kind that a status has; a sidecar reports 64.
MOST = 32
_TEXT = 512
# 64 callers with a few features that each misses are 30 KB; sets of one workload are few.
_KEPT_BYTES = 128 << 10
_KEPT_SETS = 64
_HOUR = 3600.0
_MINUTE = 60.0
# No sidecar answers a billion requests between two reports; sums of these stay far below what a status holds.
_MOST_COUNTED = 2**30
# A pod that is gone for so long is no longer known by its counters.
_FORGOTTEN = 600.0

_Sender: TypeAlias = str


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One that serves a set: what it uses, since when (Unix seconds), and why it refused something newer."""

    pod: str
    digest: str
    engine: str
    since: float
    error: str
    current: bool
    mode: str
    draining: bool


@dataclass(slots=True)
class Seen:
    """A caller as sidecars saw it; `identity` is a SPIFFE ID, or the address of one that has none."""

    identity: str
    standing: str
    reason: str
    missing: tuple[str, ...]
    count: int
    last_seen: float
    is_address: bool


@dataclass(frozen=True, slots=True)
class Bypass:
    """Somebody who reaches the feature server past a sidecar."""

    pod: str
    address: str
    port: int
    last_seen: float


@dataclass(frozen=True, slots=True, order=True)
class Open:
    """Where processes of a sidecar's pod listen beside it."""

    port: int
    address: str


@dataclass(frozen=True, slots=True)
class SetTally:
    """What this replica's sidecars say of one set. The counters are of the last hour, as told here."""

    sidecars: tuple[Sidecar, ...]
    answered: int
    refused: int
    would_refuse: int
    unidentified: int
    callers: tuple[Seen, ...]
    bypassing: tuple[Bypass, ...]
    listening: tuple[Open, ...] = ()


@dataclass(slots=True)
class _Told:
    """The newest report of one sender."""

    stream: Stream | None
    workload: SpiffeId
    pod: str
    report: v1.Report
    left_at: float = 0.0
    # The counters of each set as they were last told.
    counters: dict[str, tuple[int, ...]] = field(default_factory=dict)


class _Hour:
    """Sums of the last hour, by the minute."""

    def __init__(self) -> None:
        self._minutes: deque[tuple[float, tuple[int, ...]]] = deque()

    def add(self, counts: tuple[int, ...], now: float) -> None:
        minute = now // _MINUTE
        if self._minutes and self._minutes[-1][0] == minute:
            before = self._minutes.pop()[1]
            counts = tuple(a + b for a, b in zip(before, counts, strict=True))
        self._minutes.append((minute, counts))

    def sums(self, now: float) -> tuple[int, ...]:
        while self._minutes and self._minutes[0][0] <= (now - _HOUR) // _MINUTE:
            self._minutes.popleft()
        columns = zip(*(counts for _, counts in self._minutes), strict=True)
        return tuple(map(sum, columns)) or (0, 0, 0, 0)


class Tallies:
    """All that was told to this replica. ``has_newest`` says whether a stream's engine uses what is newest."""

    def __init__(
        self,
        world: World,
        has_newest: Callable[[Stream], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._world, self._has_newest, self._clock = world, has_newest, clock
        self._told: dict[_Sender, _Told] = {}
        self._of_stream: dict[Stream, _Told] = {}
        self._of_workload: defaultdict[SpiffeId, set[_Sender]] = defaultdict(set)
        self._hours: defaultdict[str, _Hour] = defaultdict(_Hour)

    def take(self, stream: Stream, report: v1.Report) -> None:
        """A report came. One about a pod that is not the sender's counts for nobody."""
        sender = self._sender(stream)
        if sender is None:
            return
        _cut(report)
        told = self._told.get(sender)
        is_new = told is None or told.workload != stream.peer.identity
        if told is None or told.workload != stream.peer.identity:
            self._forget_gone()
            if told is not None:
                self._of_workload[told.workload].discard(sender)
            told = _Told(stream, stream.peer.identity, _name(stream), report)
            self._told[sender] = told
        told.stream, told.report = stream, report
        self._of_stream[stream] = told
        self._of_workload[told.workload].add(sender)
        for one in report.sets:
            if self._serves(stream.peer.identity, one.feature_set):
                self._count(told, one, is_new=is_new)

    def leave(self, stream: Stream) -> None:
        """A stream has ended. Its pod may come again, to us or to another replica."""
        told = self._of_stream.pop(stream, None)
        # Its next stream may be open already.
        if told is not None and told.stream is stream:
            told.stream, told.left_at = None, self._clock()

    def of_set(self, key: Key) -> SetTally:
        """What is told of one set now."""
        name, server = "/".join(key), self._world.index.catalogue.server(key)
        senders = self._of_workload.get(server, ()) if server else ()
        tellers = [one for sender in senders if (one := self._told[sender]).stream is not None]
        hour = self._hours.get(name)
        answered, refused, would_refuse, unidentified = (
            hour.sums(self._clock()) if hour else (0, 0, 0, 0)
        )
        return SetTally(
            tuple(sorted(filter(None, (self._sidecar(one, name) for one in tellers)), key=_place)),
            answered,
            refused,
            would_refuse,
            unidentified,
            _callers(
                caller
                for one in tellers
                for caller in one.report.callers
                # What can't be said to be about one set is about all that the workload serves.
                if caller.feature_set in (name, "")
            ),
            tuple(_bypasses(tellers)),
            _listening(tellers),
        )

    def _sidecar(self, told: _Told, feature_set: str) -> Sidecar | None:
        stream = told.stream
        if stream is None:
            return None
        modes = [one.mode for one in told.report.sets if one.feature_set == feature_set]
        return Sidecar(
            told.pod,
            stream.using,
            stream.hello.engine_version[:40],
            stream.using_since,
            stream.error,
            self._has_newest(stream),
            modes[0][:40] if modes else "",
            told.report.draining,
        )

    def _sender(self, stream: Stream) -> _Sender | None:
        """By whom the report counts: a pod's uid, or for a workload elsewhere its SVID. None for nobody."""
        pod, account = stream.hello.pod, stream.peer.service_account
        if account is None:
            return None if pod.uid else f"svid {stream.peer.serial}"
        known = self._world.pod(pod.uid)
        if known is None:
            return None
        (namespace, name), facts = known
        claimed = (pod.namespace, pod.name, facts.service_account)
        return (
            pod.uid
            if claimed == (account[0], name, account[1]) and namespace == account[0]
            else None
        )

    def _serves(self, workload: SpiffeId, feature_set: str) -> bool:
        namespace, _, name = feature_set.partition("/")
        return self._world.index.catalogue.server((namespace, name)) == workload

    def _count(self, told: _Told, one: v1.SetReport, *, is_new: bool) -> None:
        counts = (one.answered, one.refused, one.would_refuse, one.unidentified)
        before = told.counters.get(one.feature_set)
        told.counters[one.feature_set] = counts
        if before is None:
            # Of a pod that is new here nobody knows how much of it was in the last hour. One that is known and
            # has not named the set before has not served it, and counted from zero since then.
            if is_new:
                return
            before = (0, 0, 0, 0)
        # A process that began again counts from zero.
        if any(new < old for new, old in zip(counts, before, strict=True)):
            before = (0, 0, 0, 0)
        more = tuple(min(new - old, _MOST_COUNTED) for new, old in zip(counts, before, strict=True))
        if any(more):
            self._hours[one.feature_set].add(more, self._clock())

    def _forget_gone(self) -> None:
        since = self._clock() - _FORGOTTEN
        for sender in [
            sender
            for sender, told in self._told.items()
            if told.stream is None and told.left_at < since
        ]:
            self._of_workload[self._told.pop(sender).workload].discard(sender)


def _cut(report: v1.Report) -> None:
    """Keep no more of a report than an honest one has: it stays here until the next."""
    for listed in (report.callers, report.bypassing, report.listening, report.outbound):
        del listed[2 * MOST :]
    if report.ByteSize() > _KEPT_BYTES:
        for name in ("callers", "bypassing", "listening", "outbound"):
            report.ClearField(name)
        del report.sets[_KEPT_SETS:]


def _name(stream: Stream) -> str:
    return stream.hello.pod.name or str(stream.peer.identity)


def _place(sidecar: Sidecar) -> str:
    return sidecar.pod


def _callers(reported: Iterable[v1.Caller]) -> tuple[Seen, ...]:
    """The callers of all sidecars, those that were seen last first."""
    seen: dict[tuple[str, str, str], Seen] = {}
    for one in reported:
        identity = (one.spiffe_id or one.address)[:_TEXT]
        key = (identity, one.standing[:_TEXT], one.reason[:_TEXT])
        last = float(one.last_seen)
        if key in seen:
            seen[key].count += min(one.count, _MOST_COUNTED)
            seen[key].last_seen = max(seen[key].last_seen, last)
            continue
        missing = tuple(name[:_TEXT] for name in one.missing[:MOST])
        count = min(one.count, _MOST_COUNTED)
        seen[key] = Seen(*key, missing, count, last, not one.spiffe_id)
    return tuple(sorted(seen.values(), key=lambda one: (-one.last_seen, one.identity))[:MOST])


def _bypasses(tellers: Iterable[_Told]) -> Iterator[Bypass]:
    found = [
        Bypass(told.pod, one.address[:_TEXT], one.port, float(one.last_seen))
        for told in tellers
        for one in told.report.bypassing
    ]
    yield from sorted(found, key=lambda one: (-one.last_seen, one.pod, one.address))[:MOST]


def _listening(tellers: Iterable[_Told]) -> tuple[Open, ...]:
    """All of them once: the pods of one workload are alike."""
    found = {
        Open(one.port, one.address[:_TEXT]) for told in tellers for one in told.report.listening
    }
    return tuple(sorted(found))

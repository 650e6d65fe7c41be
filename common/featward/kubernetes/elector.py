"""Lets one of several replicas act, by a Lease: its holder leads, and knows in time when it does no longer.

Only durations on a clock that nobody can set decide. The times in the Lease are for people: a candidate waits
until the Lease has not changed for its whole duration as the candidate itself has seen it, and a leader stops
when that much less a margin has passed since it *sent* the last renewal that came through.
"""

import asyncio
import datetime
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from featward.kubernetes.backoff import Dice, dice
from featward.kubernetes.errors import ApiError
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import LEASES
from featward.logs import fields

__all__ = ["Elector", "Lost"]

_log = logging.getLogger(__name__)
# A Lease of another version, or one written by hand, keeps nobody waiting for ever.
_LONGEST_LEASE = 300.0


class Lost(asyncio.Event):
    """Set when we lead no longer: whatever leads has to be over before the rest of the Lease's duration is.

    `is_set` looks at the clock as well, so that a process which was stopped for a while and goes on does
    nothing of which it asks first.
    """

    def __init__(self, clock: Callable[[], float], until: float) -> None:
        super().__init__()
        self._clock = clock
        self.until = until

    def is_set(self) -> bool:
        return super().is_set() or self._clock() >= self.until


def _steady() -> float:
    """Seconds on a clock that nobody can set, and that goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Elector:
    """One candidate. The defaults are client-go's: a killed leader is followed within 17 s and a request."""

    def __init__(
        self,
        gateway: Gateway,
        namespace: str,
        name: str,
        identity: str,
        *,
        lease: float = 15.0,
        renew: float = 10.0,
        retry: float = 2.0,
        clock: Callable[[], float] = _steady,
        now: Callable[[], float] = time.time,
        dice: Dice = dice,
    ) -> None:
        """``identity`` is this process' own and of no process before it: two that share one would both lead.

        ``lease``: seconds after which others may follow a leader that has gone silent; ``renew``: after so many
        without a renewal the leader stops by itself; ``retry``: between two looks at the Lease, up to a tenth
        more. ``now`` is only written down.
        """
        if not 0 < retry < renew < lease:
            raise ValueError(f"expected retry < renew < lease, found {retry}, {renew}, {lease}")
        self._gateway = gateway
        self._name = name
        self._collection = LEASES.path(namespace)
        self._path = LEASES.path(namespace, name)
        self._identity = identity
        self._lease = lease
        self._renew = renew
        self._retry = retry
        self._clock = clock
        self._now = now
        self._dice = dice
        # What the Lease was when it last changed, and when we saw that.
        self._seen: dict[str, Any] | None = None
        self._seen_at = float("-inf")

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[Lost]:
        """Wait until we lead; inside we do, until `Lost` is set. Leaving it hands the Lease back."""
        lost = Lost(self._clock, await self._acquire() + self._renew)
        _log.info("leading", extra=fields(lease=self._name, identity=self._identity))
        keeping = asyncio.create_task(self._keep(lost), name=f"lease {self._name}")
        try:
            yield lost
        finally:
            leads = not lost.is_set()
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
            if leads:
                await self._release()

    async def _acquire(self) -> float:
        while True:
            began = self._clock()
            if await self._try(self._renew):
                return began
            await asyncio.sleep(min(self._left(), self._dice(self._retry, 1.1 * self._retry)))

    def _left(self) -> float:
        """Seconds until the Lease is free if its holder stays silent, when it is time to look again. Infinity
        when it is free, for then something else was in the way.
        """
        if self._seen is None:
            return float("inf")
        left = self._seen_at + self._duration_of(self._seen) - self._clock()
        return left if left > 0 else float("inf")

    async def _keep(self, lost: Lost) -> None:
        """Renew until that fails for too long. Whatever ends this, ends the lead."""
        try:
            await self._renew_until_lost(lost)
        finally:
            lost.set()

    async def _renew_until_lost(self, lost: Lost) -> None:
        while (left := lost.until - self._clock()) > 0:
            await asyncio.sleep(min(left, self._dice(self._retry, 1.1 * self._retry)))
            began = self._clock()
            left = lost.until - began
            if left <= 0:
                break
            # Several attempts fit in, however slow the server: none may outlast the deadline.
            if await self._try(min(left, self._renew / 2)):
                # From before it was sent: others count from when they see it, which is later.
                lost.until = began + self._renew
            elif self._is_followed():
                break
        _log.error("leading no longer", extra=fields(lease=self._name, identity=self._identity))

    def _is_followed(self) -> bool:
        """Whether the Lease is known to be somebody else's."""
        holder = _holder(self._seen)
        return bool(holder) and holder != self._identity

    async def _try(self, seconds: float) -> bool:
        """One attempt to take or renew the Lease, within so many seconds; whether it is ours now."""
        try:
            async with asyncio.timeout(seconds):
                return await self._take_or_renew(seconds)
        except TimeoutError:
            why = "no answer in time"
        except ApiError as error:
            if error.is_conflict:  # another was faster; who it was, the next look shows
                return False
            why = str(error)
        _log.warning("lease not renewed", extra=fields(lease=self._name, why=why))
        return False

    async def _take_or_renew(self, seconds: float) -> bool:
        found = await self._read(seconds)
        if found is None:
            body = self._lease_of(None)
            made = await self._gateway.ask("POST", self._collection, body, seconds=seconds)
            self._see(made)
            return True
        self._see(found)
        if not self._is_free(found):
            return False
        body = self._lease_of(found)
        # With the version that we have read: of two that write, one is told of the other.
        self._see(await self._gateway.ask("PUT", self._path, body, seconds=seconds))
        return True

    async def _read(self, seconds: float) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await self._gateway.ask("GET", self._path, seconds=seconds)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return found

    def _see(self, found: dict[str, Any]) -> None:
        if self._seen is None or _state(found) != _state(self._seen):
            self._seen, self._seen_at = found, self._clock()

    def _is_free(self, found: dict[str, Any]) -> bool:
        holder = _holder(found)
        if not holder or holder == self._identity:
            return True
        return self._clock() - self._seen_at >= self._duration_of(found)

    def _duration_of(self, found: dict[str, Any]) -> float:
        told = found.get("spec", {}).get("leaseDurationSeconds")
        return min(float(told), _LONGEST_LEASE) if isinstance(told, int) else self._lease

    def _lease_of(self, found: dict[str, Any] | None) -> dict[str, Any]:
        """The Lease as ours, over what it is now."""
        before = found.get("spec", {}) if found else {}
        ours = _holder(found) == self._identity
        turns = int(before.get("leaseTransitions") or 0)
        moment = _moment(self._now())
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._lease)),
            "acquireTime": before.get("acquireTime") if ours else moment,
            "renewTime": moment,
            "leaseTransitions": turns if ours or found is None else turns + 1,
        }
        metadata = found["metadata"] if found else {"name": self._name}
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }

    async def _release(self) -> None:
        """Let the next one lead at once, in place of after the Lease's duration."""
        if self._seen is None:
            return
        body = self._lease_of(self._seen)
        body["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._gateway.ask("PUT", self._path, body, seconds=self._retry)
        except ApiError as error:  # they wait for its end then
            told = fields(lease=self._name, why=str(error))
            _log.warning("lease not handed back", extra=told)


def _holder(lease: dict[str, Any] | None) -> str:
    return str((lease or {}).get("spec", {}).get("holderIdentity") or "")


def _state(lease: dict[str, Any]) -> tuple[object, ...]:
    spec = lease.get("spec", {})
    return (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))


def _moment(now: float) -> str:
    """MicroTime, as Leases have it."""
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")

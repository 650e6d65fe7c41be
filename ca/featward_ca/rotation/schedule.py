"""Keeps the authorities as the manifests want them: plans, does, plans again, until nothing is due.

It remembers nothing but what has just failed, so a kill at any point leaves a state from which the
next start goes on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from featward.logs import fields
from featward_ca.authorities import Authorities
from featward_ca.clock import Clock
from featward_ca.directory import Directory, path_prefix
from featward_ca.errors import CaError, ConfigurationError, IllegalTransitionError
from featward_ca.rotation.actions import Planned
from featward_ca.rotation.carry_out import CarryOut
from featward_ca.rotation.known import PLATFORM, ROOT, Known, LiveReplica
from featward_ca.rotation.plan import due, plan
from featward_ca.rotation.states import State
from featward_ca.rotation.timing import Terms
from featward_ca.settings import Lifetimes
from featward_ca.store import authority_rows, facts
from featward_ca.store.store import Store

_log = logging.getLogger(__name__)
PLATFORM_PREFIX = "/featward/"
# A plan that others have overtaken in full is made anew, so often at most in a row: each time another
# replica has done something.
_STALE_PLANS = 10


@dataclass
class OwnUse:
    """The sequence that the Listeners of this process use, and nothing that it taints; None while
    there are no Listeners. And the CA's own SVID: when it was issued, when it ends, and why the
    newest try to renew it failed; empty where it did not.
    """

    sequence: int | None = None
    issued_at: float = 0.0
    not_after: float = 0.0
    error: str = ""


class Schedule:
    """One for each CA; `tend` may be called by anybody at any time."""

    def __init__(
        self,
        store: Store,
        authorities: Authorities,
        carry_out: CarryOut,
        clock: Clock,
        lifetimes: Callable[[], Lifetimes],
    ) -> None:
        self._lifetimes = lifetimes
        self._opened_at = clock.now()
        # Whether foreign trust domains can fetch our bundle.
        self.publishes = False
        self.own_use = OwnUse()
        self._store = store
        self._authorities = authorities
        self._carry_out = carry_out
        self._clock = clock
        self._lock = asyncio.Lock()

    async def tend(
        self,
        directory: Directory,
        lifetimes: Lifetimes,
        changed: Callable[[], Awaitable[None]] | None = None,
    ) -> float:
        """Do what is due; returns the moment of the next thing to do. `changed` is called after
        each action. Raises the first thing that could not be done, after doing all that could.
        """
        wanted = terms(directory, lifetimes)
        async with self._lock:
            return await self._tend(wanted, changed or _nobody)

    async def known(self) -> Known:
        """All facts at this moment, of those whom a rotation has to wait for."""
        now, replica, lifetimes = self._clock.now(), self._store.replica, self._lifetimes()
        opened_at = self._opened_at
        found = await self._store.read(lambda c: facts.known(c, now, lifetimes, replica, opened_at))
        found = replace(found, publishes=self.publishes).without_gone_operators()
        if self.own_use.sequence is None:
            return found
        own = LiveReplica(replica, self.own_use.sequence)
        return replace(found, replicas=(*found.replicas, own))

    async def _tend(self, wanted: Terms, changed: Callable[[], Awaitable[None]]) -> float:
        stale = 0
        while True:
            known = await self.known()
            await self._check_root(known)
            actions = plan(known, wanted)
            failures = [failure for one in actions if (failure := await self._do(one, wanted))]
            if actions:
                await self._authorities.load()
                await changed()
            if len(failures) < len(actions):
                stale = 0
                continue
            stale += 1
            if stale == _STALE_PLANS or not any(map(_is_stale, failures)):
                break
        for failure in failures:
            if not _is_stale(failure):
                raise failure
        return due(known, wanted)

    async def _do(self, action: Planned, wanted: Terms) -> CaError | None:
        """Do one action; why it could not be done. The rest of the plan does not depend on it."""
        try:
            await self._carry_out.do(action, wanted)
        except CaError as failure:
            _log.info("not done", extra=fields(action=repr(action), reason=str(failure)))
            return failure
        return None

    async def _check_root(self, known: Known) -> None:
        if _has_root(known) or not await self._store.read(authority_rows.any_made):
            return
        # Read again, for another replica may have made the first root between the two readings.
        if not _has_root(await self.known()):
            raise ConfigurationError(
                "the environment's root has expired, or its key was given up, and nothing that it"
                " signed is accepted any more; make a new one: featward ca recover root"
            )


def terms(directory: Directory, lifetimes: Lifetimes) -> Terms:
    """What the manifests want."""
    units = {unit: path_prefix(directory.environment, unit) for unit in directory.business_units}
    return Terms(directory.trust_domain, lifetimes, {PLATFORM: PLATFORM_PREFIX} | units)


def _has_root(known: Known) -> bool:
    """Whether there is a root, or will be, and none in use has expired."""
    made = known.of(ROOT, State.REQUESTED, State.PREPARED, State.ACTIVE)
    return bool(made) and all(one.not_after > known.now for one in known.of(ROOT, State.ACTIVE))


def _is_stale(failure: CaError) -> bool:
    return isinstance(failure, IllegalTransitionError)


async def _nobody() -> None:
    pass

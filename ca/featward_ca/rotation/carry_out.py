"""Carries actions out: one exclusive transaction each, so that a kill leaves it done or not begun.

What was planned is judged again inside of the transaction, by the states as they are there: another
replica, or somebody at the admin socket, may have been faster. Only signing is more than one
transaction, and every key in it is durable before its first.
"""

import logging
from collections.abc import Callable

from featward.logs import fields
from featward_ca.clock import Clock
from featward_ca.issuance import Signer
from featward_ca.keys import KeyStore
from featward_ca.metrics import Metrics
from featward_ca.recorded import RecordedIssuance
from featward_ca.rotation import actions
from featward_ca.rotation.actions import BY_SCHEDULE, By
from featward_ca.rotation.changes import Changes
from featward_ca.rotation.losses import listed
from featward_ca.rotation.making import Making
from featward_ca.rotation.timing import Terms
from featward_ca.store import authority_rows
from featward_ca.store.authority_rows import AuthorityRow
from featward_ca.store.store import Store

_log = logging.getLogger(__name__)


class CarryOut:
    """Does one action after the other. `root`: who signs for owners, asked anew each time."""

    def __init__(
        self,
        keys: KeyStore,
        issuance: RecordedIssuance,
        store: Store,
        clock: Clock,
        root: Callable[[], tuple[AuthorityRow, Signer]],
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._store = store
        self._changes = Changes(clock, store)
        self._making = Making(keys, issuance, store, clock, root, self._changes)

    async def do(self, action: actions.Planned, terms: Terms, by: By = BY_SCHEDULE) -> None:
        """Raises IllegalTransitionError when the states have changed since the plan, and what
        signing raises.
        """
        match action:
            case actions.Request(owner):
                await self._making.request(owner, terms, by)
            case actions.Sign(authority):
                await self._making.sign(authority, terms, by)
            case _:
                await self._store.exclusive(lambda c: self._changes.make(c, action, by))
                if isinstance(action, actions.Activate | actions.Revoke) and action.forced:
                    await self._tell_forced(action)

    async def _tell_forced(self, action: actions.Activate | actions.Revoke) -> None:
        """Whoever was not waited for may lose connections: nobody should have to find out by that."""
        row = await self._store.read(lambda c: authority_rows.find(c, action.authority))
        owner, step = row.owner if row else "", type(action).__name__.lower()
        self._metrics.forced.labels(owner, step).inc()
        told = fields(
            owner=owner,
            step=step,
            authority=action.authority,
            why=action.forced,
            breaks=listed(action.breaks),
        )
        _log.warning("step of a rotation forced", extra=told)

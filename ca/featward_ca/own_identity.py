"""The CA's own SVID, ``/featward/ca``, from its platform authority, renewed like everybody's.

The key is the engine's and never leaves it; Listeners pick a new SVID up by themselves.
"""

import asyncio
import logging

from featward.identity.spiffe import SpiffeId
from featward.logs import fields
from featward_ca.attest import Attested, Method
from featward_ca.clock import sleep_or
from featward_ca.core import Core
from featward_ca.directory import Workload
from featward_ca.errors import CaError
from featward_ca.recorded import Request, nothing
from featward_ca.requests import keys_of
from featward_ca.rotation.known import PLATFORM
from featward_engine import Credentials

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0


class OwnIdentity:
    """Keeps the engine's credentials supplied with the CA's SVID and the newest trust."""

    def __init__(self, core: Core, credentials: Credentials) -> None:
        self._core = core
        self._credentials = credentials
        self._renew_at = 0.0
        # Set when `_renew_at` has moved: by a change of the authority, and with another lifetime.
        self._moved = asyncio.Event()
        # Who signed the SVID in use.
        self._authority = ""

    async def renew(self) -> None:
        """Issue a new SVID and use it from now on. Raises CaError or the engine's IdentityError."""
        self.apply_trust()
        trust_domain = self._core.situation.directory.trust_domain
        workload = Workload("featward/ca", PLATFORM, SpiffeId.ca(trust_domain))
        pending = self._credentials.new_identity()
        issued = await self._core.issuer.issue(
            Request("own-identity", str(workload.spiffe_id)),
            Attested(workload, Method.SELF, nothing),
            keys_of([pending.csr])[0],
            self._core.situation.lifetimes,
        )
        self._credentials.set_identity(pending, list(issued.chain))
        self._renew_at, self._authority = issued.row.renew_at, issued.row.authority
        self._moved.set()
        self._use()
        own = self._core.schedule.own_use
        own.issued_at, own.not_after, own.error = issued.row.issued_at, issued.row.not_after, ""
        self._core.metrics.expiry.labels("svid", "featward/ca").set(issued.row.not_after)
        _log.info("own identity renewed", extra=fields(serial=issued.row.serial))

    def apply_trust(self) -> None:
        """Judge callers by the newest roots, scopes and bans."""
        trust = self._core.trust.current
        self._credentials.set_trust(
            list(trust.roots),
            list(trust.scopes),
            trust.sequence,
            bans=[(ban.kind, ban.value, ban.ends) for ban in trust.bans],
        )

    async def keep_renewing(self) -> None:
        """Renew when it is due, until cancelled; a failure leaves the SVID in use and is tried
        again.
        """
        while True:
            await self._until_due()
            try:
                await self.renew()
            except CaError as error:
                self._failed(error)
                self._renew_at = self._core.clock.now() + _RETRY_SECONDS

    async def _until_due(self) -> None:
        """Return when the SVID in use is due, and not when the one of before would have been."""
        while self._core.clock.now() < self._renew_at:
            await sleep_or(self._core.clock, self._renew_at, self._moved)

    async def keep_trust(self) -> None:
        """Follow changes of the trust, until cancelled."""
        while True:
            await self._core.trust.after(self._core.schedule.own_use.sequence or 0)
            try:
                await self.follow()
            except CaError as error:
                self._failed(error)
                await self._core.clock.sleep_until(self._core.clock.now() + _RETRY_SECONDS)

    async def follow(self) -> None:
        """Use the newest trust, and no SVID of an authority that it taints or that is replaced.
        Raises CaError.
        """
        self.apply_trust()
        if self._core.authorities.active(PLATFORM).row.id != self._authority:
            await self.renew()
        # Only now: a gate that sees this sequence may take the old authority away.
        self._use()

    def _use(self) -> None:
        """Let this CA's gates know, and by its heartbeat those of the others."""
        self._core.schedule.own_use.sequence = self._credentials.sequence()
        self._core.replicas.soon()

    def _failed(self, error: CaError) -> None:
        self._core.schedule.own_use.error = str(error)
        _log.error("own identity not renewed", extra=fields(error=str(error)))

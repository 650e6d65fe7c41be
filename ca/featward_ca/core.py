"""The CA without its network: store, keys, authorities and issuing, put together and kept going.

Everything that the services and the health check need hangs here; tests drive it with a clock of
their own.
"""

import asyncio
import fcntl
import logging
import os
from pathlib import Path

from featward.logs import fields
from featward_ca.attest.evidence import Attestors
from featward_ca.attest.join_token import JoinTokens
from featward_ca.attest.renewal import Renewals
from featward_ca.authorities import Authorities
from featward_ca.clock import Clock
from featward_ca.directory import Directory
from featward_ca.errors import CaError, ConfigurationError
from featward_ca.issuance import Issuance
from featward_ca.issuer import Issuer
from featward_ca.keys import KeyStore
from featward_ca.metrics import Metrics
from featward_ca.recorded import RecordedIssuance
from featward_ca.replicas import Replicas
from featward_ca.settings import REATTEST_GRACE
from featward_ca.situation import Situation
from featward_ca.store import environment, pruning
from featward_ca.store.store import Store
from featward_ca.trust import TrustBroadcast

_log = logging.getLogger(__name__)
# After a failure of the schedule (a full disk, a dying root) it is tried again, and the log says so
# again.
_RETRY_SECONDS = 30.0
_PRUNE_SECONDS = 3600.0


class Core:
    """One environment's CA; make it with `open`."""

    def __init__(self, store: Store, keys: KeyStore, situation: Situation, clock: Clock) -> None:
        self.clock = clock
        self.situation = situation
        self.metrics = Metrics()
        self.store = store
        self.issuance = RecordedIssuance(Issuance(keys), self.store, clock, self.metrics)
        self.authorities = Authorities(keys, self.issuance, self.store, clock, self.metrics)
        self.issuer = Issuer(self.authorities, self.issuance, self.store, clock)
        self.tokens = JoinTokens(self.store, clock)
        self.attestors = Attestors(situation, self.tokens)
        self.renewals = Renewals(self.store, clock, self.metrics)
        self.replicas = Replicas(store, clock, lambda: self.authorities.sequence)
        self._edited = asyncio.Event()
        self._due = 0.0
        self._closed = False

    @classmethod
    async def open(cls, store: Store, keys: KeyStore, situation: Situation, clock: Clock) -> "Core":
        """Make what is missing in the store and be ready to issue. The store is closed with the
        core, and when this raises ConfigurationError or StoreError.
        """
        core = cls(store, keys, situation, clock)
        try:
            await core._begin()
        except BaseException:
            await core.close()
            raise
        return core

    async def _begin(self) -> None:
        directory, now = self.situation.directory, self.clock.now()
        if self.situation.lifetimes.unsafe_short:
            _log.warning(
                "UNSAFE SHORT LIVES: lifetimes below the floors are allowed and back-dating is"
                " shrunk; for tests only",
                extra=fields(
                    svid_seconds=self.situation.lifetimes.svid,
                    backdate_seconds=self.situation.lifetimes.backdate,
                ),
            )
        # Exclusive, because replicas may be started for the first time at the same moment.
        await self.store.exclusive(
            lambda c: environment.bind(c, directory.environment, directory.trust_domain, now)
        )
        await self.replicas.join()
        await self.authorities.load()
        self._due = await self.authorities.tend(directory, self.situation.lifetimes)
        self.trust = TrustBroadcast(self.authorities.trust(directory.trust_domain))

    async def close(self) -> None:
        """Finish what is being signed and close the store."""
        if self._closed:
            return
        self._closed = True
        await self.issuance.finish()
        await self.replicas.leave()
        self.store.close()

    async def tend(self) -> float:
        """Do what the schedule asks for now and announce it; returns when it is due again. Never
        raises CaError.
        """
        directory = self.situation.directory
        try:
            self._due = await self.authorities.tend(directory, self.situation.lifetimes)
        except CaError as error:
            _log.error("rotation failed", extra=fields(error=str(error)))
            self._due = self.clock.now() + _RETRY_SECONDS
        self.trust.publish(self.authorities.trust(directory.trust_domain))
        return self._due

    async def keep_tending(self) -> None:
        """Follow the schedule, and every edit of the manifests, until cancelled."""
        while True:
            await self._wait_until_due()
            await self.tend()

    async def follow_changes(self) -> None:
        """Take over what other replicas change, until cancelled."""
        async for _ in self.store.changes():
            try:
                await self.authorities.load()
            except CaError as error:
                _log.error("change not taken over", extra=fields(error=str(error)))
                continue
            self.trust.publish(self.authorities.trust(self.situation.directory.trust_domain))
            # The schedule may ask for something else now.
            self._edited.set()

    async def prune(self) -> None:
        """Delete what is over. Never raises CaError."""
        try:
            count = await pruning.prune(self.store, self.clock.now(), REATTEST_GRACE)
        except CaError as error:
            _log.error("store not pruned", extra=fields(error=str(error)))
            return
        if count:
            _log.info("store pruned", extra=fields(rows=count))

    async def keep_pruning(self) -> None:
        """Prune every hour, until cancelled. Replicas do not get in each other's way."""
        while True:
            await self.prune()
            await self.clock.sleep_until(self.clock.now() + _PRUNE_SECONDS)

    def take_over(self, directory: Directory) -> None:
        """Use an edit of the manifests from now on. Raises ConfigurationError, and then nothing
        changes.
        """
        self.situation.replace(directory)
        self._edited.set()

    async def _wait_until_due(self) -> None:
        waits = [
            asyncio.create_task(self.clock.sleep_until(self._due)),
            asyncio.create_task(self._edited.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._edited.clear()


def lock_data(data: Path) -> int:
    """Make the data directory (0700) and hold it for this process. Raises ConfigurationError."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"the data directory {data} can't be used: {error.strerror}"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ConfigurationError(
            f"another CA is running on the data directory {data}; stop it first"
        ) from error
    return descriptor

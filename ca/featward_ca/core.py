"""The CA without its network: store, keys, authorities and issuing, put together and kept going.

Everything that the services and the health check need hangs here; tests drive it with a clock of
their own.
"""

import asyncio
import fcntl
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from featward.logs import fields
from featward_ca.attest.cluster_api import ClusterApi
from featward_ca.attest.evidence import Attestors
from featward_ca.attest.join_token import JoinTokens
from featward_ca.attest.jwt import JwtTokens
from featward_ca.attest.kubernetes import Kubernetes, Operator
from featward_ca.attest.lineage import Lineages
from featward_ca.attest.renewal import Renewals
from featward_ca.attest.reviews import TokenReviewer
from featward_ca.authorities import Authorities
from featward_ca.bans import Bans
from featward_ca.batch import Batch
from featward_ca.clock import Clock, sleep_or, wait_steadily
from featward_ca.directory import Directory
from featward_ca.errors import CaError, ConfigurationError
from featward_ca.federation.foreign import Foreign
from featward_ca.federation.standing import Endpoints
from featward_ca.halt import Halt
from featward_ca.issuance import Issuance, Signer
from featward_ca.issuer import Issuer
from featward_ca.keys import KeyStore
from featward_ca.leaves import Leaves
from featward_ca.metrics import Metrics
from featward_ca.pacing import reissue_within
from featward_ca.recorded import RecordedIssuance
from featward_ca.replicas import Replicas
from featward_ca.rotation.actions import By, Planned
from featward_ca.rotation.carry_out import CarryOut
from featward_ca.rotation.schedule import Schedule, terms
from featward_ca.rotation.timing import Terms
from featward_ca.situation import Situation
from featward_ca.store import audit, authority_rows, bans, clients, environment, pruning
from featward_ca.store.authority_rows import AuthorityRow
from featward_ca.store.measured import MeasuredStore
from featward_ca.store.store import Connection, Store
from featward_ca.trust import Trust, TrustBroadcast

_log = logging.getLogger(__name__)
# After a failure of the schedule (a full disk, a dying root) it is tried again, and the log says so
# again.
_RETRY_SECONDS = 30.0
_Result = TypeVar("_Result")
_PRUNE_SECONDS = 3600.0


class Core:
    """One environment's CA; make it with `open`."""

    def __init__(self, store: Store, keys: KeyStore, situation: Situation, clock: Clock) -> None:
        self.clock = clock
        self.situation = situation
        self.metrics = Metrics()
        self.store: Store = MeasuredStore(store, self.metrics)
        self.keys = keys
        self.halt = Halt(self.store, clock)
        self.issuance = RecordedIssuance(Issuance(keys), self.store, clock, self.metrics, self.halt)
        self.authorities = Authorities(keys, self.store, clock, self.metrics)
        self.carry_out = CarryOut(keys, self.issuance, self.store, clock, self._root, self.metrics)
        self.schedule = Schedule(
            self.store,
            self.authorities,
            self.carry_out,
            clock,
            lambda: self.situation.lifetimes,
        )
        self._leaves = Leaves(Batch(keys, self.store, clock, self.metrics, self.halt))
        self.issuer = Issuer(self.authorities, self._leaves, self.store, clock)
        self.tokens = JoinTokens(self.store, clock)
        self.renewals = Renewals(
            self.store, clock, self.metrics, lambda: self.situation.lifetimes.reattest_grace
        )
        self.lineages = Lineages(self.store, clock, self.renewals)
        self.jwts = JwtTokens(clock)
        self.ask_clusters([])
        self.bans = Bans()
        # Nobody waits for a heartbeat, so its times are no part of the store's.
        self.replicas = Replicas(store, clock, lambda: self.authorities.sequence)
        self.foreign = Foreign(self.store, clock)
        self.endpoints = Endpoints(self.metrics)
        # Set by every edit of the manifests, for who keeps the foreign bundles.
        self.relations_edited = asyncio.Event()
        # The first and the newest since the last that was taken over: when, and why.
        self.refused_edits: list[tuple[float, str]] = []
        self._edited = asyncio.Event()
        # The last row of the audit table an hour ago.
        self._begun = 0
        self._due = 0.0
        self._closed = False

    def ask_clusters(
        self, clusters: Iterable[ClusterApi], operator: Operator | None = None
    ) -> None:
        """Attest service accounts of these clusters from now on. They are closed with the core."""
        reviewers = {api.name: TokenReviewer(api, self.metrics) for api in clusters}
        self.kubernetes = Kubernetes(reviewers, self.clock, operator)
        self.attestors = Attestors(self.situation, self.tokens, self.kubernetes, self.jwts)

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
        await self.foreign.use(directory.relations)
        await self.authorities.load()
        self._due = await self.schedule.tend(directory, self.situation.lifetimes)
        self.trust = TrustBroadcast(await self._newest_trust())

    async def close(self) -> None:
        """Finish what is being signed and close the store."""
        if self._closed:
            return
        self._closed = True
        await self.kubernetes.close()
        await self._leaves.finish()
        await self.issuance.finish()
        await self.replicas.leave()
        self.store.close()

    async def tend(self) -> float:
        """Do what the schedule asks for now and announce it; returns when it is due again. Never
        raises CaError.
        """
        directory = self.situation.directory
        try:
            self._due = await self.schedule.tend(directory, self.situation.lifetimes, self.announce)
        except CaError as error:
            _log.error("rotation failed", extra=fields(error=str(error)))
            self._due = self.clock.now() + _RETRY_SECONDS
        await self.announce()
        return self._due

    async def announce(self) -> None:
        """Tell everybody of what has changed in the store. Never raises CaError."""
        try:
            self.trust.publish(await self._newest_trust())
        except CaError as error:
            _log.error("trust not announced", extra=fields(error=str(error)))

    async def change_bans(self, change: Callable[[Connection], _Result]) -> _Result:
        """Store a change of the bans and announce it. Raises what `change` raises, with nothing
        changed, and StoreError.
        """

        def counted(connection: Connection) -> _Result:
            result = change(connection)
            authority_rows.raise_sequence(connection)
            return result

        result = await self.store.exclusive(counted)
        await self.authorities.load()
        await self.announce()
        return result

    async def _newest_trust(self) -> Trust:
        """The authorities, and all bans and foreign roots up to their sequence at the least: read
        later, they may hold one more, which the next sequence announces again.
        """
        trust, now = self.authorities.trust(self.situation.directory.trust_domain), self.clock.now()
        rows = await self.store.read(lambda connection: bans.in_force(connection, now))
        self.bans.replace([row.ban for row in rows])
        trust = replace(trust, bans=self.bans.current, foreign=await self.foreign.announced())
        if not trust.tainted:
            return trust
        counts = await self.store.read(
            lambda c: clients.counts(c, self.store.replica, trust.sequence, now)
        )
        return replace(trust, reissue_within_ms=reissue_within(counts.clients))

    async def keep_tending(self) -> None:
        """Follow the schedule, and every edit of the manifests, until cancelled."""
        while True:
            await sleep_or(self.clock, self._due, self._edited)
            await self.tend()

    async def follow_changes(self) -> None:
        """Take over what other replicas change, until cancelled."""
        async for _ in self.store.changes():
            try:
                await self.authorities.load()
            except CaError as error:
                _log.error("change not taken over", extra=fields(error=str(error)))
                continue
            await self.announce()
            # The schedule may ask for something else now.
            self._edited.set()

    async def prune(self) -> None:
        """Delete what is over. Never raises CaError."""
        try:
            count = await pruning.prune(
                self.store, self.clock.now(), self.situation.lifetimes.reattest_grace
            )
        except CaError as error:
            _log.error("store not pruned", extra=fields(error=str(error)))
            return
        if count:
            _log.info("store pruned", extra=fields(rows=count))

    async def settle_audit(self) -> None:
        """Look whether what the last call saw begin has ended. Never raises CaError."""
        until, self._begun = self._begun, 0
        try:
            # Not what is new: of two that write, the later one's row may be seen first.
            await pruning.settle(self.store, until)
            self._begun = await self.store.read(audit.newest)
        except CaError as error:
            _log.error("audit table not looked at", extra=fields(error=str(error)))

    async def keep_pruning(self) -> None:
        """Prune every hour, until cancelled. Replicas do not get in each other's way.

        Not in an hour in which the clock was set, nor at once after a start: what a wrong clock takes
        for long over is in use, and would be gone when the clock is right again.
        """
        while True:
            if await wait_steadily(self.clock, _PRUNE_SECONDS):
                await self.prune()
                await self.settle_audit()

    def take_over(self, directory: Directory, without: Sequence[str] = ()) -> None:
        """Use an edit of the manifests from now on. `without` says what of it can't be used. Raises
        ConfigurationError, and then nothing changes.
        """
        self.situation.replace(directory)
        if without:
            self.refuse("; ".join(without))
        else:
            self.refused_edits.clear()
        self._edited.set()
        self.relations_edited.set()

    def refuse(self, why: str) -> None:
        """An edit of the manifests, or a part of it, can't be used, until all is right again."""
        self.refused_edits.append((self.clock.now(), why))
        del self.refused_edits[1:-1]

    def _root(self) -> tuple[AuthorityRow, Signer]:
        root = self.authorities.root
        return root.row, root.signer

    @property
    def terms(self) -> Terms:
        """What the manifests want of the authorities."""
        return terms(self.situation.directory, self.situation.lifetimes)

    async def carry_out_by_hand(self, action: Planned, by: By) -> None:
        """Do one action that somebody asked for, and then all that follows from it. Raises what
        the action raises.
        """
        await self.carry_out.do(action, self.terms, by)
        await self.settle()

    async def settle(self) -> None:
        """Do all that follows from what was changed beside the schedule."""
        await self.authorities.load()
        await self.tend()
        # The schedule waits for a moment that may have come nearer.
        self._edited.set()


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

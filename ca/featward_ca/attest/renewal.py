"""Renewal by the current SVID, for workloads whose evidence is gone after its one use.

A serial may be renewed once. The same new key again gets the stored SVID again, because an answer
may be lost on its way; another key means that two parties hold the old one, and nothing that
descends from that attestation is renewed any more.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from featward.logs import fields
from featward_ca.attest import Attested, Method
from featward_ca.attest.lookup import Lookup
from featward_ca.clock import Clock
from featward_ca.directory import Directory
from featward_ca.errors import (
    EvidenceNeededError,
    NotAttestedError,
    SvidClonedError,
    TooManyRequestsError,
)
from featward_ca.metrics import Metrics
from featward_ca.recorded import nothing
from featward_ca.requests import Key
from featward_ca.store import audit, svids
from featward_ca.store.audit import Entry, Outcome
from featward_ca.store.store import Connection, Store
from featward_ca.store.svids import Held, SvidRow

_log = logging.getLogger(__name__)
_AGAIN = "the SVID of this workload can't be renewed by itself any more; attest again"


class _Found(Enum):
    """What the successor of a serial means for the key that asks."""

    NONE = auto()
    SAME_KEY = auto()
    UNDER_WAY = auto()
    OTHER_KEY = auto()


@dataclass(frozen=True)
class Stored:
    """The renewal was done before, for this very key."""

    row: SvidRow
    certificate: bytes


class Renewals:
    """Judges renewals against what is stored. `grace`: how long after its end an SVID still renews
    itself, asked anew each time.
    """

    def __init__(
        self, store: Store, clock: Clock, metrics: Metrics, grace: Callable[[], float]
    ) -> None:
        self.grace = grace
        self._store = store
        self._lookup = Lookup(store)
        self._clock = clock
        self._metrics = metrics

    async def attest(self, directory: Directory, held: Held, key: Key) -> Attested | Stored:
        """The workload that an SVID proves, or what was issued for this key before.

        Raises EvidenceNeededError, NotAttestedError or TooManyRequestsError, and SvidClonedError
        after it has tainted the lineage.
        """
        serial = held.serial
        found = await self._lookup.find(serial)
        if found is None or found.svid.held != held:
            raise NotAttestedError(
                f"no SVID with serial {serial} and this key was issued for {held.spiffe_id}"
            )
        old, lineage, successor = found.svid, found.lineage, found.successor
        if lineage.method not in svids.RENEWING_METHODS:
            raise EvidenceNeededError(
                f"a workload attested by {lineage.method} shows its evidence at every renewal"
            )
        if lineage.tainted_at is not None or self._clock.now() >= old.not_after + self.grace():
            raise EvidenceNeededError(_AGAIN)
        workload = directory.workloads.get(lineage.workload)
        if workload is None:
            raise NotAttestedError(f"{lineage.workload} is no longer in the manifests")
        if lineage.method == Method.JWT and not directory.takes_jwt_of(workload):
            raise EvidenceNeededError(
                f"{lineage.workload} is attested by no JWT any more; attest in another way"
            )
        digest = key.sha256
        match _compare(successor, digest):
            case _Found.OTHER_KEY:
                await self._cloned(old)
            case _Found.UNDER_WAY:
                raise TooManyRequestsError("the same renewal is under way; ask again")
            case _Found.SAME_KEY if successor and successor.certificate:
                return Stored(successor, successor.certificate)

        def outrun(connection: Connection) -> None:
            match _compare(svids.successor(connection, serial), digest):
                case _Found.OTHER_KEY:
                    raise SvidClonedError("another key was faster")
                case _Found.NONE:
                    return
                case _:
                    raise TooManyRequestsError("the same renewal is under way; ask again")

        return Attested(
            workload,
            Method(lineage.method),
            nothing,
            lineage.id,
            serial,
            outrun=outrun,
        )

    async def _cloned(self, old: SvidRow) -> None:
        now = self._clock.now()
        await self._store.run(lambda connection: _taint(connection, old, self._store.replica, now))
        self._metrics.cloned.inc()
        _log.error("svid cloned", extra=fields(spiffe_id=old.spiffe_id, serial=old.serial))
        raise SvidClonedError(
            f"svid-cloned: {old.spiffe_id} was renewed before for another key, so two parties hold"
            " one SVID; find out who, and attest the workload again with a new join token"
        )

    async def taint_for(self, serial: str) -> None:
        """What `attest` does for a clone, for the one that was found out only by its claim.
        Raises SvidClonedError.
        """
        old = await self._store.read(lambda connection: svids.find(connection, serial))
        if old is not None:
            await self._cloned(old)


def _compare(successor: SvidRow | None, digest: bytes) -> _Found:
    if successor is None:
        return _Found.NONE
    if successor.spki_sha256 != digest:
        return _Found.OTHER_KEY
    return _Found.UNDER_WAY if successor.certificate is None else _Found.SAME_KEY


def _taint(connection: Connection, old: SvidRow, replica: str, now: float) -> None:
    svids.taint(connection, old.lineage, "svid-cloned", now)
    entry = Entry(
        time=now,
        replica=replica,
        request=old.serial,
        kind="svid-cloned",
        caller=old.spiffe_id,
        outcome=Outcome.NOTED,
        subject=old.spiffe_id,
        serial=old.serial,
        detail=f"lineage {old.lineage} is tainted: none of its SVIDs is renewed any more",
    )
    audit.append(connection, entry)

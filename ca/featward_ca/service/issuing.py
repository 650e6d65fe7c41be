"""From proof to SVIDs, for both calls of IdentityService: by evidence, or by the SVID in use; and a
row in the audit table for each refusal.
"""

from collections.abc import Coroutine, Sequence
from typing import TypeVar

from featward.identity.v1 import identity_pb2
from featward_ca.attest import Attested, Method
from featward_ca.attest.renewal import Stored
from featward_ca.core import Core
from featward_ca.errors import (
    CaError,
    EvidenceNeededError,
    MalformedRequestError,
    NotAttestedError,
    NotPermittedError,
    SvidClonedError,
    TooManyRequestsError,
)
from featward_ca.issuer import IssuedSvid, Wanted
from featward_ca.requests import Key
from featward_ca.service.guard import Call
from featward_ca.service.limits import Allowance, Buckets
from featward_ca.service.peers import Peer
from featward_ca.service.rpcs import Limit, Rate
from featward_ca.service.streams import Stream
from featward_ca.store import svids
from featward_ca.store.audit import Outcome

_Result = TypeVar("_Result")
_Keys = Sequence[Key]
# Refusals of one source, and of all, that get a row in the audit table, which nobody can prune:
# anybody may cause them. All of them are counted.
_NOTED = Limit(Rate(100, 1), at_once=1, together=Rate(1000, 10))
# SVIDs of one identity: what a store grows by without end is bounded, and never what a workload
# needs. As many replicas may all be new at once, and be renewed at half of their lives.
_REPLICAS = 36_000
_NEW_AT_ONCE = 100_000


class Issuing:
    """SVIDs for callers; `Guard` has checked who they are."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._noted = Allowance(_NOTED)
        lifetimes = core.situation.lifetimes
        self._svids = Buckets(Rate(_NEW_AT_ONCE, _REPLICAS * 2 / lifetimes.renewal_life))

    async def by_evidence(
        self,
        evidence: identity_pb2.Evidence,
        keys: _Keys,
        call: Call,
        stream: Stream | None = None,
    ) -> list[IssuedSvid]:
        """One SVID for each key. Over a stream a single one renews that of the stream's client.
        Raises RequestError or IssuanceError.
        """
        return await self._recorded(call, self._by_evidence(evidence, keys, call, stream))

    async def own_lineage(self, lineage: str, peer: Peer) -> str | None:
        """The lineage that a caller without certificate says it is, if it may be that: nobody
        speaks for others. A certificate says it by itself.
        """
        if peer.uid is None:
            return None
        row = await self._core.store.read(lambda c: svids.find_lineage(c, lineage))
        if row is None or row.method != Method.UNIX:
            return None
        workload = self._core.situation.directory.workloads.get(row.workload)
        return lineage if workload and workload.runs_as(peer.uid) else None

    async def by_svid(self, keys: _Keys, stream: Stream, call: Call) -> list[IssuedSvid]:
        """Renew a stream's newest SVID: the connection's, or what was issued on it since. Raises
        RequestError or IssuanceError.
        """
        return await self._recorded(call, self._by_svid(keys, stream, call))

    async def _by_evidence(
        self,
        evidence: identity_pb2.Evidence,
        keys: _Keys,
        call: Call,
        stream: Stream | None,
    ) -> list[IssuedSvid]:
        attested = await self._core.attestors.attest(evidence, call.peer, keys)
        identity, held = str(attested.workload.spiffe_id), stream.held if stream else None
        self._core.bans.check(identity, held, self._core.clock.now())
        self._take(identity, len(keys))
        if stream is not None and len(keys) == 1:
            return [await self._again(attested, keys[0], stream, call)]
        orders = [Wanted(call.request, attested, key) for key in keys]
        made = await self._core.issuer.issue_many(orders, self._core.situation.lifetimes)
        if errors := [one for one in made if isinstance(one, CaError)]:
            raise errors[0]
        return [one for one in made if isinstance(one, IssuedSvid)]

    async def _again(self, attested: Attested, key: Key, stream: Stream, call: Call) -> IssuedSvid:
        """Evidence of a client that may be known already."""
        found = await self._core.lineages.continued(
            self._core.situation.directory, attested, stream.held, stream.lineage, key
        )
        if isinstance(found, Stored):
            issued = self._core.issuer.again(found)
        else:
            issued = await self._renew(found, key, stream, call)
        stream.held = issued.row.held
        return issued

    async def _by_svid(self, keys: _Keys, stream: Stream, call: Call) -> list[IssuedSvid]:
        held = stream.held
        if held is None:
            raise EvidenceNeededError(
                "a workload on the CA's socket shows its evidence at every renewal"
            )
        if len(keys) != 1:
            raise MalformedRequestError("one SVID is renewed by one certificate request")
        self._core.bans.check(held.spiffe_id, held, self._core.clock.now())
        self._take(held.spiffe_id, 1)
        found = await self._core.renewals.attest(self._core.situation.directory, held, keys[0])
        if isinstance(found, Stored):
            issued = self._core.issuer.again(found)
        else:
            issued = await self._renew(found, keys[0], stream, call)
        stream.held = issued.row.held
        return [issued]

    async def _renew(self, attested: Attested, key: Key, stream: Stream, call: Call) -> IssuedSvid:
        try:
            return await self._issue(call, attested, key)
        except SvidClonedError:
            if stream.held:
                await self._core.renewals.taint_for(stream.held.serial)
            raise

    def _take(self, identity: str, amount: int) -> None:
        if wait := self._svids.take(identity, self._core.clock.now(), amount):
            raise TooManyRequestsError(
                f"{identity} asks for more SVIDs than {_REPLICAS} replicas need", wait
            )

    async def _issue(self, call: Call, attested: Attested, key: Key) -> IssuedSvid:
        lifetimes = self._core.situation.lifetimes
        return await self._core.issuer.issue(call.request, attested, key, lifetimes)

    async def _recorded(self, call: Call, issuing: Coroutine[None, None, _Result]) -> _Result:
        """Leave a row in the audit table for a refusal too: who tried, and why it did not work."""
        try:
            return await issuing
        except (NotAttestedError, NotPermittedError, EvidenceNeededError) as error:
            reason = str(error) if isinstance(error, EvidenceNeededError) else error.reason
            if self._is_noted(call.peer):
                await self._core.issuance.note(call.request, Outcome.REFUSED, reason)
            raise

    def _is_noted(self, peer: Peer) -> bool:
        try:
            self._noted.enter(peer.source or peer.kind, self._core.clock.now())
        except TooManyRequestsError:
            return False
        self._noted.leave()
        return True

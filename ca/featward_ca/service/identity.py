"""IdentityService: attestation for those who have nothing yet, and the stream of everybody else."""

import asyncio
from collections.abc import Coroutine, Sequence

import grpc
from cryptography.hazmat.primitives.asymmetric import ec

from featward.identity.v1 import identity_pb2
from featward_ca.attest import Attested, unix
from featward_ca.attest.join_token import JoinTokens
from featward_ca.attest.renewal import Renewals, Stored
from featward_ca.clock import Clock
from featward_ca.errors import (
    EvidenceNeededError,
    MalformedRequestError,
    NotAttestedError,
    StoppingError,
    SvidClonedError,
    TooManyRequestsError,
)
from featward_ca.issuer import IssuedSvid, Issuer
from featward_ca.recorded import RecordedIssuance
from featward_ca.requests import public_key_of
from featward_ca.service.guard import Call, Handler
from featward_ca.service.limits import Allowance
from featward_ca.service.peers import Peer, PeerKind
from featward_ca.service.rpcs import Limit, Rate
from featward_ca.service.streams import Stream, Streams
from featward_ca.situation import Situation
from featward_ca.store.audit import Outcome
from featward_ca.trust import Trust, TrustBroadcast

# Refusals of callers without identity that get a row in the audit table, which nobody can prune:
# anybody may cause them. All of them are counted and logged.
_NOTED = Limit(Rate(100, 1), at_once=1)
# An agent that serves a node has all its workloads at hand after a restart; twenty fill one group
# commit.
CSRS_PER_MESSAGE = 20


class IdentityService:
    """The handlers; `Guard` has checked who calls."""

    def __init__(
        self,
        situation: Situation,
        tokens: JoinTokens,
        renewals: Renewals,
        issuer: Issuer,
        issuance: RecordedIssuance,
        trust: TrustBroadcast,
        streams: Streams,
        clock: Clock,
    ) -> None:
        self._situation = situation
        self._tokens = tokens
        self._renewals = renewals
        self._issuer = issuer
        self._issuance = issuance
        self._trust = trust
        self._streams = streams
        self._clock = clock
        self._strangers = Allowance(_NOTED)
        self._closing = asyncio.Event()

    @property
    def handlers(self) -> dict[str, Handler]:
        """By method name."""
        return {"Attest": self._attest, "WatchIdentity": self._watch}

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._closing.set()

    async def _attest(
        self, message: identity_pb2.AttestRequest, call: Call
    ) -> identity_pb2.AttestResponse:
        key = public_key_of(message.csr)
        issued = await self._recorded(call, self._by_evidence(message.evidence, [key], call))
        return identity_pb2.AttestResponse(
            svid=issued[0].message(),
            trust=self._trust.current.message(),
            server_time=self._server_time(),
        )

    async def _watch(self, _: object, call: Call) -> None:
        """Answer requests in order and push trust as it changes; ends with the client, or with
        the server.
        """
        with self._streams.hold(call.peer.serial) as stream:
            trust = self._trust.current
            await call.context.write(self._response(trust=trust))
            reading = asyncio.ensure_future(call.context.read())
            changing = asyncio.ensure_future(self._trust.after(trust.sequence))
            closing = asyncio.ensure_future(self._closing.wait())
            try:
                while True:
                    await asyncio.wait(
                        {reading, changing, closing}, return_when=asyncio.FIRST_COMPLETED
                    )
                    if closing.done():
                        raise StoppingError("the CA is stopping; connect again")
                    if changing.done():
                        trust = changing.result()
                        await call.context.write(self._response(trust=trust))
                        changing = asyncio.ensure_future(self._trust.after(trust.sequence))
                    if reading.done():
                        message = reading.result()
                        if message is grpc.aio.EOF:
                            return
                        await self._answer(message, stream, call)
                        reading = asyncio.ensure_future(call.context.read())
            finally:
                for waiting in (reading, changing, closing):
                    waiting.cancel()

    async def _answer(
        self, message: identity_pb2.WatchIdentityRequest, stream: Stream, call: Call
    ) -> None:
        stream.acknowledged = max(stream.acknowledged, message.acknowledged_sequence)
        if not message.csrs:
            return
        if len(message.csrs) > CSRS_PER_MESSAGE:
            raise MalformedRequestError(
                f"a message holds {CSRS_PER_MESSAGE} certificate requests at most"
            )
        keys = [public_key_of(csr) for csr in message.csrs]
        if message.evidence.WhichOneof("kind"):
            issued = await self._recorded(call, self._by_evidence(message.evidence, keys, call))
        else:
            issued = await self._recorded(call, self._by_svid(keys, stream, call))
        await call.context.write(self._response(svids=issued))

    async def _by_evidence(
        self, evidence: identity_pb2.Evidence, keys: list[ec.EllipticCurvePublicKey], call: Call
    ) -> list[IssuedSvid]:
        directory = self._situation.directory
        match evidence.WhichOneof("kind"):
            case "join_token":
                if len(keys) != 1:
                    raise MalformedRequestError("a join token is good for one certificate request")
                attested = await self._tokens.attest(directory, evidence.join_token)
            case "unix":
                attested = unix.attest(directory, call.peer.uid, evidence.unix.workload)
            case _:
                raise NotAttestedError("no evidence was sent")
        return list(await asyncio.gather(*(self._issue(call, attested, key) for key in keys)))

    async def _by_svid(
        self, keys: list[ec.EllipticCurvePublicKey], stream: Stream, call: Call
    ) -> list[IssuedSvid]:
        """Renew this stream's newest SVID: the connection's, or what was issued on it since."""
        if call.peer.kind is PeerKind.UNIX:
            raise EvidenceNeededError(
                "a workload on the CA's socket shows its evidence at every renewal"
            )
        if len(keys) != 1:
            raise MalformedRequestError("one SVID is renewed by one certificate request")
        found = await self._renewals.attest(
            self._situation.directory, call.peer.spiffe_id, stream.serial, keys[0]
        )
        if isinstance(found, Stored):
            issued = self._issuer.again(found)
        else:
            issued = await self._renew(found, keys[0], stream, call)
        stream.serial = issued.row.serial
        return [issued]

    async def _renew(
        self, attested: Attested, key: ec.EllipticCurvePublicKey, stream: Stream, call: Call
    ) -> IssuedSvid:
        try:
            return await self._issue(call, attested, key)
        except SvidClonedError:
            await self._renewals.taint_for(stream.serial)
            raise

    async def _issue(
        self, call: Call, attested: Attested, key: ec.EllipticCurvePublicKey
    ) -> IssuedSvid:
        return await self._issuer.issue(call.request, attested, key, self._situation.lifetimes)

    async def _recorded(
        self, call: Call, issuing: Coroutine[None, None, list[IssuedSvid]]
    ) -> list[IssuedSvid]:
        """Leave a row in the audit table for a refusal too: who tried, and why it did not work."""
        try:
            return await issuing
        except (NotAttestedError, EvidenceNeededError) as error:
            reason = error.reason if isinstance(error, NotAttestedError) else str(error)
            if self._is_noted(call.peer):
                await self._issuance.note(call.request, Outcome.REFUSED, reason)
            raise

    def _is_noted(self, peer: Peer) -> bool:
        if peer.kind is not PeerKind.ANONYMOUS:
            return True
        try:
            self._strangers.enter(peer.kind, self._clock.now())
        except TooManyRequestsError:
            return False
        self._strangers.leave()
        return True

    def _response(
        self, trust: Trust | None = None, svids: Sequence[IssuedSvid] = ()
    ) -> identity_pb2.WatchIdentityResponse:
        return identity_pb2.WatchIdentityResponse(
            svids=[svid.message() for svid in svids],
            trust=trust.message() if trust else None,
            server_time=self._server_time(),
        )

    def _server_time(self) -> int:
        return int(self._clock.now() * 1000)

"""From evidence of any kind to the workload that it proves: the one place where the kinds are told
apart.

The proof of one client by its current SVID is no evidence; see `renewal`, and `lineage` for both
together.
"""

from collections.abc import Sequence

from featward.identity.v1 import identity_pb2
from featward_ca.attest import Attested, unix
from featward_ca.attest.join_token import JoinTokens
from featward_ca.attest.jwt import JwtTokens
from featward_ca.attest.kubernetes import Kubernetes
from featward_ca.errors import MalformedRequestError, NotAttestedError
from featward_ca.requests import Key
from featward_ca.service.peers import Peer
from featward_ca.situation import Situation


class Attestors:
    """All kinds of evidence that this CA knows."""

    def __init__(
        self, situation: Situation, tokens: JoinTokens, kubernetes: Kubernetes, jwts: JwtTokens
    ) -> None:
        self._situation = situation
        self._tokens = tokens
        self._kubernetes = kubernetes
        self._jwts = jwts

    async def attest(
        self,
        evidence: identity_pb2.Evidence,
        peer: Peer,
        keys: Sequence[Key],
    ) -> Attested:
        """The workload that a caller has proven to be, for the keys that it asks SVIDs for.
        Raises NotAttestedError or MalformedRequestError, and LaterError where somebody has to be
        asked who does not answer.
        """
        directory = self._situation.directory
        match evidence.WhichOneof("kind"):
            case "join_token":
                if len(keys) != 1:
                    raise MalformedRequestError("a join token is good for one certificate request")
                return await self._tokens.attest(directory, evidence.join_token)
            case "unix":
                return unix.attest(directory, peer.uid, evidence.unix.workload)
            case "kubernetes":
                return await self._kubernetes.attest(directory, evidence.kubernetes.token)
            case "jwt":
                if len(keys) != 1:
                    raise MalformedRequestError("a JWT is good for one certificate request")
                jwt = evidence.jwt
                return await self._jwts.attest(directory, jwt.token, jwt.workload, keys[0])
            case None:
                raise NotAttestedError("no evidence was sent")
            case kind:
                raise NotAttestedError(f"this CA takes no {kind} evidence")

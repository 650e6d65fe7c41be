"""From evidence of any kind to the workload that it proves: the one place where the kinds are told
apart.
"""

from collections.abc import Sequence

from featward.identity.v1 import identity_pb2
from featward_ca.attest import Attested, unix
from featward_ca.attest.join_token import JoinTokens
from featward_ca.errors import MalformedRequestError, NotAttestedError
from featward_ca.requests import Key
from featward_ca.service.peers import Peer
from featward_ca.situation import Situation


class Attestors:
    """All kinds of evidence that this CA knows."""

    def __init__(self, situation: Situation, tokens: JoinTokens) -> None:
        self._situation = situation
        self._tokens = tokens

    async def attest(
        self,
        evidence: identity_pb2.Evidence,
        peer: Peer,
        keys: Sequence[Key],
    ) -> Attested:
        """The workload that a caller has proven to be, for the keys that it asks SVIDs for.
        Raises NotAttestedError or MalformedRequestError.
        """
        directory = self._situation.directory
        match evidence.WhichOneof("kind"):
            case "join_token":
                if len(keys) != 1:
                    raise MalformedRequestError("a join token is good for one certificate request")
                return await self._tokens.attest(directory, evidence.join_token)
            case "unix":
                return unix.attest(directory, peer.uid, evidence.unix.workload)
            case None:
                raise NotAttestedError("no evidence was sent")
            case kind:
                raise NotAttestedError(f"this CA takes no {kind} evidence")

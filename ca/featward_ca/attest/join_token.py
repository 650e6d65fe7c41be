"""Join tokens: a secret that is good for one attestation of one workload, for a short time."""

import secrets

from featward.identity.join_token import SECRET_BYTES, JoinToken, JoinTokenError, secret_of
from featward.manifests.text import in_text
from featward_ca.attest import Attested, Method
from featward_ca.clock import Clock
from featward_ca.directory import Directory
from featward_ca.errors import MalformedRequestError, NotAttestedError
from featward_ca.settings import DAY, HOUR
from featward_ca.store import tokens
from featward_ca.store.store import Connection, Store

LIFETIME = HOUR
# A token lies in files and terminals; a week is the most that anybody should need to hand it over.
LONGEST_LIFETIME = 7 * DAY


class JoinTokens:
    """Makes tokens and accepts each once."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self, directory: Directory, workload: str, lifetime: float, root_sha256: bytes
    ) -> tuple[JoinToken, float]:
        """A fresh token for a workload, by its name or SPIFFE ID, and when it expires. Raises
        UnknownWorkloadError or MalformedRequestError.
        """
        name = directory.workload(workload).name
        if not 1 <= lifetime <= LONGEST_LIFETIME:
            raise MalformedRequestError(
                f"a join token lives for 1s to {in_text(LONGEST_LIFETIME)}, not for"
                f" {in_text(lifetime)}"
            )
        token = JoinToken(directory.trust_domain, root_sha256, secrets.token_bytes(SECRET_BYTES))
        now = self._clock.now()
        await self._store.run(
            lambda c: tokens.add(c, token.secret, name, root_sha256, now, now + lifetime)
        )
        return token, now + lifetime

    async def attest(self, directory: Directory, evidence: str) -> Attested:
        """The workload that a token stands for. Raises NotAttestedError; the token is used up
        only by the claim.
        """
        try:
            secret = secret_of(evidence)
        except JoinTokenError as error:
            raise NotAttestedError(str(error)) from None
        now = self._clock.now()
        name = await self._store.read(
            lambda connection: tokens.workload_of(connection, secret, now)
        )
        if name is None:
            raise NotAttestedError("the join token is unknown, used or expired")
        if name not in directory.workloads:
            raise NotAttestedError(
                f"the join token is for {name}, which is no longer in the manifests"
            )

        def claim(connection: Connection) -> None:
            if not tokens.use_up(connection, secret, self._clock.now()):
                raise NotAttestedError(
                    "the join token was used by another request at the same time"
                )

        return Attested(directory.workload(name), Method.JOIN_TOKEN, claim)

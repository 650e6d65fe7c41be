"""Tokens of OIDC issuers, such as a CI system's: which Workload a token's claims fit.

PyJWT verifies the signature; whose key, which algorithms, whose clock and which claims are decided
here. A token is good for one key, the first that it is used for: who steals it later gets nothing.
"""

from hashlib import sha256
from typing import Any

import jwt

from featward_ca.attest import Attested, Method
from featward_ca.attest.jwks import IssuerKeys
from featward_ca.attest.tokens import LEEWAY, audience_of, check_times, glance, shown
from featward_ca.clock import Clock
from featward_ca.directory import Directory, JwtIssuer, Workload
from featward_ca.errors import NotAttestedError
from featward_ca.requests import Key
from featward_ca.settings import DAY
from featward_ca.store import jwt_uses
from featward_ca.store.store import Connection

# What was used is kept until it ends, so a token may not be good for much longer than a job runs.
LONGEST_LIFE = DAY
# Times are judged by the CA's own clock.
_OPTIONS: Any = {
    "require": ["iss", "aud", "exp"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "strict_aud": False,
    "enforce_minimum_key_length": True,
}


class JwtTokens:
    """All issuers of the environment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._keys: dict[JwtIssuer, IssuerKeys] = {}

    async def attest(self, directory: Directory, token: str, name: str, key: Key) -> Attested:
        """The workload that a token is for; `name` chooses among several. Raises NotAttestedError,
        or LaterError while the issuer's keys can't be fetched.
        """
        audience = audience_of(directory.trust_domain)
        first = glance(token, audience, self._clock)
        issuer = next((one for one in directory.jwt_issuers if one.issuer == first.issuer), None)
        if issuer is None:
            raise NotAttestedError(f"no issuer of the environment is {shown(first.issuer)}")
        kid = first.header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise NotAttestedError("the token's kid is no text")
        verifier = await self._of(issuer, directory).key(kid)
        try:
            claims = jwt.decode(
                token,
                verifier.key,
                algorithms=verifier.algorithms,
                audience=audience,
                issuer=issuer.issuer,
                options=_OPTIONS,
            )
        except jwt.PyJWTError as error:
            raise NotAttestedError(f"the token does not hold: {type(error).__name__}") from error
        now = self._clock.now()
        ends = check_times(claims, now)
        if ends > now + LONGEST_LIFE + 2 * LEEWAY:
            raise NotAttestedError(
                f"the token is good for {(ends - now) / 3600:.0f} h more, and"
                f" {LONGEST_LIFE / 3600:.0f} h is the most"
            )
        workload = _fitting(directory, issuer, claims, name)
        return Attested(workload, Method.JWT, self._used(token, key, ends))

    def _of(self, issuer: JwtIssuer, directory: Directory) -> IssuerKeys:
        """The keys of an issuer; those that the manifests have no more are forgotten."""
        for gone in self._keys.keys() - set(directory.jwt_issuers):
            del self._keys[gone]
        return self._keys.setdefault(issuer, IssuerKeys(issuer))

    def _used(self, token: str, key: Key, ends: float) -> Any:
        # What the signature covers, and not the signature: of that there may be several texts.
        digest = sha256(token.rpartition(".")[0].encode()).digest()

        def claim(connection: Connection) -> None:
            if self._clock.now() >= ends:
                # Whose use is forgotten from now on, so it might be bound to another key.
                raise NotAttestedError("the token has ended")
            if not jwt_uses.use(connection, digest, key.sha256, ends):
                raise NotAttestedError("the token was used before, for another key")

        return claim


def _fitting(
    directory: Directory, issuer: JwtIssuer, claims: dict[str, Any], name: str
) -> Workload:
    fitting = [
        workload
        for workload in directory.workloads.values()
        if name in ("", workload.name) and workload.fits(issuer.name, claims)
    ]
    if not fitting:
        wanted = f"Workload {shown(name)}" if name else "Workload"
        raise NotAttestedError(
            f"no {wanted} is attested by this token of {issuer.name}, for"
            f" {shown(claims.get('sub'))}"
        )
    if len(fitting) > 1:
        names = ", ".join(sorted(workload.name for workload in fitting))
        raise NotAttestedError(f"the token may be any of {names}; the caller has to name one")
    return fitting[0]

"""The keys of one OIDC issuer: found by its discovery document, kept for a while, fetched from
nowhere but the configured address.

What a token says about where its key is (jku, x5u, an issuer that we do not have) is never looked
at, and neither a redirect nor a discovery document leads to another origin.
"""

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from featward.logs import fields
from featward_ca.attest.tokens import CANNOT_JUDGE, shown
from featward_ca.directory import JwtIssuer
from featward_ca.errors import LaterError, NotAttestedError

_log = logging.getLogger(__name__)
_DISCOVERY = "/.well-known/openid-configuration"
SECONDS = 5.0
# Key sets have some kilobytes; hundreds of keys nobody has.
_LARGEST_DOCUMENT = 256 * 1024
_MOST_KEYS = 100
# A token with a key that we do not know may be of a key that is new; strangers can invent as many as
# they like, so it makes us look no more often than this.
UNKNOWN_SECONDS = 30.0
# After a fetch that failed.
RETRY_SECONDS = 5.0
_RSA_BITS = 2048
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
# By the kind of a key, so that none is ever used with an algorithm of another kind.
_ALGORITHMS = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}


@dataclass(frozen=True)
class PublicKey:
    """One key of an issuer, and what it may verify."""

    id: str | None
    key: Any = field(repr=False)
    algorithms: tuple[str, ...]


class FetchError(Exception):
    """The issuer's keys could not be fetched; the text says why."""


class IssuerKeys:
    """The keys of one issuer."""

    def __init__(self, issuer: JwtIssuer, now: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._now = now
        self._lock = asyncio.Lock()
        self._keys: tuple[PublicKey, ...] = ()
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    async def key(self, kid: str | None) -> PublicKey:
        """The key with this id; without one, the only key there is. Raises NotAttestedError, and
        LaterError while the issuer can't be asked.
        """
        async with self._lock:
            if self._is_due(kid):
                await self._fetch()
            if not self._is_current():
                raise LaterError(CANNOT_JUDGE, RETRY_SECONDS)
        found = self._find(kid)
        if found is None:
            raise NotAttestedError(f"{self._issuer.name} has no key {shown(kid)} that we can use")
        return found

    def _find(self, kid: str | None) -> PublicKey | None:
        if kid is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((one for one in self._keys if one.id == kid), None)

    def _is_current(self) -> bool:
        age = self._issuer.max_key_age
        return self._fetched_at is not None and self._now() < self._fetched_at + age

    def _is_due(self, kid: str | None) -> bool:
        if self._tried_at is not None and self._now() < self._tried_at + RETRY_SECONDS:
            return False
        if not self._is_current():
            return True
        assert self._tried_at is not None  # noqa: S101  # narrows a type: it was fetched
        return self._find(kid) is None and self._now() >= self._tried_at + UNKNOWN_SECONDS

    async def _fetch(self) -> None:
        """Keys of now, or what we have until it is too old."""
        self._tried_at = self._now()
        try:
            self._keys = await asyncio.wait_for(self._fetched(), SECONDS)
            self._fetched_at = self._now()
        except (TimeoutError, FetchError, aiohttp.ClientError, OSError) as error:
            _log.error(
                "keys of issuer not fetched",
                extra=fields(issuer=self._issuer.name, error=f"{type(error).__name__}: {error}"),
            )

    async def _fetched(self) -> tuple[PublicKey, ...]:
        tls = ssl.create_default_context(cafile=self._issuer.ca_file)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
            base = self._issuer.issuer.rstrip("/")
            about = await _document(session, base + _DISCOVERY)
            if about.get("issuer") != self._issuer.issuer:
                raise FetchError(f"its discovery document is {shown(about.get('issuer'))}'s")
            where = about.get("jwks_uri")
            if not isinstance(where, str) or _origin(where) != _origin(base):
                raise FetchError(f"its keys would be at another origin: {shown(where)}")
            listed = (await _document(session, where)).get("keys")
        if not isinstance(listed, list) or len(listed) > _MOST_KEYS:
            raise FetchError(f"its key set has no list of at most {_MOST_KEYS} keys")
        return tuple(key for one in listed if (key := _public_key(one)) is not None)


async def _document(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise FetchError(f"{url} answers {response.status}")
        raw = bytearray()
        async for chunk in response.content.iter_any():
            raw += chunk
            if len(raw) > _LARGEST_DOCUMENT:
                raise FetchError(f"{url} has more than {_LARGEST_DOCUMENT} bytes")
    try:
        read = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise FetchError(f"{url} is no JSON") from error
    if not isinstance(read, dict):
        raise FetchError(f"{url} is no JSON object")
    return read


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or 443
    except ValueError:
        return "", None, None


def _public_key(raw: Any) -> PublicKey | None:
    """A key of a set; None for what we would not verify with: a set may hold more than we know."""
    if not isinstance(raw, dict) or raw.get("use", "sig") != "sig":
        return None
    curve = raw.get("crv")
    known = _ALGORITHMS.get((str(raw.get("kty")), curve if isinstance(curve, str) else None), ())
    algorithms = tuple(one for one in known if raw.get("alg", one) == one)
    if not algorithms or "d" in raw:
        return None
    try:
        key = jwt.PyJWK(raw, algorithms[0]).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, rsa.RSAPublicKey) and not _RSA_BITS <= key.key_size <= 4 * _RSA_BITS:
        return None
    kid = raw.get("kid")
    return PublicKey(kid if isinstance(kid, str) else None, key, algorithms)

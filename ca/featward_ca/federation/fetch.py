"""Getting a bundle document from its endpoint (SPIFFE Federation, section 5.2).

The server is another organisation's: how long it takes, how much it sends and where it sends us on
are bounded here, and only its body comes back, unread. TLS of the profile `https_spiffe` is the
engine's, like all of featward's that proves an identity; that of `https_web` is Python's, with the
machine's roots.
"""

import asyncio
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from yarl import URL

from featward.identity.spiffe import SpiffeId
from featward_ca.errors import FederationError
from featward_ca.federation.bundle import LARGEST_DOCUMENT
from featward_engine import Credentials, Dialer, EngineError

__all__ = ["Anchors", "fetch"]

_SECONDS = 15.0
_REDIRECTS = 3
_REDIRECTING = (301, 302, 303, 307, 308)
_HEADERS = {
    "Accept": "application/json",
    # What is unpacked could be a thousand times what was sent.
    "Accept-Encoding": "identity",
    "User-Agent": "featward-ca",
}


class Anchors:
    """Who the server of an `https_spiffe` endpoint has to be, and the roots that show it."""

    def __init__(self, spiffe_id: SpiffeId, roots: Sequence[bytes]) -> None:
        self.spiffe_id = spiffe_id
        self.roots = list(roots)

    def credentials(self) -> Credentials:
        """For one fetch: they trust this domain and no other. Raises FederationError."""
        credentials = Credentials(str(self.spiffe_id.trust_domain))
        try:
            credentials.set_trust(self.roots, None, 1)
        except EngineError as error:
            domain = self.spiffe_id.trust_domain
            raise FederationError(f"the roots of {domain} can't be used: {error}") from error
        return credentials


async def fetch(url: str, anchors: Anchors | None) -> bytes:
    """The document at an endpoint; `anchors` for the profile `https_spiffe`. Raises
    FederationError.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            return await _follow(URL(url), anchors)
    except TimeoutError as error:
        raise FederationError(f"{url} did not answer within {_SECONDS:g} s") from error


async def _follow(url: URL, anchors: Anchors | None) -> bytes:
    """Redirects lead to a server that proves the same, and only this time (5.2.1.4, 5.2.2.4)."""
    for _ in range(_REDIRECTS + 1):
        found = await _get(url, anchors)
        if isinstance(found, bytes):
            return found
        url = found
    raise FederationError(f"there are more than {_REDIRECTS} redirects, the last one to {url}")


async def _get(url: URL, anchors: Anchors | None) -> bytes | URL:
    way = _by_certificate(url) if anchors is None else _by_identity(url, anchors)
    headers = _HEADERS | {"Host": url.host_port_subcomponent or ""}
    async with way as (session, target):
        try:
            async with session.get(target, headers=headers, allow_redirects=False) as answer:
                if answer.status in _REDIRECTING:
                    return _target(url, answer.headers.get("Location", ""))
                if answer.status != 200:
                    raise FederationError(f"{url} answered {answer.status}, not 200")
                return await _body(url, answer)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FederationError(f"{url} can't be fetched: {_reason(error)}") from error


def _target(url: URL, location: str) -> URL:
    try:
        target = url.join(URL(location))
    except ValueError as error:
        raise FederationError(f"{url} redirects to no URL") from error
    if not location or target.scheme != "https" or target.user or target.password:
        raise FederationError(f"{url} redirects to {str(target)[:200]!r}, which is no endpoint")
    return target


async def _body(url: URL, answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > LARGEST_DOCUMENT:
            raise FederationError(f"{url} sends more than {LARGEST_DOCUMENT} bytes")
    return bytes(body)


@asynccontextmanager
async def _by_certificate(url: URL) -> AsyncIterator[tuple[aiohttp.ClientSession, URL]]:
    """The server shows a certificate for the host that this machine trusts."""
    # It reads all roots of the machine, anew each time because they change.
    context = await asyncio.to_thread(ssl.create_default_context)
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    async with _session(connector) as session:
        yield session, url


@asynccontextmanager
async def _by_identity(
    url: URL, anchors: Anchors
) -> AsyncIterator[tuple[aiohttp.ClientSession, URL]]:
    """The server proves its SPIFFE ID to the engine, through which the bytes go."""
    host = f"[{url.host}]" if ":" in (url.host or "") else url.host
    with tempfile.TemporaryDirectory(prefix="featward-") as folder:
        socket = Path(folder) / "out.sock"
        config = {
            "address": f"{host}:{url.port}",
            "socket": str(socket),
            "expect": str(anchors.spiffe_id),
            "carry": "bytes",
            "client_certificate": False,
        }
        dialer = _dialer(anchors, config)
        try:
            async with _session(aiohttp.UnixConnector(str(socket), force_close=True)) as session:
                yield session, url.with_scheme("http").with_port(url.port)
        except FederationError as error:
            why = dialer.last_error()
            raise FederationError(f"{error} ({why})" if why else str(error)) from error
        finally:
            await asyncio.to_thread(dialer.stop)


def _dialer(anchors: Anchors, config: dict[str, object]) -> Dialer:
    dialer = Dialer(anchors.credentials(), json.dumps(config).encode())
    try:
        dialer.start()
    except EngineError as error:
        raise FederationError(f"there is no way to {config['address']}: {error}") from error
    return dialer


def _session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    # No environment: a proxy's password there is not for this.
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    )


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__

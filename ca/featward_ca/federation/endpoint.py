"""Our bundle for other trust domains, by the profile `https_web`: one document over TLS 1.3, for
anybody, with a certificate that the platform team gives.

Whoever asks is a stranger, so nothing that one stranger does may cost much: connections are counted
and refused before their handshake, each answers one request, and each ends soon whatever it does.
"""

import asyncio
import logging
import os
import socket
import ssl
from pathlib import Path

from aiohttp import web
from cryptography import x509

from featward.logs import fields
from featward_ca.core import Core
from featward_ca.errors import ConfigurationError, TooManyRequestsError
from featward_ca.federation.bundle import document
from featward_ca.service.limits import Allowance
from featward_ca.service.peers import network
from featward_ca.service.rpcs import Limit, Rate

__all__ = ["BundleEndpoint"]

_log = logging.getLogger(__name__)
# A peer asks once in minutes; behind one address there may be some dozens of them.
_LIMIT = Limit(Rate(10, 1), at_once=128, together=Rate(200, 20))
_HANDSHAKE_SECONDS = 5.0
_CONNECTION_SECONDS = 10.0
# A certificate on a volume or from an ACME client is renewed days before it ends.
_LOOK_SECONDS = 2.0
_BACKLOG = 128


class BundleEndpoint:
    """The server; `start` binds it, `run` accepts until it is cancelled."""

    def __init__(self, core: Core, certificate: Path, key: Path) -> None:
        self._core = core
        self._files = (certificate, key)
        self._allowance = Allowance(_LIMIT)
        self._seen: tuple[object, ...] = ()
        self._context: ssl.SSLContext | None = None
        self._runner: web.AppRunner | None = None
        self._socket: socket.socket | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, address: str) -> str:
        """Read the certificate and listen on ``host:port``; returns the bound address. Raises
        ConfigurationError.
        """
        self._context = self._read()
        self._core.schedule.publishes = True
        app = web.Application(client_max_size=1)
        app.add_routes([web.get("/", self._answer)])
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        try:
            self._socket = _bind(address)
        except (OSError, ValueError) as error:
            await self.stop()
            raise ConfigurationError(
                f"the bundle endpoint can't listen on {address}: {error}"
            ) from error
        host, port = self._socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def stop(self) -> None:
        """Close everything."""
        if self._socket:
            self._socket.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        if self._runner:
            await self._runner.cleanup()

    async def run(self) -> None:
        """Accept connections, until cancelled."""
        assert self._socket is not None  # noqa: S101  # started before
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, source = await loop.sock_accept(self._socket)
            except OSError as error:
                # Out of descriptors, most likely: they come back when others are closed.
                _log.warning("connection not accepted", extra=fields(error=str(error)))
                await asyncio.sleep(0.5)
                continue
            self._take(connection, network(source[0]))

    async def keep_certificate(self) -> None:
        """Use the certificate's files as they are by now, until cancelled; a pair that can't be
        used is logged, and the last good one stays.
        """
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._seen == self._look():
                continue
            try:
                self._context = self._read()
                _log.info("certificate of the bundle endpoint reloaded")
            except ConfigurationError as error:
                _log.error("certificate not reloaded", extra=fields(error=str(error)))

    def _take(self, connection: socket.socket, source: str) -> None:
        """Serve a connection, or close it where its source or everybody has had enough."""
        try:
            self._allowance.enter(source, self._core.clock.now())
        except TooManyRequestsError:
            self._core.metrics.bundle_requests.labels("refused").inc()
            connection.close()
            return
        task = asyncio.create_task(self._serve(connection))
        self._open.add(task)
        task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        self._allowance.leave()

    async def _serve(self, connection: socket.socket) -> None:
        assert self._runner is not None  # noqa: S101  # started before
        assert self._runner.server is not None  # noqa: S101  # and set up
        protocol = _Connection(self._runner.server())
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
            )
        except OSError:
            # No handshake, or none in time, and asyncio has closed it.
            return
        try:
            async with asyncio.timeout(_CONNECTION_SECONDS):
                await protocol.closed.wait()
        except TimeoutError:
            transport.abort()

    async def _answer(self, _: web.Request) -> web.Response:
        self._core.metrics.bundle_requests.labels("answered").inc()
        trust, lifetimes = self._core.trust.current, self._core.situation.lifetimes
        body = document(trust, lifetimes.refresh_hint)
        response = web.Response(body=body, content_type="application/json", charset="utf-8")
        response.force_close()
        return response

    def _look(self) -> tuple[object, ...]:
        """What changes when one of the files does, by a rename or a swapped link too."""
        found: list[object] = []
        for file in self._files:
            try:
                status = os.stat(file)
                found.append((status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size))
            except OSError:
                found.append(None)
        return tuple(found)

    def _read(self) -> ssl.SSLContext:
        """A new context, because one that was loaded halfway would have two halves of two pairs."""
        self._seen = self._look()
        certificate, key = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
        context.set_alpn_protocols(["http/1.1"])
        try:
            # Without a password it would ask for one on the terminal.
            context.load_cert_chain(certificate, key, password="")
            leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"the bundle endpoint's certificate {certificate} and key {key} can't be used:"
                f" {error}; give a PEM chain, leaf first, and its unencrypted key"
            ) from error
        self._core.endpoints.certificate = leaf
        end = leaf.not_valid_after_utc.timestamp()
        self._core.metrics.expiry.labels("bundle-endpoint", "federation").set(end)
        return context


class _Connection(asyncio.Protocol):
    """One connection of aiohttp's, and when it is over."""

    def __init__(self, inner: asyncio.Protocol) -> None:
        self._inner = inner
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)
        self.closed.set()


def _bind(address: str) -> socket.socket:
    """Raises OSError, and ValueError for what is no ``host:port``."""
    host, _, port = address.rpartition(":")
    bare, number = host.strip("[]"), int(port)
    if not 0 <= number <= 65535:
        raise ValueError(f"{number} is no port")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    bound = socket.create_server((bare, number), family=family, backlog=_BACKLOG)
    bound.setblocking(False)
    return bound

"""An API server that fails as it is told: a proxy before a real one, which ends TLS and so knows what is asked.

It listens where nothing else does, asks as the administrator, and remembers every request.
"""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from kubernetes_kit import Kubernetes

__all__ = ["FaultProxy", "Seen", "always", "fault_proxy", "listing", "watching"]

_HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
_LARGEST = 16 << 20


@dataclass(frozen=True)
class Seen:
    """A request: when it came (monotonic), and what it asked for."""

    at: float
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)


Matches = Callable[[Seen], bool]


def always(_: Seen) -> bool:
    """Every request."""
    return True


def watching(seen: Seen) -> bool:
    """Watches."""
    return seen.query.get("watch") == "true"


def listing(seen: Seen) -> bool:
    """Lists, page by page, as far as they are told from reads of one object by their limit."""
    return seen.method == "GET" and "limit" in seen.query


@dataclass
class _Fault:
    matches: Matches
    status: int
    headers: Mapping[str, str]
    body: bytes
    times: int


class FaultProxy:
    """What it does wrong lasts until `mend`."""

    def __init__(self, kubernetes: Kubernetes, session: aiohttp.ClientSession) -> None:
        self._server = kubernetes.server
        self._session = session
        self._faults: list[_Fault] = []
        self._delay = 0.0
        self._is_cut = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open: set[asyncio.Transport] = set()
        self.requests: list[Seen] = []
        self.kubeconfig = Path()

    def answer(
        self,
        matches: Matches,
        status: int,
        body: object = b"",
        headers: Mapping[str, str] | None = None,
        times: int = 1_000_000,
    ) -> None:
        """Answer these requests so, and don't pass them on. What is no bytes is sent as JSON and a newline."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode() + b"\n"
        self._faults.append(_Fault(matches, status, headers or {}, raw, times))

    def hold(self) -> None:
        """Let nothing pass: new requests are not answered, and open answers fall silent."""
        self._flowing.clear()

    def slow(self, seconds: float) -> None:
        """Let each request wait."""
        self._delay = seconds

    def cut(self) -> None:
        """Cut every connection, and every new one as soon as it asks for something."""
        self._is_cut = True
        for transport in self._open:
            transport.abort()

    def uncut(self) -> None:
        """Let connections live again, and fail in all other ways still."""
        self._is_cut = False

    def mend(self) -> None:
        """Fail no more."""
        self._faults.clear()
        self._delay = 0.0
        self._is_cut = False
        self._flowing.set()

    def count(self, matches: Matches, since: float = 0.0) -> int:
        """How many of these requests came since then."""
        return sum(matches(seen) for seen in self.requests if seen.at >= since)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request of a client."""
        seen = Seen(
            time.monotonic(), request.method, request.path, dict(request.query), request.headers
        )
        self.requests.append(seen)
        assert request.transport is not None
        if self._is_cut:
            request.transport.abort()
            return web.Response(status=500)
        self._open.add(request.transport)
        try:
            await asyncio.sleep(self._delay)
            await self._flowing.wait()
            return self._failed(seen) or await self._passed(request)
        except aiohttp.ClientConnectionResetError:  # whoever asked was cut off, or has gone
            return web.Response(status=500)
        finally:
            self._open.discard(request.transport)

    def _failed(self, seen: Seen) -> web.Response | None:
        for fault in self._faults:
            if fault.times > 0 and fault.matches(seen):
                fault.times -= 1
                kind = {"Content-Type": "application/json"}
                return web.Response(
                    status=fault.status, body=fault.body, headers=kind | dict(fault.headers)
                )
        return None

    async def _passed(self, request: web.Request) -> web.StreamResponse:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP
        }
        async with self._session.request(
            request.method,
            self._server + request.path_qs,
            headers=headers,
            data=await request.read(),
        ) as answered:
            response = web.StreamResponse(status=answered.status)
            for name, value in answered.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    response.headers[name] = value
            await response.prepare(request)
            async for chunk in answered.content.iter_any():
                await self._flowing.wait()
                await response.write(chunk)
            await response.write_eof()
            return response


@asynccontextmanager
async def fault_proxy(kubernetes: Kubernetes, folder: Path) -> AsyncIterator[FaultProxy]:
    """A proxy before this server; its kubeconfig lies in the folder."""
    connector = aiohttp.TCPConnector(ssl=kubernetes.tls, limit=0)
    async with aiohttp.ClientSession(
        connector=connector, auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None)
    ) as session:
        proxy = FaultProxy(kubernetes, session)
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=_tls(kubernetes)).start()
            proxy.kubeconfig = _kubeconfig(kubernetes, folder, runner.addresses[0][1])
            yield proxy
        finally:
            proxy.mend()
            await runner.cleanup()


def _tls(kubernetes: Kubernetes) -> ssl.SSLContext:
    certificate = kubernetes.authority.issue("proxy", "fault-proxy", addresses=["127.0.0.1"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return tls


def _kubeconfig(kubernetes: Kubernetes, folder: Path, port: int) -> Path:
    config = json.loads(kubernetes.kubeconfig("admin-by-proxy", "system:masters").read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    file = folder / "proxy.kubeconfig"
    file.write_text(json.dumps(config))
    return file

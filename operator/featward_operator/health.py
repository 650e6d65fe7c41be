"""Health and metrics over plain HTTP: ``GET /healthz``, ``/readyz`` and ``/metrics``, nothing else.

Healthy means that the event loop turns: a part that has ended takes the process along, so there is nothing else
to ask. Ready means that every part of this replica has what it needs, which the leader's work is no part of: a
replica that waits for the Lease serves webhooks and sidecars as well as the leader does.
"""

import asyncio
import os

from aiohttp import web

from featward.listening import not_listening
from featward_operator.errors import OperatorError
from featward_operator.metrics import Metrics
from featward_operator.sockets import listen_everywhere

__all__ = ["Gate", "Health"]


class Gate:
    """One thing that readiness waits for; closed at first."""

    def __init__(self) -> None:
        self.waits_for: str | None = "it starts"

    def open(self) -> None:
        """It is there."""
        self.waits_for = None

    def close(self, waits_for: str) -> None:
        """It is not there (any more): what it waits for, for a person."""
        self.waits_for = waits_for


class Health:
    """The answers; `start` serves them."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._gates: dict[str, Gate] = {}
        self._is_draining = False
        self._runner: web.AppRunner | None = None

    def gate(self, name: str) -> Gate:
        """The gate of this name; readiness waits for it from the first time that it is asked for."""
        return self._gates.setdefault(name, Gate())

    def drain(self) -> None:
        """Be ready no more, so that nothing new is sent here; what comes is still answered."""
        self._is_draining = True

    def waits_for(self) -> dict[str, str]:
        """What stands between this replica and readiness, by gate."""
        closed = {name: gate.waits_for for name, gate in self._gates.items() if gate.waits_for}
        return ({"process": "it is stopping"} if self._is_draining else {}) | closed

    async def start(self, port: int) -> None:
        """Listen on all addresses. Raises OperatorError."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._render),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        try:
            await web.SockSite(self._runner, listen_everywhere(port)).start()
        except OSError as error:
            await self.stop()
            why = os.strerror(error.errno) if error.errno else str(error)
            said = f"cannot listen on port {port}: {why}"
            raise OperatorError(not_listening("ports.health", said)) from error

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        await asyncio.sleep(0)
        return web.json_response({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        waits_for = self.waits_for()
        if waits_for:
            return web.json_response({"status": "not ready", "waits for": waits_for}, status=503)
        return web.json_response({"status": "ready"})

    async def _render(self, _: web.Request) -> web.Response:
        body = self._metrics.render()
        return web.Response(body=body, content_type="text/plain", charset="utf-8")

"""Health of a CA that has no Environment yet: alive, and not ready, with the reason.

Without it a kubelet would restart what only waits for somebody's `kubectl apply`.
"""

import logging

from aiohttp import web

from featward.logs import fields
from featward_ca.health import listening

_log = logging.getLogger(__name__)


class Waiting:
    """Answers until the CA itself can; `say` why it can't."""

    def __init__(self) -> None:
        self._why = "starting"
        self._runner: web.AppRunner | None = None

    async def start(self, address: str) -> None:
        """Listen on ``host:port``. Raises ConfigurationError."""
        app = web.Application()
        app.add_routes([web.get("/healthz", self._healthz), web.get("/readyz", self._readyz)])
        self._runner, _ = await listening(app, address)

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    def say(self, why: str) -> None:
        """Why from now on; a new reason is logged."""
        if why != self._why:
            self._why = why
            _log.warning("waiting", extra=fields(reason=why))

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "waiting", "problem": self._why})

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "waiting", "problem": self._why}, status=503)

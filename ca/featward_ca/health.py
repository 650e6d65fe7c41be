"""Health and metrics over plain HTTP: ``GET /healthz``, ``/readyz`` and ``/metrics``, nothing else.

Healthy means that a certificate can be made: a canary goes through every step of issuing, record
included. While an administrator has halted issuing none is made, and it says so; a restart would not
help, so that is healthy too. aiohttp serves it because the CA's bundle endpoint and OIDC client need
the same library later; a hand-made HTTP server would be one more parser of strangers' bytes.
"""

import asyncio
import logging
import os

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from featward.listening import not_listening
from featward.logs import fields
from featward_ca.clock import readable
from featward_ca.core import Core
from featward_ca.errors import CaError, ConfigurationError, IssuanceHaltedError, StoreError
from featward_ca.requests import Key, spki
from featward_ca.runway import Runway

_log = logging.getLogger(__name__)
# One canary serves all probes of half a minute, so that probing can't load the store.
_CANARY_SECONDS = 30.0


class Health:
    """The answers; `start` serves them."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._runway = Runway(core)
        self._key = Key(spki(ec.generate_private_key(ec.SECP256R1()).public_key()))
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._problem: str | None = None
        self._is_halted = False
        self._runner: web.AppRunner | None = None

    async def start(self, address: str) -> str:
        """Listen on ``host:port``; returns the bound address. Raises ConfigurationError."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
            ]
        )
        self._runner, bound = await listening(app, address)
        return bound

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def problem(self) -> str | None:
        """Why no certificate could be made, or None; a recent answer is given again."""
        async with self._lock:
            # A clock that was set back makes the last answer look new for as long as it was set back.
            if not 0 <= self._core.clock.now() - self._checked_at < _CANARY_SECONDS:
                self._problem = await self._try() or self._ended()
                self._checked_at = self._core.clock.now()
            return self._problem

    async def _try(self) -> str | None:
        situation = self._core.situation
        halted = False
        try:
            await self._core.issuer.canary(
                situation.directory.trust_domain, self._key, situation.lifetimes
            )
        except IssuanceHaltedError:
            halted = True
        except CaError as error:
            _log.error("canary failed", extra=fields(error=str(error)))
            return str(error)
        self._is_halted = halted
        self._core.metrics.halted.set(halted)
        return None

    def _ended(self) -> str | None:
        """Whether everybody who connects is turned away by the CA's own certificate."""
        own = self._core.schedule.own_use
        if own.not_after == 0 or self._core.clock.now() < own.not_after:
            return None
        why = f": {own.error}" if own.error else "; start the CA again"
        return f"the CA's own certificate ended at {readable(own.not_after)}{why}"

    async def _healthz(self, _: web.Request) -> web.Response:
        problem = await self.problem()
        if problem:
            return web.json_response({"status": "failing", "problem": problem}, status=503)
        return web.json_response({"status": "halted" if self._is_halted else "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        """The same, with how the clients stand: a probe needs the status, a person the rest."""
        problem = await self.problem()
        detail: dict[str, object] = {"sequence": self._core.trust.current.sequence}
        try:
            outlook = await self._runway.outlook()
            detail |= {
                "runway_seconds": outlook.runway,
                "clients": outlook.clients,
                "clients_behind": outlook.behind,
                "bans": outlook.bans,
            }
        except StoreError as error:
            problem = problem or str(error)
        if problem:
            return web.json_response({"status": "failing", "problem": problem} | detail, status=503)
        return web.json_response({"status": "halted" if self._is_halted else "ready"} | detail)

    async def _metrics(self, _: web.Request) -> web.Response:
        try:
            await self._runway.outlook()
        except StoreError as error:
            # The other series are wanted all the more.
            _log.error("clients not counted", extra=fields(error=str(error)))
        return web.Response(
            body=self._core.metrics.render(), content_type="text/plain", charset="utf-8"
        )


async def listening(app: web.Application, address: str) -> tuple[web.AppRunner, str]:
    """Serve it on ``host:port``: what stops it, and the bound address. Raises ConfigurationError."""
    host, _, port = address.rpartition(":")
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, host.strip("[]"), int(port)).start()
    except (OSError, ValueError) as error:
        await runner.cleanup()
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        said = f"cannot listen on {address}: {why}"
        raise ConfigurationError(not_listening("--health", said)) from error
    bound = runner.addresses[0]
    return runner, f"{bound[0]}:{bound[1]}"

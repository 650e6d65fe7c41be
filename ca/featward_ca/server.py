"""`featward ca serve`: the core behind its sockets, its Listeners and its schedules, from start
to stop.
"""

import asyncio
import contextlib
import json
import logging
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featward.authority.v1 import authority_pb2
from featward.identity.v1 import identity_pb2
from featward.listening import not_listening
from featward.logs import fields
from featward_ca.clock import Clock, SystemClock, report_jumps
from featward_ca.core import Core
from featward_ca.errors import ConfigurationError, StoppingError
from featward_ca.federation.endpoint import BundleEndpoint
from featward_ca.federation.keeper import Keeper
from featward_ca.health import Health
from featward_ca.opening import open_core
from featward_ca.own_identity import OwnIdentity
from featward_ca.service import admin
from featward_ca.service.guard import Guard
from featward_ca.service.identity import IdentityService
from featward_ca.service.peers import ADMIN
from featward_ca.service.sockets import listen
from featward_ca.service.streams import Streams
from featward_ca.settings import ServeSettings
from featward_engine import ConfigError, Credentials, Listener

_log = logging.getLogger(__name__)
_STOP_GRACE = 5.0
_FAR_CONNECTIONS = 8
_IDENTITY = identity_pb2.DESCRIPTOR.services_by_name["IdentityService"]
_AUTHORITY = authority_pb2.DESCRIPTOR.services_by_name["AuthorityService"]


@dataclass(frozen=True)
class Addresses:
    """Where a running CA was bound."""

    listen: str
    workload_socket: str | None
    admin_socket: str
    health: str | None
    bundle: str | None = None


async def serve(
    settings: ServeSettings, started: Callable[[Addresses], None], clock: Clock | None = None
) -> None:
    """Run a CA until SIGTERM or SIGINT. Raises ConfigurationError or StoreError when it can't
    start.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with running(settings, clock or SystemClock(), stop) as addresses:
            started(addresses)
            await stop.wait()
            _log.info("stopping")
    except StoppingError as error:
        _log.info("stopping", extra=fields(reason=str(error)))


@contextlib.asynccontextmanager
async def running(
    settings: ServeSettings, clock: Clock, stop: asyncio.Event | None = None
) -> AsyncIterator[Addresses]:
    """A CA for as long as the context lasts. It may wait for its Environment before; StoppingError is
    raised when `stop` is set meanwhile.
    """
    async with contextlib.AsyncExitStack() as stack:
        opened = await open_core(settings, clock, stop or asyncio.Event(), stack)
        core = opened.core
        streams = Streams()
        guard = Guard(core.situation.directory.trust_domain, clock, core.metrics, core.issuance)
        identity = IdentityService(core, streams)
        looked_after = admin.handlers(core, streams)
        stack.push_async_callback(identity.drain)
        # The operator comes over the network, with an SVID; whoever else does is refused by the
        # table of calls.
        await _serve(
            settings.identity_socket,
            [
                guard.service(_IDENTITY, identity.handlers),
                guard.service(_AUTHORITY, looked_after),
            ],
            stack,
        )
        await _serve(settings.admin_socket, [guard.service(_AUTHORITY, looked_after, ADMIN)], stack)
        credentials = Credentials(core.situation.directory.trust_domain)
        own = OwnIdentity(core, credentials)
        await own.renew()
        core.replicas.serve(lambda: core.schedule.own_use.sequence or 0, lambda: len(streams))
        health = Health(core)
        stack.push_async_callback(health.stop)
        await opened.waiting.stop()
        endpoint = _bundle_endpoint(settings, core)
        addresses = Addresses(
            listen=_listen(settings, core, credentials, settings.listen, stack),
            workload_socket=_listen_unix(settings, core, credentials, stack),
            admin_socket=str(settings.admin_socket),
            health=await health.start(settings.health) if settings.health else None,
            bundle=await _publish(settings, endpoint, stack),
        )
        background = _background(core, own, endpoint) | await opened.background()
        for name, work in background.items():
            task = asyncio.create_task(work, name=name)
            stack.push_async_callback(_cancel, task)
        # Undone first: streams end by themselves no sooner than their clients do.
        stack.callback(identity.close)
        _log.info(
            "serving", extra=fields(environment=settings.environment, listen=addresses.listen)
        )
        yield addresses


async def _serve(socket: Path, services: Sequence[Any], stack: contextlib.AsyncExitStack) -> None:
    server = await listen(socket, services)
    stack.push_async_callback(server.stop, _STOP_GRACE)


def _listen(
    settings: ServeSettings,
    core: Core,
    credentials: Credentials,
    address: str,
    stack: contextlib.AsyncExitStack,
) -> str:
    """One way in for workloads: TLS for ``host:port``, peer credentials for ``unix:``. Raises
    ConfigurationError.
    """
    name = "workload-socket" if address.startswith("unix:") else "listen"
    config = {
        "listen": address,
        "forward": str(settings.identity_socket),
        "client_certificate": "none" if address.startswith("unix:") else "optional",
        "expired_grace_seconds": int(core.situation.lifetimes.reattest_grace),
        "send_root": True,
        # All streams of all callers in a few connections: one of gRPC's costs more than a stream.
        "far_connections": _FAR_CONNECTIONS,
    }
    try:
        listener = Listener(credentials, json.dumps(config).encode())
        bound: str = listener.start()
    except ConfigError as error:
        raise ConfigurationError(not_listening(f"--{name}", str(error))) from error
    core.metrics.connections.add(name, lambda: json.loads(listener.handshakes()))
    # It waits for open calls, and those need this loop to end.
    stack.push_async_callback(asyncio.to_thread, listener.stop, _STOP_GRACE)
    return bound


def _listen_unix(
    settings: ServeSettings,
    core: Core,
    credentials: Credentials,
    stack: contextlib.AsyncExitStack,
) -> str | None:
    if settings.workload_socket is None:
        return None
    return _listen(settings, core, credentials, f"unix:{settings.workload_socket}", stack)


def _bundle_endpoint(settings: ServeSettings, core: Core) -> BundleEndpoint | None:
    if settings.bundle is None:
        return None
    return BundleEndpoint(core, settings.bundle.certificate, settings.bundle.key)


async def _publish(
    settings: ServeSettings, endpoint: BundleEndpoint | None, stack: contextlib.AsyncExitStack
) -> str | None:
    if endpoint is None or settings.bundle is None:
        return None
    stack.push_async_callback(endpoint.stop)
    return await endpoint.start(settings.bundle.listen)


def _background(core: Core, own: OwnIdentity, endpoint: BundleEndpoint | None) -> dict[str, Any]:
    if endpoint is None:
        publishing = {}
    else:
        publishing = {
            "bundle endpoint": endpoint.run(),
            "bundle certificate": endpoint.keep_certificate(),
        }
    return publishing | {
        "federation": Keeper(core).run(),
        "authorities": core.keep_tending(),
        "own identity": own.keep_renewing(),
        "trust": own.keep_trust(),
        "changes": core.follow_changes(),
        "pruning": core.keep_pruning(),
        "replicas": core.replicas.keep_beating(),
        "clock": report_jumps(core.clock),
    }


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

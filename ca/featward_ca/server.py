"""`featward ca serve`: the core behind its sockets, its Listeners and its schedules, from start
to stop.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featward.authority.v1 import authority_pb2
from featward.identity.v1 import identity_pb2
from featward.listening import not_listening
from featward.logs import fields
from featward_ca.attest.cluster_api import ClusterApi
from featward_ca.attest.kubernetes import Operator
from featward_ca.clock import Clock, SystemClock, report_jumps
from featward_ca.core import Core, lock_data
from featward_ca.directory import Directory
from featward_ca.errors import ConfigurationError
from featward_ca.federation.endpoint import BundleEndpoint
from featward_ca.federation.keeper import Keeper
from featward_ca.health import Health
from featward_ca.keys import EncryptedKeyStore, key_encryption_key
from featward_ca.manifests import changes, read_directory
from featward_ca.own_identity import OwnIdentity
from featward_ca.service import admin
from featward_ca.service.guard import Guard
from featward_ca.service.identity import IdentityService
from featward_ca.service.peers import ADMIN
from featward_ca.service.sockets import listen
from featward_ca.service.streams import Streams
from featward_ca.settings import ServeSettings
from featward_ca.situation import Situation
from featward_ca.store import authority_rows
from featward_ca.store.engines import open_store
from featward_ca.store.store import Store
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
    async with running(settings, clock or SystemClock()) as addresses:
        started(addresses)
        await stop.wait()
        _log.info("stopping")


@contextlib.asynccontextmanager
async def running(settings: ServeSettings, clock: Clock) -> AsyncIterator[Addresses]:
    """A CA for as long as the context lasts."""
    async with contextlib.AsyncExitStack() as stack:
        core = await _open_core(settings, clock, stack)
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
        endpoint = _bundle_endpoint(settings, core)
        addresses = Addresses(
            listen=_listen(settings, core, credentials, settings.listen, stack),
            workload_socket=_listen_unix(settings, core, credentials, stack),
            admin_socket=str(settings.admin_socket),
            health=await health.start(settings.health) if settings.health else None,
            bundle=await _publish(settings, endpoint, stack),
        )
        for name, work in _background(settings, core, own, endpoint).items():
            task = asyncio.create_task(work, name=name)
            stack.push_async_callback(_cancel, task)
        # Undone first: streams end by themselves no sooner than their clients do.
        stack.callback(identity.close)
        _log.info(
            "serving", extra=fields(environment=settings.environment, listen=addresses.listen)
        )
        yield addresses


async def _open_core(
    settings: ServeSettings, clock: Clock, stack: contextlib.AsyncExitStack
) -> Core:
    directory = read_directory(settings.manifests, settings.environment)
    situation = Situation.of(directory, unsafe_short_lives=settings.unsafe_short_lives)
    clusters, operator = _clusters(settings, directory)
    stack.callback(os.close, lock_data(settings.data))
    store = open_store(settings.store)
    try:
        kek = await _key_encryption_key(settings, store)
    except BaseException:
        store.close()
        raise
    core = await Core.open(store, EncryptedKeyStore(kek), situation, clock)
    stack.push_async_callback(core.close)
    core.ask_clusters(clusters, operator)
    return core


async def _key_encryption_key(settings: ServeSettings, store: Store) -> bytes:
    first_start = not await store.read(authority_rows.any_made)
    kek, made = key_encryption_key(settings.kek_file, settings.data, first_start=first_start)
    if made:
        _log.warning(
            "key-encryption key made: keep a copy of it away from this machine, without it the CA's"
            " keys are lost",
            extra=fields(file=str(settings.kek_file)),
        )
    return kek


def _clusters(
    settings: ServeSettings, directory: Directory
) -> tuple[list[ClusterApi], Operator | None]:
    """The clusters that can be asked. Raises ConfigurationError for one that the Environment does
    not have, and for a login that can't be used.
    """
    known = {one.name for one in directory.clusters}
    if strangers := sorted(settings.clusters.keys() - known):
        raise ConfigurationError(
            f"the Environment {directory.environment} has no cluster {strangers[0]}; it has:"
            f" {', '.join(sorted(known)) or 'none'}"
        )
    operator = Operator.parse(settings.operator) if settings.operator else None
    if operator and operator.cluster not in settings.clusters:
        raise ConfigurationError(
            f"the operator is of the cluster {operator.cluster}, and there is no --cluster"
            f" {operator.cluster}=KUBECONFIG"
        )
    for name in sorted(known - settings.clusters.keys()):
        _log.warning("cluster can't be asked: no --cluster names it", extra=fields(cluster=name))
    return [ClusterApi(name, where) for name, where in settings.clusters.items()], operator


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


def _background(
    settings: ServeSettings, core: Core, own: OwnIdentity, endpoint: BundleEndpoint | None
) -> dict[str, Any]:
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
        "manifests": _follow_manifests(settings, core),
    }


async def _follow_manifests(settings: ServeSettings, core: Core) -> None:
    """Take over every good edit; a bad one is logged and counted, and the last good one stays."""
    async for _ in changes(settings.manifests):
        try:
            core.take_over(read_directory(settings.manifests, settings.environment))
            _log.info(
                "manifests reloaded",
                extra=fields(workloads=len(core.situation.directory.workloads)),
            )
        except ConfigurationError as error:
            core.refuse(str(error))
            core.metrics.manifest_errors.inc()
            _log.error("edit of the manifests not taken over", extra=fields(error=str(error)))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

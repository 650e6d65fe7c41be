"""From what `featward ca serve` was told to a core that can issue: its manifests, its key, its store.

Apart from `server`, which puts sockets before it. In a cluster all of it may have to be waited for.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featward.logs import fields
from featward_ca.attest.cluster_api import ClusterApi
from featward_ca.attest.kubernetes import Operator
from featward_ca.clock import Clock
from featward_ca.cluster.names import ObjectName
from featward_ca.cluster.waiting import Waiting
from featward_ca.core import Core, lock_data
from featward_ca.directory import Directory
from featward_ca.edits import ClusterManifests, FolderManifests, Manifests
from featward_ca.errors import ConfigurationError
from featward_ca.keys import EncryptedKeyStore, key_encryption_key
from featward_ca.settings import ServeSettings
from featward_ca.situation import Situation
from featward_ca.store import authority_rows
from featward_ca.store.engines import open_store
from featward_ca.store.store import Store

if TYPE_CHECKING:
    # The package `kubernetes` comes with it, which a CA that is told of no cluster does without.
    from featward_ca.cluster.gateways import Gateways

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """A core, and what goes on beside it."""

    core: Core
    # Health until the CA has its own.
    waiting: Waiting
    _manifests: Manifests
    _clusters: "Gateways | None"
    _bundle: ObjectName | None

    async def background(self) -> dict[str, Coroutine[Any, Any, None]]:
        """By name, until cancelled."""
        work: dict[str, Coroutine[Any, Any, None]] = {
            "manifests": self._manifests.follow(self.core)
        }
        if self._bundle and self._clusters:
            from featward_ca.cluster.bundle_map import BundleMap

            gateway = await self._clusters.of(self._bundle.cluster, "--publish-bundle")
            work["bundle"] = BundleMap(gateway, self._bundle, self.core).run()
        return work


async def open_core(
    settings: ServeSettings, clock: Clock, stop: asyncio.Event, stack: contextlib.AsyncExitStack
) -> Opened:
    """The core, closed with the stack. Raises ConfigurationError and StoreError, and StoppingError when `stop`
    is set while it waits for its Environment.
    """
    waiting = Waiting()
    clusters = await _clusters_of(settings, stack)
    manifests = await _manifests(settings, clusters, waiting, stop, stack)
    core = await _core(settings, clock, stack, manifests, clusters, waiting)
    return Opened(core, waiting, manifests, clusters, settings.publish_bundle)


async def _clusters_of(
    settings: ServeSettings, stack: contextlib.AsyncExitStack
) -> "Gateways | None":
    """What asks the clusters for more than tokens; None where nothing does, and so needs no package for it."""
    if not (settings.from_cluster or settings.publish_bundle or settings.kek_secret):
        return None
    from featward_ca.cluster.gateways import Gateways

    clusters = Gateways(settings.clusters)
    stack.push_async_callback(clusters.close)
    # Before anything is made: a name that is wrong is wrong from the start.
    if settings.publish_bundle:
        await clusters.of(settings.publish_bundle.cluster, "--publish-bundle")
    if settings.kek_secret:
        await clusters.of(settings.kek_secret.cluster, "--kek-secret")
    return clusters


async def _manifests(
    settings: ServeSettings,
    clusters: "Gateways | None",
    waiting: Waiting,
    stop: asyncio.Event,
    stack: contextlib.AsyncExitStack,
) -> Manifests:
    if settings.manifests is not None:
        return FolderManifests(settings.manifests, settings.environment)
    if settings.from_cluster is None or clusters is None:
        raise ConfigurationError(
            "nobody says where the manifests are: give --manifests DIR or --from-cluster NAME"
        )
    from featward_ca.cluster.source import ClusterSource

    gateway = await clusters.of(settings.from_cluster, "--from-cluster")
    following = ClusterSource.following(gateway, settings.from_cluster, settings.environment)
    source = await stack.enter_async_context(following)
    stack.push_async_callback(waiting.stop)
    if settings.health:
        await waiting.start(settings.health)
    return ClusterManifests(source, stop)


async def _core(
    settings: ServeSettings,
    clock: Clock,
    stack: contextlib.AsyncExitStack,
    manifests: Manifests,
    clusters: "Gateways | None",
    waiting: Waiting,
) -> Core:
    def usable(directory: Directory) -> Situation:
        _refuse_strangers(settings, directory)
        return Situation.of(directory, unsafe_short_lives=settings.unsafe_short_lives)

    directory = await manifests.first(usable, waiting.say)
    situation = usable(directory)
    logins, operator = _clusters(settings, directory)
    waiting.say("starting")
    stack.callback(os.close, lock_data(settings.data))
    store = open_store(settings.store)
    try:
        kek = await _key_encryption_key(settings, store, clusters)
    except BaseException:
        store.close()
        raise
    core = await Core.open(store, EncryptedKeyStore(kek), situation, clock)
    stack.push_async_callback(core.close)
    core.ask_clusters(logins, operator)
    return core


async def _key_encryption_key(
    settings: ServeSettings, store: Store, clusters: "Gateways | None"
) -> bytes:
    first_start = not await store.read(authority_rows.any_made)
    secret = settings.kek_secret
    if secret and clusters:
        from featward_ca.cluster import kek_secret

        gateway = await clusters.of(secret.cluster, "--kek-secret")
        kek, made = await kek_secret.key_encryption_key(gateway, secret, first_start=first_start)
    else:
        kek, made = key_encryption_key(settings.kek_file, settings.data, first_start=first_start)
    if made:
        _log.warning(
            "key-encryption key made: keep a copy of it away from this machine, without it the CA's"
            " keys are lost",
            extra=fields(place=str(secret or settings.kek_file)),
        )
    return kek


def _refuse_strangers(settings: ServeSettings, directory: Directory) -> None:
    """Raises ConfigurationError for a cluster that the Environment does not have."""
    known = {one.name for one in directory.clusters}
    if strangers := sorted(settings.clusters.keys() - known):
        raise ConfigurationError(
            f"the Environment {directory.environment} has no cluster {strangers[0]}; it has:"
            f" {', '.join(sorted(known)) or 'none'}"
        )


def _clusters(
    settings: ServeSettings, directory: Directory
) -> tuple[list[ClusterApi], Operator | None]:
    """The clusters that can be asked. Raises ConfigurationError for a login that can't be used."""
    known = {one.name for one in directory.clusters}
    operator = Operator.parse(settings.operator) if settings.operator else None
    if operator and operator.cluster not in settings.clusters:
        raise ConfigurationError(
            f"the operator is of the cluster {operator.cluster}, and there is no --cluster"
            f" {operator.cluster}=KUBECONFIG"
        )
    for name in sorted(known - settings.clusters.keys()):
        _log.warning("cluster can't be asked: no --cluster names it", extra=fields(cluster=name))
    return [ClusterApi(name, where) for name, where in settings.clusters.items()], operator

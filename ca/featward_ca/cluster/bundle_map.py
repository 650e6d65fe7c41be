"""Publishes in a ConfigMap how the environment's CA is known at first contact, for whoever hands it on to pods.

A new root is in it from *prepare* on, long before anything is signed by it: the kubelet brings a change to pods
within about a minute. What is written is what this replica has just learned, so of two that write at one moment
the slower one follows with the same.
"""

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Sequence
from typing import Any, NoReturn

from featward.kubernetes.backoff import Backoff
from featward.kubernetes.errors import ApiError
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import CONFIG_MAPS
from featward.logs import fields
from featward_ca.cluster.kek_secret import MANAGER
from featward_ca.cluster.names import ObjectName
from featward_ca.core import Core

_log = logging.getLogger(__name__)


class BundleMap:
    """One ConfigMap; `run` keeps it."""

    def __init__(self, gateway: Gateway, name: ObjectName, core: Core) -> None:
        self._gateway = gateway
        self._name = name
        self._core = core

    async def run(self) -> NoReturn:
        """Write it now and after each change of the roots, until cancelled. Whatever fails is tried again."""
        written: tuple[bytes, ...] = ()
        backoff = Backoff()
        while True:
            trust = self._core.trust.current
            if trust.roots == written:
                await self._core.trust.after(trust.sequence)
                continue
            try:
                await self._write(trust.roots)
            except ApiError as error:
                told = fields(config_map=str(self._name), error=str(error))
                _log.error("bundle not published", extra=told)
                await asyncio.sleep(backoff.next(error.retry_after))
                continue
            backoff.reset()
            written = trust.roots
            told = fields(config_map=str(self._name), roots=len(trust.roots))
            _log.info("bundle published", extra=told)

    async def _write(self, roots: Sequence[bytes]) -> None:
        directory = self._core.situation.directory
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self._name.name, "namespace": self._name.namespace},
            "data": contents(directory.environment, directory.trust_domain, roots),
        }
        await self._gateway.apply(CONFIG_MAPS, body, manager=MANAGER)


def contents(environment: str, trust_domain: str, roots: Sequence[bytes]) -> dict[str, str]:
    """What the ConfigMap holds; ``root.sha256`` has a line for each root, in hex."""
    return {
        "environment": environment,
        "trustDomain": trust_domain,
        "root.sha256": "".join(f"{hashlib.sha256(root).hexdigest()}\n" for root in roots),
        "bundle.pem": "".join(map(ssl.DER_cert_to_PEM_cert, roots)),
    }

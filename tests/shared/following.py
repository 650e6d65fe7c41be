"""A reflector that runs beside a test, and the ConfigMaps that it follows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from featward.kubernetes.backoff import Backoff
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.reflector import Reflector
from featward.kubernetes.resource import CONFIG_MAPS, Key
from kubernetes_kit import Kubernetes

__all__ = ["Followed", "following", "is_so", "write"]

Changes = list[tuple[str, str | None, str | None]]


class Followed:
    """The reflector, what it told of, and why it listed anew."""

    def __init__(self, gateway: Gateway, namespace: str, **given: Any) -> None:
        self.changes: Changes = []
        self.causes: list[str] = []
        # The cluster puts one of its own into each namespace.
        chosen: dict[str, Any] = {"selector": "followed=yes", "backoff": Backoff(0.05, 3.0)}
        self.reflector: Reflector[str] = Reflector(
            gateway,
            CONFIG_MAPS,
            lambda raw: str(raw["data"]["value"]),
            self._on,
            namespace=namespace,
            relisted=self.causes.append,
            **(chosen | given),
        )

    def _on(self, key: Key, old: str | None, new: str | None) -> None:
        self.changes.append((key[1], old, new))

    @property
    def values(self) -> dict[str, str]:
        """What is kept, by name."""
        return {name: value for (_, name), value in self.reflector.store.items()}


@asynccontextmanager
async def following(gateway: Gateway, namespace: str, **given: Any) -> AsyncIterator[Followed]:
    """It has listed; it ends with the context, and anything that ends it before fails the test."""
    followed = Followed(gateway, namespace, **given)
    task = asyncio.create_task(followed.reflector.run())
    try:
        async with asyncio.timeout(40):
            await followed.reflector.synced.wait()
        yield followed
    finally:
        ended = task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert not ended, "the reflector ended by itself"


def write(kubernetes: Kubernetes, namespace: str, name: str, value: str) -> None:
    """Make a ConfigMap, or change it."""
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"followed": "yes"}},
        "data": {"value": value},
    }
    path = f"{CONFIG_MAPS.path(namespace, name)}?fieldManager=test"
    kubernetes.call("PATCH", path, body, "apply-patch+yaml")


async def is_so(condition: Any, seconds: float = 40.0) -> None:
    """Wait until it is."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  what is waited for sets no event
            await asyncio.sleep(0.02)

"""The sidecars of one set, as far as the operator sees them: an identity each, and a policy stream."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from featward.client.identity import WorkloadIdentity
from featward.identity.spiffe import SpiffeId
from featward_engine import Credentials
from fleet.world import DOMAIN, SERVER, UNIT
from kubernetes_kit import Kubernetes, Pod
from policy_service_kit import Sidecar, sidecar

__all__ = ["Sidecars", "sidecars"]

_AUDIENCE = f"featward.dev/ca/{DOMAIN}"
# Identities are renewed while the bench runs; it asks for all at once only here.
_IDENTITY_SECONDS = 60.0


class Sidecars:
    """All of one server's pods."""

    def __init__(self, streams: list[Sidecar]) -> None:
        self._streams = streams

    async def newest(self, began: float) -> list[float]:
        """Wait until each has one policy more, and says so; the seconds from `began` to each."""

        async def one(stream: Sidecar) -> float:
            await stream.until(lambda it: len(it.policies) > it.taken, 60.0)
            taken = time.monotonic() - began
            await stream.policy()
            return taken

        return list(await asyncio.gather(*(one(stream) for stream in self._streams)))


@asynccontextmanager
async def sidecars(
    kubernetes: Kubernetes, pods: list[Pod], ca: str, root: str, operator: str, folder: Path
) -> AsyncIterator[Sidecars]:
    """Attested by their pods' tokens, each with its first policy."""
    async with AsyncExitStack() as stack:
        streams = []
        for number, pod in enumerate(pods):
            os.mkdir(folder / f"i{number}", mode=0o700)
            credentials = await _identified(stack, kubernetes, pod, ca, root, folder / f"i{number}")
            socket = folder / f"s{number}.sock"
            stream = await stack.enter_async_context(sidecar(operator, DOMAIN, credentials, socket))
            await stream.hello()
            streams.append(stream)
        found = Sidecars(streams)
        await found.newest(time.monotonic())
        yield found


async def _identified(
    stack: AsyncExitStack, kubernetes: Kubernetes, pod: Pod, ca: str, root: str, folder: Path
) -> Credentials:
    credentials = Credentials(DOMAIN)
    token = await asyncio.to_thread(kubernetes.token, pod, _AUDIENCE)
    wanted = SpiffeId.service_account(DOMAIN, UNIT, pod.namespace, SERVER)
    identity = WorkloadIdentity(
        credentials, ca, DOMAIN, lambda: token, lambda: [root], folder, expected=str(wanted)
    )
    running = asyncio.create_task(identity.run())
    stack.push_async_callback(identity.close)
    stack.callback(running.cancel)
    async with asyncio.timeout(_IDENTITY_SECONDS):
        await identity.ready.wait()
    return credentials

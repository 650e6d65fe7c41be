"""Pods that are made at fixed times, whatever becomes of those before, and what became of each."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from featward.kubernetes.errors import ApiError
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import PODS

__all__ = ["Churn", "churn"]


@dataclass(frozen=True)
class Churn:
    """All of it: ``late`` is by how many seconds the last pod was asked for too late, ``taken`` how long each
    that was made took, in order of that."""

    refused: tuple[str, ...]
    bare: tuple[str, ...]
    """Those that came up without a sidecar."""
    taken: tuple[float, ...]
    late: float

    def percentile(self, share: float) -> float:
        """In seconds."""
        return self.taken[min(len(self.taken) - 1, int(len(self.taken) * share))]


async def churn(
    gateway: Gateway, namespace: str, pod: Mapping[str, Any], rate: float, seconds: float
) -> Churn:
    """Make so many a second for so long."""
    count, began, late = int(rate * seconds), time.monotonic(), 0.0
    jobs = []
    for number in range(count):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        late = time.monotonic() - due
        jobs.append(asyncio.create_task(_made(gateway, namespace, pod)))
    found = await asyncio.gather(*jobs)
    return Churn(
        tuple(one for one in found if isinstance(one, str)),
        tuple(name for one in found if not isinstance(one, str) for name in one[1]),
        tuple(sorted(one[0] for one in found if not isinstance(one, str))),
        late,
    )


async def _made(
    gateway: Gateway, namespace: str, pod: Mapping[str, Any]
) -> str | tuple[float, list[str]]:
    """Why it was refused, or the seconds that it took and its name where it is bare."""
    began = time.monotonic()
    try:
        made = await gateway.ask("POST", PODS.path(namespace), dict(pod), seconds=60.0)
    except ApiError as error:
        return str(error)
    bare = [] if made["spec"].get("initContainers") else [made["metadata"]["name"]]
    return time.monotonic() - began, bare

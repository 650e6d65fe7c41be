"""Pods that are made at fixed times, and how long the operator took for each: by its own histogram."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from featward.kubernetes.errors import ApiError
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import PODS
from fleet.world import SERVER, team_of
from operator_process import Replica

__all__ = ["Admissions", "admit"]

_BUCKET = "controller_runtime_webhook_latency_seconds_bucket"
Buckets = dict[float, float]


@dataclass(frozen=True)
class Admissions:
    """What became of them. Seconds; a percentile is the bound of the bucket that it is in."""

    made: int
    failed: int
    p50: float
    p99: float
    cpu: float
    created_p99: float
    """As whoever made the pod has seen it, the API server included."""


async def admit(gateway: Gateway, replica: Replica, rate: float, seconds: float) -> Admissions:
    """An open loop: a slow answer delays no later pod."""
    before, cpu = _buckets(await replica.series()), replica.cpu_seconds()
    count, began = int(rate * seconds), time.monotonic()
    jobs = []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        jobs.append(asyncio.create_task(_create(gateway, number)))
    taken = [one for one in await asyncio.gather(*jobs) if one is not None]
    after = _buckets(await replica.series())
    spent = {bound: after[bound] - before.get(bound, 0.0) for bound in after}
    return Admissions(
        len(taken),
        count - len(taken),
        _percentile(spent, 0.5),
        _percentile(spent, 0.99),
        (replica.cpu_seconds() - cpu) / count,
        sorted(taken)[int(len(taken) * 0.99)] if taken else 0.0,
    )


async def _create(gateway: Gateway, number: int) -> float | None:
    """Seconds; None where it was refused, or came without a sidecar."""
    body = {
        "metadata": {"generateName": "new-", "labels": {"featward.dev/inject": "server"}},
        "spec": {
            "serviceAccountName": SERVER,
            "containers": [{"name": "app", "image": "localhost/feast:1"}],
        },
    }
    began = time.monotonic()
    try:
        made: dict[str, Any] = await gateway.ask("POST", PODS.path(team_of(number)), body)
    except ApiError:
        return None
    taken = time.monotonic() - began
    return taken if made["spec"].get("initContainers") else None


def _buckets(series: dict[Any, float]) -> Buckets:
    found: Buckets = {}
    for (name, labels), value in series.items():
        if name == _BUCKET:
            bound = float(dict(labels)["le"])
            found[bound] = found.get(bound, 0.0) + value
    return found


def _percentile(buckets: Buckets, share: float) -> float:
    total = max(buckets.values(), default=0.0)
    return next(
        (bound for bound in sorted(buckets) if buckets[bound] >= share * total), float("inf")
    )

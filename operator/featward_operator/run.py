"""The operator's process: what every replica does, what the leader does besides, and how both end.

Parts know nothing of one another: each brings a coroutine. A part that ends takes the process along, for a
restarted process is whole and a mended one is not; the leader's parts alone are begun again, when another
replica has led meanwhile.
"""

import asyncio
import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeAlias

from featward.kubernetes.elector import Elector, Lost
from featward.kubernetes.events import Events
from featward.kubernetes.gateway import IN_CLUSTER, Gateway
from featward.logs import fields
from featward.manifests.text import seconds
from featward_operator.errors import OperatorError
from featward_operator.health import Gate, Health
from featward_operator.metrics import Metrics
from featward_operator.settings import Settings

__all__ = ["LEASE", "Operator", "Part", "run"]

LEASE = "featward-operator"
CONTROLLER = "featward.dev/operator"

_log = logging.getLogger(__name__)
# So long a replica that is not ready any more still answers: what sends to it learns of it in 1 to 3 s.
_DRAIN_SECONDS = 5.0


@dataclass(frozen=True)
class Operator:
    """What every part is given."""

    settings: Settings
    instance: str
    """The pod's name."""
    gateway: Gateway
    metrics: Metrics
    health: Health
    events: Events


Task: TypeAlias = Coroutine[Any, Any, None]


@dataclass(frozen=True)
class Part:
    """Something that the operator does. Both run until cancelled."""

    name: str
    serve: Callable[[Operator, Gate], Task] | None = None
    """On every replica; opens the gate when it is ready."""
    lead: Callable[[Operator, Lost], Task] | None = None
    """On the leader alone, anew each time that this replica leads. Asks ``lost.is_set()`` before it writes."""


async def run(
    settings: Settings, kubeconfig: str | None, parts_of: Callable[[Operator], Sequence[Part]]
) -> None:
    """Run until SIGTERM or SIGINT. Raises OperatorError, and LoginError when there is no way in.

    ``kubeconfig``: None for the pod's own account. ``parts_of``: makes this replica's parts, in the order of
    their start.
    """
    instance = os.environ.get("POD_NAME") or socket.gethostname()
    metrics = Metrics()
    health = Health(metrics)
    agent = f"featward-operator/{version('featward')}"
    where = kubeconfig or IN_CLUSTER
    async with await Gateway.open(where, agent=agent, observe=metrics.observe_request) as gateway:
        events = Events(gateway, controller=CONTROLLER, instance=instance)
        operator = Operator(settings, instance, gateway, metrics, health, events)
        await health.start(settings.ports.health)
        try:
            await _work(operator, parts_of(operator))
        finally:
            await health.stop()


async def _work(operator: Operator, parts: Sequence[Part]) -> None:
    stopping = _told_to_stop()
    tasks = [
        asyncio.create_task(part.serve(operator, operator.health.gate(part.name)), name=part.name)
        for part in parts
        if part.serve
    ]
    leading = asyncio.create_task(_lead(operator, parts), name="leading")
    stop = asyncio.create_task(stopping.wait())
    _log.info("operator started", extra=fields(instance=operator.instance, parts=len(parts)))
    try:
        await asyncio.wait({stop, leading, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        _raise_ended([leading, *tasks])
        _log.info("operator stops", extra=fields(seconds=_DRAIN_SECONDS))
        operator.health.drain()
        # The Lease first, so that the next leader need not wait for us.
        await _cancel([leading])
        await asyncio.sleep(_DRAIN_SECONDS)
    finally:
        await _cancel([stop, leading, *tasks])


def _told_to_stop() -> asyncio.Event:
    stopping = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, stopping.set)
    return stopping


async def _lead(operator: Operator, parts: Sequence[Part]) -> None:
    """Lead whenever the Lease is ours."""
    lease = operator.settings.lease
    elector = Elector(
        operator.gateway,
        operator.settings.namespace,
        LEASE,
        # A pod that is started again has the same name, and is another candidate.
        f"{operator.instance}_{secrets.token_hex(8)}",
        lease=seconds(lease.duration),
        renew=seconds(lease.renew),
        retry=seconds(lease.retry),
    )
    leads = operator.metrics.leads.labels(LEASE)
    leads.set(0)
    # What is left of the Lease when the lead is lost, less a second for the clocks of two machines.
    grace = seconds(lease.duration) - seconds(lease.renew) - 1.0
    while True:
        async with elector.leading() as lost:
            leads.set(1)
            try:
                await _lead_once(operator, parts, lost, max(1.0, grace))
            finally:
                leads.set(0)


async def _lead_once(operator: Operator, parts: Sequence[Part], lost: Lost, grace: float) -> None:
    """All that the leader does, until the lead is lost."""
    tasks = [
        asyncio.create_task(part.lead(operator, lost), name=part.name)
        for part in parts
        if part.lead
    ]
    losing = asyncio.create_task(lost.wait())
    try:
        await asyncio.wait({losing, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        # Who waits for the loss of the lead as well may be the first to see it.
        if not lost.is_set():
            _raise_ended(tasks)
    finally:
        losing.cancel()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        if late := [task.get_name() for task in tasks if not task.done()]:
            # Others lead from now on: nothing of ours may write any more, whatever it is doing.
            _log.critical("still leading though the lead is lost", extra=fields(parts=late))
            os._exit(1)


def _raise_ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Raise for a task that has ended by itself, which none does while all is well."""
    for task in tasks:
        if task.done() and not task.cancelled():
            error = task.exception()
            if isinstance(error, OperatorError):
                raise error
            said = f"{type(error).__name__}: {error}" if error else "it returned"
            raise OperatorError(f"the part {task.get_name()} has ended: {said}") from error


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task

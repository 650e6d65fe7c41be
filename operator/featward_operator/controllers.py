"""Carries out what reconcilers decide. They are pure: a key and what is known in, a `Result` out.

So everything that a reconciler may want of the world is written down here, and each failure is treated in one
place: the API server's no is kept apart from its absence, and neither ends the operator.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from featward.kubernetes.elector import Lost
from featward.kubernetes.errors import ApiError
from featward.kubernetes.events import Events, EventType, ObjectRef
from featward.kubernetes.gateway import MERGE_PATCH, Gateway
from featward.kubernetes.queue import LONGEST_SECONDS, WorkQueue
from featward.kubernetes.resource import Key, Resource
from featward.logs import fields
from featward_operator.metrics import Metrics

__all__ = ["Action", "Apply", "Controller", "Delete", "Merge", "Notice", "Reconcile", "Result"]

MANAGER = "featward-operator"
STATUS_MANAGER = "featward-operator-status"

W = TypeVar("W")
W_contra = TypeVar("W_contra", contravariant=True)

_log = logging.getLogger(__name__)
# No date is slept for in one piece: a clock that was set, or a machine that was suspended, is noticed by then.
_LONGEST_SLEEP = 600.0


class Action(Protocol):
    """Something to be done at the API server; doing it twice comes to the same."""

    async def carry_out(self, gateway: Gateway) -> None:
        """Raises ApiError."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of the fields that one manager owns of an object."""

    resource: Resource
    body: dict[str, Any]
    manager: str = MANAGER
    subresource: str = ""

    async def carry_out(self, gateway: Gateway) -> None:
        await gateway.apply(
            self.resource, self.body, manager=self.manager, subresource=self.subresource
        )


@dataclass(frozen=True, slots=True)
class Merge:
    """JSON merge patch of an object that is there: lists become as said, without what others have added."""

    resource: Resource
    namespace: str
    name: str
    body: dict[str, Any]

    async def carry_out(self, gateway: Gateway) -> None:
        path = self.resource.path(self.namespace, self.name)
        query = [("fieldManager", MANAGER)]
        try:
            await gateway.ask("PATCH", path, self.body, query=query, content=MERGE_PATCH)
        except ApiError as error:
            if error.status != 404:  # it is gone, and what is applied next is made anew
                raise


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one object, by its uid: another of its name is left alone."""

    resource: Resource
    namespace: str
    name: str
    uid: str

    async def carry_out(self, gateway: Gateway) -> None:
        path = self.resource.path(self.namespace, self.name)
        body = {"preconditions": {"uid": self.uid}, "propagationPolicy": "Background"}
        try:
            await gateway.ask("DELETE", path, body)
        except ApiError as error:
            if error.status not in (404, 409):  # it is gone, or another one is there
                raise


@dataclass(frozen=True, slots=True)
class Notice:
    """An Event, written after everything else has worked."""

    about: ObjectRef
    reason: str
    note: str
    kind: EventType = "Normal"


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconciler wants done, in this order."""

    actions: tuple[Action, ...] = ()
    status: Mapping[str, Any] | None = None
    """The whole status that we own of the object; None: it is as it should be."""
    events: tuple[Notice, ...] = ()
    requeue_at: float | None = None
    """When to look again though nothing changed, in Unix seconds."""


class Reconcile(Protocol[W_contra]):
    """Pure: no I/O, no clock, no memory. Unix seconds come in as ``now``."""

    def __call__(self, key: Key, world: W_contra, now: float, /) -> Result: ...


Beat: TypeAlias = Callable[[], float]


class Controller(Generic[W]):
    """One kind: a queue of keys, workers, and what to do about failures. Runs on the leader alone."""

    def __init__(
        self,
        resource: Resource,
        kind: str,
        reconcile: Reconcile[W],
        world: W,
        *,
        gateway: Gateway,
        events: Events,
        metrics: Metrics,
        workers: int = 1,
        queue: WorkQueue[Key] | None = None,
        now: Beat = time.time,
    ) -> None:
        """``workers``: keys at once; one worker waits for the server much and computes little, so few do."""
        self.name = kind.lower()
        self._resource = resource
        self._kind = kind
        self._reconcile = reconcile
        self._world = world
        self._gateway = gateway
        self._events = events
        self._metrics = metrics
        self._workers = workers
        self._now = now
        # By what it is: an empty queue counts as false.
        made = WorkQueue[Key](watcher=metrics.queue(self.name)) if queue is None else queue
        self.queue = made
        metrics.watch_queue(self.name, self.queue)
        metrics.workers.labels(self.name).set(workers)

    async def run(self, lost: Lost) -> None:
        """Work until cancelled; nothing more is done once the lead is lost."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._work(lost))
        finally:
            self.queue.close()

    async def _work(self, lost: Lost) -> None:
        while not lost.is_set():
            key = await self.queue.get()
            try:
                with self._metrics.active_workers.labels(self.name).track_inprogress():
                    await self._look_at(key, lost)
            finally:
                self.queue.done(key)
            # A thousand keys about which there is nothing to do never wait for anything.
            await asyncio.sleep(0)

    async def _look_at(self, key: Key, lost: Lost) -> None:
        began = time.monotonic()
        try:
            result = self._reconcile(key, self._world, self._now())
            await self._carry_out(key, result, lost)
        except ApiError as error:
            self._failed(key, error)
        except Exception:  # one object must not keep all others from being looked at
            _log.exception("reconciler failed", extra=self._fields(key))
            self._metrics.panics.labels(self.name).inc()
            self._retry(key, None)
        else:
            self._went_well(key, result)
        finally:
            self._metrics.seconds.labels(self.name).observe(time.monotonic() - began)

    async def _carry_out(self, key: Key, result: Result, lost: Lost) -> None:
        for action in result.actions:
            if lost.is_set():
                return
            await action.carry_out(self._gateway)
        if result.status is not None and not lost.is_set():
            await self._write_status(key, result.status)
        for one in result.events:
            await self._events.record(one.about, one.reason, one.note, kind=one.kind)

    async def _write_status(self, key: Key, status: Mapping[str, Any]) -> None:
        namespace, name = key
        body = {
            "apiVersion": f"{self._resource.group}/{self._resource.version}".lstrip("/"),
            "kind": self._kind,
            "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
            "status": dict(status),
        }
        try:
            await Apply(self._resource, body, STATUS_MANAGER, "status").carry_out(self._gateway)
        except ApiError as error:
            if error.status != 404:  # the object has gone meanwhile, and takes its status along
                raise

    def _failed(self, key: Key, error: ApiError) -> None:
        told = self._fields(key, why=str(error))
        if error.is_ours:
            # Its own change brings it back sooner; what else may cure it, such as a role, nobody tells us.
            _log.error("refused by the API server", extra=told)
            self._metrics.terminal_errors.labels(self.name).inc()
            self._metrics.errors.labels(self.name).inc()
            self._metrics.reconciles.labels(self.name, "terminal_error").inc()
            self.queue.add_after(key, LONGEST_SECONDS)
        else:
            _log.warning("tried again later", extra=told)
            self._retry(key, error.retry_after)

    def _retry(self, key: Key, asked: float | None) -> None:
        self._metrics.errors.labels(self.name).inc()
        self._metrics.reconciles.labels(self.name, "error").inc()
        self.queue.add_limited(key, asked)

    def _went_well(self, key: Key, result: Result) -> None:
        self.queue.forget(key)
        again = result.requeue_at
        self._metrics.reconciles.labels(self.name, "requeue_after" if again else "success").inc()
        if again is not None:
            # At least a second: a date that is over would be looked at without end.
            self.queue.add_after(key, min(max(1.0, again - self._now()), _LONGEST_SLEEP))

    def _fields(self, key: Key, **more: object) -> dict[str, Any]:
        return fields(kind=self._kind, namespace=key[0] or None, name=key[1], **more)

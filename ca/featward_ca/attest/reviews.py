"""Asks one cluster about tokens, and bounds what strangers can make us ask.

A bogus token costs one review: what was refused is remembered for a moment, and who asks about the
same token meanwhile waits for the one answer. What was accepted is never remembered, because a pod
may be gone a second later.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, TypeVar

from featward.logs import fields
from featward_ca.attest.cluster_api import ClusterApi
from featward_ca.attest.tokens import CANNOT_JUDGE, shown
from featward_ca.errors import NotAttestedError, TooManyRequestsError
from featward_ca.metrics import Metrics

_log = logging.getLogger(__name__)
AT_ONCE = 8
# Beside those under way so many wait; who comes then is sent away at once.
LONGEST_QUEUE = 1024
# To wait for a turn and for the answer.
DEADLINE = 10.0
# The API server itself remembers what it accepted for as long.
REMEMBERED_SECONDS = 10.0
REMEMBERED = 4096
_POD = "authentication.kubernetes.io/pod-"
_USER = ["system", "serviceaccount"]
_Key = TypeVar("_Key")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ServiceAccount:
    """Whose token it is, in the API server's words."""

    namespace: str
    name: str
    pod: str
    pod_uid: str


class TokenReviewer:
    """Reviews for one cluster."""

    def __init__(self, api: ClusterApi, metrics: Metrics) -> None:
        self._api = api
        self._metrics = metrics
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._under_way: dict[bytes, asyncio.Task[ServiceAccount]] = {}
        self._refused = _Recent[bytes, str]()
        self._labels = _Recent[str, dict[str, str] | None]()

    async def review(self, token: str, audience: str) -> ServiceAccount:
        """Whose token this is. Raises NotAttestedError; LaterError when the cluster can't be asked
        in time.
        """
        digest = sha256(f"{audience}\0{token}".encode()).digest()
        if (known := self._refused.get(digest)) is not None:
            raise NotAttestedError(f"{known[0]} (remembered)")
        task = self._under_way.get(digest)
        if task is None:
            task = asyncio.create_task(self._review(token, audience, digest))
            task.add_done_callback(_heard)
            self._under_way[digest] = task
        # Others may wait for it too.
        return await asyncio.shield(task)

    async def labels(self, namespace: str) -> dict[str, str] | None:
        """The labels of a namespace, a few seconds old at most; None: it is gone. Raises
        LaterError.
        """
        if (known := self._labels.get(namespace)) is not None:
            return known[0]
        labels = await self._in_turn(self._api.labels(namespace))
        self._labels.put(namespace, labels)
        return labels

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._api.close()

    async def _review(self, token: str, audience: str, digest: bytes) -> ServiceAccount:
        result = "failed"
        try:
            status = await self._in_turn(self._api.review(token, audience))
            result = "refused"
            account = account_of(status, audience)
            result = "accepted"
            return account
        except NotAttestedError as error:
            self._refused.put(digest, error.reason)
            raise
        finally:
            self._metrics.reviews.labels(self._api.name, result).inc()
            del self._under_way[digest]

    async def _in_turn(self, asking: Coroutine[Any, Any, _Result]) -> _Result:
        """The answer, when its turn has come. Raises LaterError."""
        if self._waiting >= AT_ONCE + LONGEST_QUEUE:
            asking.close()
            raise TooManyRequestsError("too many tokens are being reviewed; try again", DEADLINE)
        self._waiting += 1
        try:
            async with asyncio.timeout(DEADLINE):
                async with self._turns:
                    return await asking
        except TimeoutError:
            _log.warning("token not reviewed in time", extra=fields(cluster=self._api.name))
            raise TooManyRequestsError(CANNOT_JUDGE, DEADLINE) from None
        finally:
            self._waiting -= 1
            asking.close()


class _Recent(Generic[_Key, _Result]):
    """What was learnt in the last seconds, in bounded memory: the oldest is forgotten first."""

    def __init__(self) -> None:
        self._of: OrderedDict[_Key, tuple[float, _Result]] = OrderedDict()

    def get(self, key: _Key) -> tuple[_Result] | None:
        """In a tuple, since what was learnt may be None."""
        found = self._of.get(key)
        if found is None or time.monotonic() - found[0] > REMEMBERED_SECONDS:
            return None
        return (found[1],)

    def put(self, key: _Key, value: _Result) -> None:
        self._of.pop(key, None)
        self._of[key] = (time.monotonic(), value)
        if len(self._of) > REMEMBERED:
            self._of.popitem(last=False)


def _heard(task: asyncio.Task[ServiceAccount]) -> None:
    """Its error was looked at, though whoever waited for it may have gone."""
    if not task.cancelled():
        task.exception()


def account_of(status: dict[str, Any], audience: str) -> ServiceAccount:
    """Whose token it is, by the status of a TokenReview. Raises NotAttestedError."""
    if status.get("authenticated") is not True:
        raise NotAttestedError(f"the cluster refused the token: {shown(status.get('error', ''))}")
    if audience not in (status.get("audiences") or []):
        # An API server that knows no audiences says so by leaving them out.
        raise NotAttestedError("the cluster did not judge for whom the token is made")
    user = status.get("user") or {}
    name = str(user.get("username", ""))
    parts = name.split(":")
    if parts[:2] != _USER or len(parts) != 4:
        raise NotAttestedError(f"the token is of {shown(name)}, which is no service account")
    extra = user.get("extra") or {}
    pod, uid = (_one(extra, f"{_POD}{what}") for what in ("name", "uid"))
    if not pod or not uid:
        raise NotAttestedError(
            f"the token of {shown(name)} is bound to no pod: it would outlive the pod that it was"
            " taken from; use a projected token"
        )
    return ServiceAccount(parts[2], parts[3], pod, uid)


def _one(extra: dict[str, Any], name: str) -> str:
    values = extra.get(name)
    one = isinstance(values, list) and len(values) == 1 and values[0]
    return one if isinstance(one, str) else ""

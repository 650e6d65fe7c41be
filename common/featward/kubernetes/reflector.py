"""Keeps all objects of one kind as they are on the server, cut down to what is needed of them.

List in pages, then watch; after what a watch can't make good (its version is no longer kept, it ends at once
or tells nothing) list again and tell only what differs. Each failure is followed by a wait, so that no state
of the server brings it more than a handful of requests a minute. Level, not edge: whoever is told of a change
looks at the store, and may be told of several at once.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from types import MappingProxyType
from typing import Any, Generic, NoReturn, TypeVar

from featward.kubernetes.answers import decoded
from featward.kubernetes.backoff import Backoff, Dice, dice
from featward.kubernetes.errors import ApiError
from featward.kubernetes.gateway import Gateway, Query
from featward.kubernetes.resource import Key, Resource, key_of
from featward.logs import fields

__all__ = ["Reflector"]

T = TypeVar("T")

_log = logging.getLogger(__name__)
# Some load balancers and GKE end a watch of a version that is gone in place of saying 410.
_AT_ONCE = 2.0
# Two watches in a row that told nothing, not even a bookmark: what we know may be of another world.
_FRUITLESS = 2
_LIST_SECONDS = 30.0
# The loop is given back after so much work on what a list brought: others answer webhooks on it.
_SLICE_SECONDS = 0.002


class Reflector(Generic[T]):
    """One kind, or what a selector leaves of it."""

    def __init__(
        self,
        gateway: Gateway,
        resource: Resource,
        project: Callable[[dict[str, Any]], T],
        on: Callable[[Key, T | None, T | None], None],
        *,
        namespace: str | None = None,
        selector: str = "",
        fields: str = "",
        page: int = 100,
        idle: float = 70.0,
        total: float = 300.0,
        backoff: Backoff | None = None,
        relisted: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        dice: Dice = dice,
    ) -> None:
        """``project`` makes what is kept of an object, of its JSON with kind and apiVersion; an object of which
        it can't make anything (any error) is logged and stays as it was. What is equal to what is kept is no
        change.

        ``on`` is told of each change with the key, what was kept and what is kept now, None for nothing; it
        must be quick and not fail. ``selector`` and ``fields`` are the server's label and field selectors.

        ``page``: objects a request, fewer once an answer was too large to be taken; 100 pods are half a
        megabyte, 5 ms of work. ``idle``: seconds of silence
        after which a watch is given up; the server sends a bookmark each minute. ``total``: seconds after
        which a watch is asked for anew, up to a fifth more. ``relisted`` is told why a list is made again.
        """
        self._gateway = gateway
        self.resource = resource
        self._path = resource.path(namespace)
        self._project = project
        self._on = on
        chosen = (("labelSelector", selector), ("fieldSelector", fields))
        self._chosen = [(key, value) for key, value in chosen if value]
        self._page = page
        self._idle = idle
        self._total = total
        self._backoff = backoff or Backoff(dice=dice)
        self._relisted = relisted
        self._clock = clock
        self._dice = dice
        self._version: str | None = None
        self._fruitless = 0
        self._kept: dict[Key, T] = {}
        self.store: Mapping[Key, T] = MappingProxyType(self._kept)
        """All that is known, by namespace and name. Meaningful once `synced`."""
        self.synced = asyncio.Event()
        """Set when the first list is in the store, for good: what we have is old after that, never absent."""
        self.heard_at = float("-inf")
        """When the server last said anything, by ``clock``."""

    async def run(self) -> NoReturn:
        """Follow the server until cancelled."""
        while True:
            try:
                if self._version is None:
                    self._version = await self._list()
                    self.synced.set()
                await self._watch(self._version)
            except _StaleError as stale:
                self._forget(stale.cause)
                await self._wait(stale.cause, None)
            except ApiError as error:
                if error.is_gone:
                    self._forget("expired")
                elif error.reason == "TooLarge" and self._page > 1:
                    self._page = max(1, self._page // 4)
                elif error.reason == "Garbled":
                    self._forget("garbled")
                elif self._fruitless >= _FRUITLESS:
                    self._forget("silent")
                await self._wait(str(error), error.retry_after)

    def _forget(self, cause: str) -> None:
        """The next attempt begins with a list."""
        if self._version is not None and self._relisted:
            self._relisted(cause)
        self._version = None
        self._fruitless = 0

    async def _wait(self, why: str, asked: float | None) -> None:
        delay = self._backoff.next(asked)
        told = fields(resource=str(self.resource), why=why, seconds=round(delay, 1))
        level = logging.WARNING if self._backoff.failures > 1 else logging.INFO
        _log.log(level, "not following", extra=told)
        await asyncio.sleep(delay)

    async def _list(self) -> str:
        """Take over all objects; returns the version that they are of."""
        found: dict[Key, T] = {}
        more = ""
        while True:
            query = [*self._chosen, ("limit", str(self._page))]
            query += [("continue", more)] if more else []
            answer = await self._gateway.ask("GET", self._path, query=query, seconds=_LIST_SECONDS)
            self.heard_at = self._clock()
            try:
                for raw in answer.get("items") or ():
                    self._add(found, _with_kind(raw, answer))
                version = str(answer["metadata"]["resourceVersion"])
                more = answer["metadata"].get("continue") or ""
            except (AttributeError, KeyError, TypeError) as error:
                detail = f"{self._path} is no list of objects: {error!r}"
                raise ApiError(0, "Garbled", None, detail) from error
            if not more:
                await self._replace(found)
                return version

    def _add(self, found: dict[Key, T], raw: dict[str, Any]) -> None:
        key, old = key_of(raw), self._kept.get(key_of(raw))
        made = self._projected(key, raw, old)
        if made is not None:
            # The old one where they are equal: while a list comes in, both are held.
            found[key] = old if old is not None and made == old else made

    def _projected(self, key: Key, raw: dict[str, Any], old: T | None) -> T | None:
        try:
            return self._project(raw)
        except Exception:  # one object of somebody else's must not stop all others
            told = fields(resource=str(self.resource), namespace=key[0] or None, name=key[1])
            _log.exception("object not understood", extra=told)
            return old

    async def _replace(self, found: dict[Key, T]) -> None:
        began = self._clock()
        for key in [*(key for key in self._kept if key not in found), *found]:
            self._put(key, found.get(key))
            if self._clock() - began > _SLICE_SECONDS:
                await asyncio.sleep(0)
                began = self._clock()

    def _put(self, key: Key, new: T | None) -> None:
        old = self._kept.get(key)
        if old is new or (old is not None and new is not None and old == new):
            return
        if new is None:
            del self._kept[key]
        else:
            self._kept[key] = new
        self._on(key, old, new)

    async def _watch(self, version: str) -> None:
        """Follow from there. Returns when the watch has ended in good order; raises ApiError, _StaleError."""
        began, told = self._clock(), False
        total = self._dice(self._total, 1.2 * self._total)
        query: Query = [
            *self._chosen,
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", version),
            ("timeoutSeconds", str(max(1, int(total)))),
        ]
        # The server ends it; ours is for one that does not.
        lines = self._gateway.stream(self._path, query, idle=self._idle, total=total + 10.0)
        try:
            async with aclosing(lines):
                async for line in lines:
                    self.heard_at, told = self._clock(), True
                    self._take(line)
        finally:
            at_once = self._clock() - began < _AT_ONCE
            self._fruitless = 0 if told else self._fruitless + 1
            if not at_once:
                self._backoff.reset()
        if at_once:
            if not told:
                raise _StaleError("closed at once")
            raise ApiError(0, "Closed", None, "the watch ended at once")
        if self._fruitless >= _FRUITLESS:
            raise _StaleError("silent")

    def _take(self, line: bytes) -> None:
        """One event of the watch."""
        event = decoded(line)
        try:
            kind, raw = event["type"], event["object"]
            if kind == "ERROR":
                raise _error_of(raw)
            version = str(raw["metadata"]["resourceVersion"])
            if kind in ("ADDED", "MODIFIED"):
                key = key_of(raw)
                self._put(key, self._projected(key, raw, self._kept.get(key)))
            elif kind == "DELETED":
                self._put(key_of(raw), None)
        except (AttributeError, KeyError, TypeError) as error:
            raise ApiError(0, "Garbled", None, f"no event: {line[:200]!r}") from error
        self._version = version


class _StaleError(Exception):
    """What is kept may have missed something; the text is the cause, as metrics have it."""

    @property
    def cause(self) -> str:
        return str(self)


def _error_of(status: dict[str, Any]) -> Exception:
    """What an ERROR event says. Other errors than 'too many' leave open what was missed."""
    code, reason = int(status.get("code") or 0), str(status.get("reason") or "Unknown")
    if code in (410, 429):
        after = (status.get("details") or {}).get("retryAfterSeconds")
        detail = str(status.get("message") or "")
        return ApiError(code, reason, float(after) if after else None, detail)
    return _StaleError("error")


def _with_kind(raw: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Lists of built-in kinds say it once, for all of their items."""
    raw.setdefault("apiVersion", answer.get("apiVersion"))
    raw.setdefault("kind", str(answer.get("kind") or "").removesuffix("List"))
    return raw

"""Tells people what happened to an object of theirs: Events, as `kubectl describe` shows them.

An Event is news and no state: one that can't be written is logged and forgotten, and one that was written a
moment ago is not written again.
"""

import datetime
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from featward.kubernetes.errors import ApiError
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import EVENTS
from featward.logs import fields

__all__ = ["EventType", "Events", "ObjectRef"]

EventType: TypeAlias = Literal["Normal", "Warning"]

_log = logging.getLogger(__name__)
# Servers keep Events for an hour; one in ten minutes shows that it goes on.
_QUIET_SECONDS = 600.0
# A thousand objects with news in ten minutes; older ones may be told twice.
_REMEMBERED = 1000
# The server's limit.
_LONGEST_NOTE = 1024
# Events about what lives in no namespace lie here, as Kubernetes' own do.
_NO_NAMESPACE = "default"
_LONGEST_NAME = 253


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """The object that an Event is about."""

    api_version: str
    kind: str
    namespace: str
    """Empty for what lives in none."""
    name: str
    uid: str = ""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """Of an object as the server gives it, with kind and apiVersion."""
        metadata = raw["metadata"]
        namespace, uid = metadata.get("namespace") or "", metadata.get("uid") or ""
        return cls(raw["apiVersion"], raw["kind"], namespace, metadata["name"], uid)


class Events:
    """Writes Events of one controller."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        controller: str,
        instance: str,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``controller`` as in ``featward.dev/operator``, ``instance`` the pod's name."""
        self._gateway = gateway
        self._controller = controller
        self._instance = instance
        self._clock = clock
        self._now = now
        self._told: OrderedDict[tuple[ObjectRef, str, str], float] = OrderedDict()

    async def record(
        self,
        about: ObjectRef,
        reason: str,
        note: str,
        *,
        kind: EventType = "Normal",
        action: str = "Reconcile",
    ) -> bool:
        """Tell it, unless the same was told of the same object within ten minutes; whether it was written.

        ``reason`` is one CamelCase word, ``note`` a sentence, cut at 1,024 bytes. Raises nothing.
        """
        said = (about, reason, note)
        told_at = self._told.get(said)
        if told_at is not None and self._clock() - told_at < _QUIET_SECONDS:
            return False
        # Before the answer: what was tried a moment ago is not tried again either.
        self._told[said] = self._clock()
        self._told.move_to_end(said)
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        body = self._event(about, reason, note, kind, action)
        try:
            path = EVENTS.path(body["metadata"]["namespace"])
            await self._gateway.ask("POST", path, body, seconds=5.0)
        except ApiError as error:
            told = fields(reason=reason, about=f"{about.kind} {about.name}", why=str(error))
            _log.warning("event not written", extra=told)
            return False
        return True

    def _event(
        self, about: ObjectRef, reason: str, note: str, kind: EventType, action: str
    ) -> dict[str, Any]:
        moment = datetime.datetime.fromtimestamp(self._now(), datetime.UTC)
        suffix = secrets.token_hex(8)
        name = about.name[: _LONGEST_NAME - len(suffix) - 1].rstrip("-.")
        regarding = {"apiVersion": about.api_version, "kind": about.kind, "name": about.name}
        regarding |= {"namespace": about.namespace} if about.namespace else {}
        regarding |= {"uid": about.uid} if about.uid else {}
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": f"{name}.{suffix}",
                "namespace": about.namespace or _NO_NAMESPACE,
            },
            "eventTime": moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "reportingController": self._controller,
            "reportingInstance": self._instance[:128],
            "action": action,
            "reason": reason,
            "regarding": regarding,
            "note": note.encode()[:_LONGEST_NOTE].decode(errors="ignore"),
            "type": kind,
        }

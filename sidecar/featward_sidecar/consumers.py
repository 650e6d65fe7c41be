"""Hands each change of identity and trust to those that apps get it from, and knows what they were given.

The one place where the private key leaves the engine, and only if somebody is there to be given it. What the
CA is told as acknowledged rests on `given`: an authority must not be retired while an app beside us still
judges by the trust of before.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from featward.logs import fields
from featward_engine import Credentials
from featward_sidecar.agent_status import AgentStatus, failure
from featward_sidecar.content import Bundle, Content, check
from featward_sidecar.errors import ContentError
from featward_sidecar.grpc_call import Status

__all__ = ["Consumers", "Sink"]

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where apps get their identity from: the socket, the files."""

    def publish(self, content: Content, sequence: int) -> None:
        """Hand this out from now on. Returns at once."""

    def withhold(self, status: Status, why: str) -> None:
        """As long as nothing was published, this is why."""

    def given(self) -> int:
        """The newest sequence that all apps were given."""


class Consumers:
    """All sinks of one sidecar; used by the one thread that keeps the identity."""

    def __init__(
        self,
        credentials: Credentials,
        sinks: Sequence[Sink],
        status: AgentStatus,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._sinks = sinks
        self._status = status
        self._now = now
        self._own: Bundle | None = None
        self._federated: tuple[Bundle, ...] = ()

    def trust(self, own: Bundle, federated: Sequence[Bundle]) -> None:
        """The engine trusts this from now on."""
        self._own = own
        self._federated = tuple(sorted(federated, key=lambda bundle: bundle.trust_domain))
        self.refresh()

    def refresh(self) -> None:
        """Hand out what the engine uses now. What can't be handed out is logged, and what was before stays."""
        if not self._sinks or self._own is None:
            return
        content = self._content(self._own)
        if content is None:
            return
        try:
            check(content, self._now())
        except ContentError as error:
            log.error("identity not handed to apps", extra=fields(error=str(error)))
            self._status.update("apps", last_error=failure(str(error)))
            self.withhold(Status.UNAVAILABLE, str(error))
            return
        self._status.update("apps", last_error=None)
        for sink in self._sinks:
            sink.publish(content, self._credentials.sequence())

    def withhold(self, status: Status, why: str) -> None:
        """Say to apps why there is nothing for them, as long as there is nothing."""
        for sink in self._sinks:
            sink.withhold(status, why)

    def given(self) -> int:
        """The newest sequence that the engine uses and that no app lacks."""
        if not self._sinks or self._credentials.identity() is None:
            return self._credentials.sequence()
        return min(sink.given() for sink in self._sinks)

    def _content(self, own: Bundle) -> Content | None:
        identity, exported = self._credentials.identity(), self._credentials.export_identity()
        if identity is None or exported is None:
            return None
        told = json.loads(identity)
        chain, key = exported
        return Content(
            told["spiffe_id"], tuple(chain), key, own, self._federated, float(told["not_after"])
        )

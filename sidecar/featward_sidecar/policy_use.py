"""Puts a policy into use, wherever it comes from: gives it to the engine, keeps it on disk, and tells the
status which one is in use and since when it was known to be the newest.

What is refused changes nothing: the last good policy stays for as long as the process lives. At start, where
there is no last good one yet, the one that was kept on disk stands in, if it is young enough.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from featward.logs import fields
from featward_engine import EngineError, Policy
from featward_sidecar.agent_status import AgentStatus, failure
from featward_sidecar.errors import SnapshotError
from featward_sidecar.snapshots import Header, SnapshotFolder, read_header

__all__ = ["OPERATOR", "Found", "PolicyUse", "Sink"]

log = logging.getLogger(__name__)

CONFIRM_SECONDS = 3600.0
"""How often a snapshot on disk is marked as still current. The age limit counts in days."""

OPERATOR = "operator"
"""The source of a snapshot that came over the network."""

KEPT = "kept"
"""The source of a snapshot that an earlier run has left on disk."""


class Sink(Protocol):
    """What takes policy: the engine's Proxy."""

    def set_policy(self, snapshot: bytes) -> str: ...


@dataclass(frozen=True, slots=True)
class Found:
    """A snapshot that is not in use yet."""

    snapshot: bytes
    header: Header
    source: str
    """``manifests``, ``operator`` or ``kept``."""
    confirmed_at: float
    """When it was last known to be what the source says."""


class PolicyUse:
    """One policy at a time; used by the one thread that follows its source."""

    def __init__(
        self, kept: SnapshotFolder, status: AgentStatus, now: Callable[[], float] = time.time
    ) -> None:
        self._kept = kept
        self._status = status
        self._now = now
        self._digest: str | None = None
        self._current = False
        self._confirmed_at = -math.inf

    @property
    def digest(self) -> str | None:
        """The policy in use, if there is one."""
        return self._digest

    def use(self, sink: Sink, found: Found, trust_domain: str | None = None) -> str:
        """Give the engine this snapshot and keep it; returns its digest.

        Raises EngineError when it does not take it, SnapshotError when it is not of our trust domain.
        """
        if trust_domain not in (None, found.header.trust_domain):
            raise SnapshotError(_foreign(found, str(trust_domain)))
        digest = sink.set_policy(found.snapshot)
        self._current = found.source != KEPT
        changed, self._digest = digest != self._digest, digest
        if self._current:
            self._mark(lambda: self._keep(digest, found))
        log.info(
            "policy applied" if changed else "policy unchanged",
            extra=fields(digest=digest, source=found.source, workload=found.header.workload),
        )
        now = self._now()
        told = {"source": found.source, "applied_at": now, "confirmed_at": found.confirmed_at}
        self._status.update("policy", **told)
        if self._current:
            self._status.update("policy", last_error=None)
        return digest

    def newest_kept(self) -> Found:
        """What an earlier run has left. Raises SnapshotError."""
        digest, snapshot = self._kept.newest()
        try:
            actual = Policy(snapshot).digest
        except EngineError as error:
            raise SnapshotError(
                f"the snapshot kept from an earlier run can't be used: {error}"
            ) from error
        if actual != digest:
            raise SnapshotError(
                f"the snapshot kept from an earlier run is damaged: {actual} is not {digest}"
            )
        return Found(snapshot, read_header(snapshot), KEPT, self._kept.confirmed_at(digest))

    def refuse(self, error: Exception) -> None:
        """What the source says now can't be used. The policy in use is no longer what it says, so it ages."""
        self._current = False
        self._status.count("policy", "refused_edits")
        details = {**failure(str(error)), "findings": list(getattr(error, "findings", ()))}
        self._status.update("policy", last_error=details)
        log.error("policy edit refused", extra=fields(error=str(error), in_use=self._digest))

    def confirm(self) -> None:
        """The source was asked and still says what is in use, unless that was refused meanwhile."""
        if self._current and self._digest:
            self._confirm(self._digest)

    def confirm_as(self, source: str, digest: str) -> None:
        """The source says by itself that this one is the newest, which may have been kept or refused before."""
        if digest != self._digest:
            return
        if not self._current:
            self._current = True
            self._status.update("policy", source=source, last_error=None)
            log.info("policy confirmed", extra=fields(digest=digest, source=source))
        self._confirm(digest)

    def _confirm(self, digest: str) -> None:
        self._status.update("policy", confirmed_at=self._now())
        if time.monotonic() - self._confirmed_at > CONFIRM_SECONDS:
            self._mark(lambda: self._kept.confirm(digest))

    def _keep(self, digest: str, found: Found) -> None:
        if found.source == OPERATOR:  # the compiler has written its own there
            self._kept.write(found.snapshot)
        self._kept.keep(digest)

    def _mark(self, on_disk: Callable[[], None]) -> None:
        """A full disk costs the next start its stand-in, and never the policy in use."""
        self._confirmed_at = time.monotonic()
        try:
            on_disk()
        except OSError as error:
            log.warning("policy not kept for the next start", extra=fields(error=str(error)))


def _foreign(found: Found, ours: str) -> str:
    theirs = found.header.trust_domain
    if found.source == "manifests":
        return (
            f"the manifests are of trust domain {theirs}, our identity is of {ours}; correct manifests: or the "
            "join token"
        )
    return f"the {found.source} policy is of trust domain {theirs}, and we are of {ours}"

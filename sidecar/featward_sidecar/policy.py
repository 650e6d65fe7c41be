"""Keeps the engine's policy fresh: compiles the folder of manifests at each edit, and never goes without.

One thread of its own. An edit that does not compile is refused, logged and counted, and the last good
policy stays, for as long as the process lives. At start, where there is no last good policy yet, the one
that was kept on disk stands in, if it is young enough.
"""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from featward.logs import fields
from featward_engine import EngineError, Policy
from featward_sidecar.agent_status import AgentStatus, failure
from featward_sidecar.compiler import Compiler
from featward_sidecar.errors import ManifestsError, SidecarError, SnapshotError
from featward_sidecar.folder import FolderWatch
from featward_sidecar.snapshots import Header, SnapshotFolder, read_header

__all__ = ["Found", "PolicyKeeper", "Sink"]

log = logging.getLogger(__name__)

CONFIRM_SECONDS = 3600.0
"""How often a snapshot on disk is marked as still current. The age limit counts in days."""

SETTLE_SECONDS = 0.05
"""Quiet time after an edit before it is compiled, so that a save in several steps is one edit."""


class Sink(Protocol):
    """What takes policy: the engine's Proxy."""

    def set_policy(self, snapshot: bytes) -> str: ...


@dataclass(frozen=True, slots=True)
class Found:
    """A snapshot that is not in use yet."""

    snapshot: bytes
    header: Header
    source: str
    """``manifests`` or ``kept``."""
    confirmed_at: float
    """When it was last known to be what the manifests say."""


class PolicyKeeper:
    """`trust_domain` finds the first policy, `run` is the thread's body, `reread` and `stop` are for other
    threads."""

    def __init__(
        self, compiler: Compiler, watch: FolderWatch, kept: SnapshotFolder, status: AgentStatus
    ) -> None:
        self._compiler = compiler
        self._watch = watch
        self._kept = kept
        self._status = status
        self._wake = threading.Event()
        self._stopped = False
        self._forced = False
        self._first: Found | None = None
        self._expected_domain: str | None = None
        self._digest: str | None = None
        self._current = False
        self._confirmed_at = 0.0

    def trust_domain(self) -> str:
        """The trust domain that the first policy is of; `run` will start with that policy."""
        self._first = self.find()
        return self._first.header.trust_domain

    def identity(self) -> str:
        """The identity that the first policy is for."""
        self._first = self._first or self.find()
        return self._first.header.workload

    def find(self) -> Found:
        """The policy to start with: from the manifests, else the kept one. Raises SidecarError for neither."""
        self._watch.changed()
        try:
            return self._compile()
        except ManifestsError as refused:
            self._refuse(refused)
            try:
                return self._newest_kept()
            except SnapshotError as error:
                raise SidecarError(f"no policy: {refused}; and {error}") from refused

    def run(self, sink: Sink, trust_domain: str) -> None:
        """Use the first policy, then follow the folder until `stop`."""
        self._expected_domain = trust_domain
        try:
            self.use(sink, self._first or self.find())
        except (SidecarError, EngineError, OSError) as error:
            self._status.update("policy", last_error=failure(str(error)))
            log.error("no policy to start with", extra=fields(error=str(error)))
        self._first = None  # it may be tens of megabytes, which the engine has now
        while not self._stopped:
            self._wake.wait(self._watch.interval)
            self._wake.clear()
            try:
                self._look(sink)
            except (
                Exception
            ) as error:  # a defect of ours must not end the watch: the last policy stays
                log.exception("policy thread stumbled")
                self._status.update("policy", last_error=failure(str(error)))

    def reread(self) -> None:
        """Compile now, edit or not (SIGHUP)."""
        self._forced = True
        self._wake.set()

    def stop(self) -> None:
        self._stopped = True
        self._compiler.stop()
        self._wake.set()

    def use(self, sink: Sink, found: Found) -> None:
        """Give the engine this snapshot and keep it. Raises EngineError when it does not take it."""
        if self._expected_domain not in (None, found.header.trust_domain):
            raise SnapshotError(
                f"the manifests are of trust domain {found.header.trust_domain}, our identity is of "
                f"{self._expected_domain}; correct manifests: or the join token"
            )
        digest = sink.set_policy(found.snapshot)
        self._current = found.source == "manifests"
        if self._current:
            self._kept.keep(digest)
            self._confirmed_at = time.monotonic()
        changed, self._digest = digest != self._digest, digest
        log.info(
            "policy applied" if changed else "policy unchanged",
            extra=fields(digest=digest, source=found.source, workload=found.header.workload),
        )
        self._status.update(
            "policy",
            source=found.source,
            applied_at=time.time(),
            confirmed_at=found.confirmed_at,
        )
        if self._current:
            self._status.update("policy", last_error=None)

    def _look(self, sink: Sink) -> None:
        changed = self._watch.changed()
        if self._stopped or not (changed or self._forced):
            self._confirm()
            return
        self._forced = False
        self._settle()
        try:
            self.use(sink, self._compile())
        except (ManifestsError, SnapshotError, EngineError) as error:
            self._refuse(error)

    def _settle(self) -> None:
        while not self._stopped:
            time.sleep(SETTLE_SECONDS)
            if not self._watch.changed():
                return

    def _compile(self) -> Found:
        warnings = self._compiler.compile(self._kept.incoming)
        snapshot = self._kept.incoming.read_bytes()
        self._status.update("policy", warnings=warnings)
        return Found(snapshot, read_header(snapshot), "manifests", time.time())

    def _newest_kept(self) -> Found:
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
        return Found(snapshot, read_header(snapshot), "kept", self._kept.confirmed_at(digest))

    def _refuse(self, error: Exception) -> None:
        if self._stopped:
            return
        # From here on the policy in use is no longer what the folder says, so it ages.
        self._current = False
        self._status.count("policy", "refused_edits")
        details = {**failure(str(error)), "findings": list(getattr(error, "findings", ()))}
        self._status.update("policy", last_error=details)
        log.error("policy edit refused", extra=fields(error=str(error), in_use=self._digest))

    def _confirm(self) -> None:
        """The folder was looked at and still says what it said when it compiled."""
        if not (self._current and self._digest):
            return
        self._status.update("policy", confirmed_at=time.time())
        if time.monotonic() - self._confirmed_at > CONFIRM_SECONDS:
            self._kept.confirm(self._digest)
            self._confirmed_at = time.monotonic()

"""Keeps the engine's policy fresh: compiles the folder of manifests at each edit, and never goes without.

One thread of its own. An edit that does not compile is refused, logged and counted, and the last good
policy stays, for as long as the process lives. At start, where there is no last good policy yet, the one
that was kept on disk stands in, if it is young enough.
"""

import logging
import threading
import time

from featward.logs import fields
from featward_engine import EngineError
from featward_sidecar.agent_status import AgentStatus, failure
from featward_sidecar.compiler import Compiler
from featward_sidecar.errors import ManifestsError, SidecarError, SnapshotError
from featward_sidecar.folder import FolderWatch
from featward_sidecar.policy_use import Found, PolicyUse, Sink
from featward_sidecar.snapshots import SnapshotFolder, read_header

__all__ = ["PolicyKeeper"]

log = logging.getLogger(__name__)

SETTLE_SECONDS = 0.05
"""Quiet time after an edit before it is compiled, so that a save in several steps is one edit."""


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
        self._in_use = PolicyUse(kept, status)

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
                return self._in_use.newest_kept()
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
        self._in_use.use(sink, found, self._expected_domain)

    def _look(self, sink: Sink) -> None:
        changed = self._watch.changed()
        if self._stopped or not (changed or self._forced):
            self._in_use.confirm()  # the folder was looked at and says what it said when it compiled
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

    def _refuse(self, error: Exception) -> None:
        if not self._stopped:
            self._in_use.refuse(error)

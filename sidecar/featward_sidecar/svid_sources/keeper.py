"""Keeps this workload's identity fresh where another issuer gives it: the counterpart of `identity`.

One thread of its own. Whatever breaks, the engine goes on with what it has. There is no scope table with a
foreign issuer: any chain to one of its roots is good for any path, and the environment is as safe as that
issuer's registrations.
"""

import logging
import threading
import time
from collections.abc import Callable

from featward.logs import fields
from featward_engine import Credentials, EngineError
from featward_sidecar.agent_status import AgentStatus, failure
from featward_sidecar.backoff import Backoff
from featward_sidecar.consumers import Consumers
from featward_sidecar.content import Bundle, judged_identity
from featward_sidecar.errors import CallError, SidecarError, SourceError
from featward_sidecar.grpc_call import Status
from featward_sidecar.svid_sources.material import Material, Source

__all__ = ["SourceKeeper"]

log = logging.getLogger(__name__)


class SourceKeeper:
    """`run` is the thread's body; `stop` ends it from another one."""

    def __init__(
        self,
        source: Source,
        expected: str,
        credentials: Credentials,
        consumers: Consumers,
        status: AgentStatus,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._expected = expected
        self._credentials = credentials
        self._consumers = consumers
        self._status = status
        self._now = now
        self._stopped = threading.Event()
        self._trusted: tuple[Bundle, tuple[Bundle, ...]] | None = None
        self._used = False
        self._backoff = Backoff()

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._source.follow(self._use)
            except (SidecarError, EngineError, OSError) as error:
                self._wait_after(error)
            except Exception as error:  # a defect of ours must not end renewal
                log.exception("identity thread stumbled")
                self._wait_after(error)

    def stop(self) -> None:
        self._stopped.set()
        self._source.stop()

    def _use(self, material: Material) -> None:
        identity = judged_identity(material.chain, material.own, self._now())
        if identity != self._expected:
            raise SourceError(f"the SVID is for {identity}, and this workload is {self._expected}")
        self._trust(material.own, material.federated)
        self._credentials.set_external_identity(list(material.chain), material.key)
        self._backoff.reset()
        log.info("identity issued", extra=fields(spiffe_id=identity, source=self._source.kind))
        told = {"attested_by": self._source.kind, "last_issued": self._now(), "last_error": None}
        self._status.update("identity", **told)
        self._status.update("ca", connected=True, since=self._now(), last_error=None)
        if self._used:
            self._status.count("identity", "renewals")
        self._used = True
        self._consumers.trust(material.own, material.federated)

    def _trust(self, own: Bundle, federated: tuple[Bundle, ...]) -> None:
        if self._trusted == (own, federated):
            return
        sequence = self._credentials.sequence() + 1
        foreign = [(each.trust_domain, list(each.roots)) for each in federated]
        self._credentials.set_trust(list(own.roots), None, sequence, foreign=foreign)
        self._trusted = (own, federated)
        log.info("trust updated", extra=fields(sequence=sequence, roots=len(own.roots)))

    def _wait_after(self, error: Exception) -> None:
        if self._stopped.is_set():
            return
        delay = self._backoff.next()
        self._status.update("ca", connected=False, since=None, failures=self._backoff.failures)
        self._status.update("identity", last_error=failure(str(error)))
        refused = isinstance(error, CallError) and error.status == Status.PERMISSION_DENIED
        if refused:
            why = "no identity issued; see the sidecar's log"
            self._consumers.withhold(Status.PERMISSION_DENIED, why)
        log.warning(
            "identity not fetched", extra=fields(error=str(error), retry_in=round(delay, 2))
        )
        self._stopped.wait(delay)

"""What went wrong with the identity, said in the log, in the status, and to apps that wait for it."""

import logging
import time
from collections.abc import Callable

from featward.logs import fields
from featward_sidecar.agent_status import AgentStatus, failure
from featward_sidecar.consumers import Consumers
from featward_sidecar.errors import CallError, CertificateRefusedError, EvidenceError
from featward_sidecar.grpc_call import Status
from featward_sidecar.refusals import REFUSALS

__all__ = ["Troubles"]

log = logging.getLogger(__name__)

REFUSED = "CA refused us"


class Troubles:
    """Used by the one thread that keeps the identity."""

    def __init__(
        self, consumers: Consumers, status: AgentStatus, now: Callable[[], float] = time.time
    ) -> None:
        self._consumers = consumers
        self._status = status
        self._now = now
        self._refused_since = 0.0

    def over(self) -> None:
        """The CA takes our certificate and speaks to us."""
        self._refused_since = 0.0
        self._status.update("ca", connected=True, since=self._now(), last_error=None)
        self._status.update("identity", refused=None, last_error=None)

    def report(self, error: Exception, left: float | None, delay: float | None = None) -> None:
        """`left`: seconds of the identity's life, None without one; `delay`: until it is tried again."""
        section, level, phrase = _judge(error, left)
        self._status.update(section, last_error=failure(str(error)))
        if isinstance(error, CertificateRefusedError):
            self._refused_since = self._refused_since or self._now()
            told = {"since": self._refused_since, "reason": error.reason, "message": str(error)}
            self._status.update("identity", refused=told)
        if isinstance(error, EvidenceError) or phrase == REFUSED:
            self._consumers.withhold(
                Status.PERMISSION_DENIED, "no identity issued; see the sidecar's log"
            )
        details = fields(
            error=str(error),
            retry_in=None if delay is None else round(delay, 2),
            identity_expires_in=None if left is None else round(left),
        )
        log.log(level, phrase, extra=details)


def _judge(error: Exception, left: float | None) -> tuple[str, int, str]:
    """Whose failure it is, how bad, and the phrase for it."""
    if isinstance(error, EvidenceError):
        return "identity", logging.ERROR, "no evidence for an identity"
    holds = left is None or left > 0
    usable = holds and not isinstance(error, CertificateRefusedError)
    level = logging.WARNING if usable else logging.ERROR
    if isinstance(error, CallError) and error.status in REFUSALS:
        return "ca", level, REFUSED
    return "ca", level, "CA not reached"

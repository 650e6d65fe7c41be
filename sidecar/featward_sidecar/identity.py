"""Keeps this workload's identity fresh: attests once, renews until the end, and never lets go of a valid
SVID.

One thread of its own. It holds a WatchIdentity stream to the CA open, over which trust arrives and renewals
go; whatever breaks is logged and tried again with back-off, while the engine goes on with what it has. A
renewal that was not answered is repeated *with the same key*: the CA stores one answer for each certificate
renewed, and takes a second key for a clone of this workload.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Container

from featward.identity.v1 import identity_pb2
from featward.logs import fields
from featward_engine import Credentials, EngineError, PendingIdentity, __version__
from featward_sidecar.agent_status import AgentStatus, failure
from featward_sidecar.authority import Authority
from featward_sidecar.backoff import Backoff, renewal_time, some_time_within
from featward_sidecar.consumers import Consumers
from featward_sidecar.errors import CallError, EvidenceError
from featward_sidecar.evidence import Evidence
from featward_sidecar.grpc_call import GrpcCall, Status
from featward_sidecar.refusals import REFUSALS, evidence_helps
from featward_sidecar.troubles import Troubles
from featward_sidecar.trust import bundles, tainted_authorities, use_trust

__all__ = ["IdentityKeeper"]

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""For the CA to answer. It signs in milliseconds; a restart storm of 10,000 is drained in 20 s."""

LOOK_SECONDS = 5.0
"""The wall clock may be set while we wait, so waits for a time of day are cut into pieces of this length."""

GIVEN_SECONDS = 0.1
"""How often we look whether apps were given what the engine uses, and whether the connections of before have
ended, while that is not so: the CA waits for it."""

APPS_SECONDS = 10.0
"""After a change we look that often for this long: apps that are silent count as given by then, and one that
refuses does not change its mind by the tenth of a second."""


class IdentityKeeper:
    """`run` is the thread's body; `stop` ends it from another one."""

    def __init__(
        self,
        authority: Authority,
        evidence: Evidence,
        expected: Container[str],
        credentials: Credentials,
        consumers: Consumers,
        status: AgentStatus,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._authority = authority
        self._evidence = evidence
        self._expected = expected
        self._credentials = credentials
        self._consumers = consumers
        self._status = status
        self._troubles = Troubles(consumers, status, now)
        self._now = now
        self._stopped = threading.Event()
        self._call: GrpcCall | None = None
        self._pending: PendingIdentity | None = None
        self._renew_at = 0.0
        self._not_after = 0.0
        self._life: float | None = None
        self._lineage = ""
        self._offset: float | None = None
        self._acknowledged = 0
        self._serial_told = ""
        self._trusted_at = 0.0
        self._ended_by: CallError | None = None
        self._backoff = Backoff()

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._prove()
                self._watch()
            except (CallError, EvidenceError, EngineError, OSError) as error:
                self._wait_after(error)
            except (
                Exception
            ) as error:  # a defect of ours must not end renewal: it is shown and tried again
                log.exception("identity thread stumbled")
                self._wait_after(error)
        self._authority.close()

    def stop(self) -> None:
        self._stopped.set()
        if (call := self._call) is not None:
            call.cancel()

    # Attestation

    def _prove(self) -> None:
        """Show evidence for the first identity, and for another one where ours opens nothing any more. If that
        fails ours is tried again all the same: a ban may have been lifted, and a token is good for one use."""
        if self._credentials.identity() is None:
            self._attest()
        elif evidence_helps(self._ended_by, expired=self._now() >= self._not_after):
            try:
                self._attest()
            except (CallError, EvidenceError, EngineError, OSError) as error:
                self._troubles.report(error, self._not_after - self._now())

    def _attest(self) -> None:
        evidence, root_sha256 = self._evidence.attest()
        request = identity_pb2.AttestRequest(
            evidence=evidence, csr=self._csr(), version=__version__
        )
        with self._authority.first_contact(root_sha256) as call:
            try:
                answer = call.ask(request.SerializeToString(), ANSWER_SECONDS)
            except CallError as error:
                if error.status in REFUSALS:
                    raise self._evidence.refused(error.detail) from error
                raise
        response = identity_pb2.AttestResponse.FromString(answer)
        if response.svid.spiffe_id not in self._expected:
            raise self._evidence.refused(f"it is for {response.svid.spiffe_id}")
        self._trust(response.trust)
        self._use(response.svid, response.server_time)
        self._ended_by = None
        self._status.update("identity", attested_by=self._evidence.kind)

    # The stream

    def _watch(self) -> None:
        """Follow the CA until the stream ends or our certificate changes: then the next stream shows the
        new one."""
        try:
            with self._authority.watch() as call:
                self._call = call
                self._follow(call)
        except CallError as error:
            self._ended_by = error
            raise
        finally:
            self._call = None

    def _follow(self, call: GrpcCall) -> None:
        asked_at: float | None = None
        begun = greeted = False
        while not self._stopped.is_set():
            given = self._consumers.given()
            due = asked_at is None and self._now() >= self._renew_at
            # One message for all there is to say: the CA has many to hear.
            if due or not begun or self._has_news(given):
                call.send(self._message(given, renew=due))
                begun = True
            if due:
                asked_at = time.monotonic()
            data = call.receive(self._patience(asked_at))
            if data is None:
                self._check_patience(asked_at)
                continue
            response = identity_pb2.WatchIdentityResponse.FromString(data)
            if not greeted:
                greeted = True
                self._connected()
            if response.server_time:
                self._clock(response.server_time)
            if response.HasField("trust"):
                self._trust(response.trust)
            if response.HasField("order"):
                self._obey(response.order)
            for svid in response.svids:
                self._use(svid, response.server_time)
                self._status.count("identity", "renewals")
                asked_at = None
            if response.svids and self._authority.by_certificate:
                return

    def _has_news(self, given: int) -> bool:
        return given > self._acknowledged or self._serial_in_use() != self._serial_told

    def _message(self, acknowledge: int, *, renew: bool = False) -> bytes:
        request = identity_pb2.WatchIdentityRequest(
            acknowledged_sequence=acknowledge,
            serial_in_use=self._serial_in_use(),
            lineage=self._lineage,
            version=__version__,
            clock_offset_ms=round((self._offset or 0.0) * 1000),
        )
        self._acknowledged, self._serial_told = acknowledge, request.serial_in_use
        if renew:
            if (evidence := self._evidence.renew()) is not None:
                request.evidence.CopyFrom(evidence)
            request.csrs.append(self._csr())
        return request.SerializeToString()

    def _patience(self, asked_at: float | None) -> float:
        until_renewal = LOOK_SECONDS if asked_at is not None else self._renew_at - self._now()
        waits_for_apps = (
            self._acknowledged < self._credentials.sequence()
            and time.monotonic() < self._trusted_at + APPS_SECONDS
        )
        parting = self._serial_told != self._identity().get("serial", "")
        look = GIVEN_SECONDS if waits_for_apps or parting else LOOK_SECONDS
        return max(0.01, min(look, until_renewal))

    def _check_patience(self, asked_at: float | None) -> None:
        if asked_at is not None and time.monotonic() - asked_at > ANSWER_SECONDS:
            raise CallError(
                Status.DEADLINE_EXCEEDED, f"no answer to a renewal within {ANSWER_SECONDS:g} s"
            )

    def _connected(self) -> None:
        self._backoff.reset()
        self._ended_by = None
        self._troubles.over()
        log.debug("CA stream open")

    # What arrives

    def _csr(self) -> bytes:
        if self._pending is None:
            self._pending = self._credentials.new_identity()
        csr: bytes = self._pending.csr
        return csr

    def _serial_in_use(self) -> str:
        """That of the authority before ours, as long as a connection lives which was made with it."""
        return self._credentials.serial_in_use() or ""

    def _identity(self) -> dict[str, str]:
        identity: dict[str, str] = json.loads(self._credentials.identity() or b"{}")
        return identity

    def _trust(self, trust: identity_pb2.Trust) -> None:
        """Use this trust, unless we do already."""
        if trust.sequence == self._credentials.sequence():
            return
        try:
            use_trust(self._credentials, trust)
        except EngineError as error:
            # Not acknowledged, so the CA keeps it pending; renewals must not stop for it.
            log.error("trust refused", extra=fields(sequence=trust.sequence, error=str(error)))
            self._status.update("ca", last_error=failure(str(error)))
            return
        self._trusted_at = time.monotonic()
        self._consumers.trust(*bundles(trust))
        if self._identity().get("authority") in tainted_authorities(trust):
            self._renew_within(trust.reissue_within_ms / 1000, "its authority is being withdrawn")

    def _obey(self, order: identity_pb2.Order) -> None:
        self._renew_within(order.renew_within_ms / 1000, order.reason or "the CA asks for it")

    def _renew_within(self, seconds: float, why: str) -> None:
        """Renew at a random moment within this time, unless that is due sooner anyway."""
        due = self._now() + some_time_within(seconds)
        if due < self._renew_at:
            self._renew_at = due
            log.info("renewal brought forward", extra=fields(reason=why, within=seconds))
            self._status.update("identity", renew_at=due)

    def _use(self, svid: identity_pb2.Svid, server_time: int) -> None:
        if self._pending is None:
            log.warning(
                "certificate without a request ignored", extra=fields(spiffe_id=svid.spiffe_id)
            )
            return
        before = self._identity().get("spiffe_id")
        spiffe_id = self._credentials.set_identity(self._pending, list(svid.chain))
        self._pending = None
        if before not in (None, spiffe_id):
            log.warning("identity changed", extra=fields(was=before, spiffe_id=spiffe_id))
        self._lineage = svid.lineage
        self._consumers.refresh()
        # Times are compared on the CA's clock: ours may be wrong by more than a short life.
        offset = self._clock(server_time)
        due = renewal_time(svid.issued_at, svid.renew_at, svid.not_after)
        self._renew_at, self._not_after = due + offset, svid.not_after + offset
        self._life = float(svid.not_after - svid.issued_at)
        log.info(
            "identity issued",
            extra=fields(
                spiffe_id=spiffe_id,
                serial=self._identity().get("serial"),
                expires_in=round(svid.not_after - server_time / 1000),
            ),
        )
        self._status.update(
            "identity",
            last_issued=self._now(),
            renew_at=self._renew_at,
            last_error=None,
        )

    def _clock(self, server_time: int) -> float:
        """Our clock minus the CA's, as this answer shows it; the engine words refusals for time with it."""
        self._offset = self._now() - server_time / 1000
        self._credentials.set_clock_offset(self._offset)
        self._status.update("identity", clock_offset_seconds=round(self._offset, 3))
        return self._offset

    # Failures

    def _wait_after(self, error: Exception) -> None:
        if self._stopped.is_set():
            return
        left = self._not_after - self._now() if self._not_after else None
        asked = error.retry_after if isinstance(error, CallError) else None
        delay = self._backoff.next(self._life, left, asked)
        self._status.update("ca", connected=False, since=None, failures=self._backoff.failures)
        if self._now() >= self._renew_at:
            self._status.count("identity", "failed_renewals")
        self._troubles.report(error, left, delay)
        self._stopped.wait(delay)

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
from collections.abc import Callable

from featward.identity.v1 import identity_pb2
from featward.logs import fields
from featward_engine import Credentials, EngineError, PendingIdentity
from featward_sidecar.agent_status import AgentStatus, failure
from featward_sidecar.authority import Authority
from featward_sidecar.backoff import Backoff, renewal_time
from featward_sidecar.errors import CallError, EvidenceError
from featward_sidecar.evidence import JoinTokenEvidence, UnixEvidence
from featward_sidecar.grpc_call import GrpcCall, Status

__all__ = ["IdentityKeeper"]

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""For the CA to answer. It signs in milliseconds; a restart storm of 10,000 is drained in 20 s."""

LOOK_SECONDS = 5.0
"""The wall clock may be set while we wait, so waits for a time of day are cut into pieces of this length."""

REFUSALS = (Status.PERMISSION_DENIED, Status.UNAUTHENTICATED, Status.FAILED_PRECONDITION)


class IdentityKeeper:
    """`run` is the thread's body; `stop` ends it from another one."""

    def __init__(
        self,
        authority: Authority,
        evidence: JoinTokenEvidence | UnixEvidence,
        expected: str,
        credentials: Credentials,
        status: AgentStatus,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._authority = authority
        self._evidence = evidence
        self._expected = expected
        self._credentials = credentials
        self._status = status
        self._now = now
        self._stopped = threading.Event()
        self._call: GrpcCall | None = None
        self._pending: PendingIdentity | None = None
        self._renew_at = 0.0
        self._not_after = 0.0
        self._life: float | None = None
        self._renewal_refused = False
        self._backoff = Backoff()

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._must_attest():
                    self._attest()
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

    def _must_attest(self) -> bool:
        """Evidence is for the first identity, and for one that ended without the CA renewing it any more."""
        expired = self._now() >= self._not_after
        return self._credentials.identity() is None or (expired and self._renewal_refused)

    def _attest(self) -> None:
        evidence, root_sha256 = self._evidence.attest()
        request = identity_pb2.AttestRequest(evidence=evidence, csr=self._csr())
        with self._authority.first_contact(root_sha256) as call:
            try:
                answer = call.ask(request.SerializeToString(), ANSWER_SECONDS)
            except CallError as error:
                if error.status in REFUSALS:
                    raise self._evidence.refused(error.detail) from error
                raise
        response = identity_pb2.AttestResponse.FromString(answer)
        if response.svid.spiffe_id != self._expected:
            raise self._evidence.refused(f"it is for {response.svid.spiffe_id}")
        self._trust(response.trust)
        self._use(response.svid, response.server_time)
        self._renewal_refused = False
        self._status.update("identity", attested_by=self._evidence.kind)

    # The stream

    def _watch(self) -> None:
        """Follow the CA until the stream ends or our certificate changes: then the next stream shows the
        new one."""
        with self._authority.watch() as call:
            self._call = call
            try:
                self._follow(call)
            except CallError as error:
                self._renewal_refused = error.status in REFUSALS
                raise
            finally:
                self._call = None

    def _follow(self, call: GrpcCall) -> None:
        call.send(self._message(acknowledge=self._credentials.sequence()))
        asked_at: float | None = None
        greeted = False
        while not self._stopped.is_set():
            if asked_at is None and self._now() >= self._renew_at:
                call.send(self._message(renew=True))
                asked_at = time.monotonic()
            data = call.receive(self._patience(asked_at))
            if data is None:
                self._check_patience(asked_at)
                continue
            response = identity_pb2.WatchIdentityResponse.FromString(data)
            if not greeted:
                greeted = True
                self._connected()
            if response.HasField("trust") and self._trust(response.trust):
                call.send(self._message(acknowledge=self._credentials.sequence()))
            for svid in response.svids:
                self._use(svid, response.server_time)
                self._status.count("identity", "renewals")
                asked_at = None
            if response.svids and self._authority.by_certificate:
                return

    def _message(self, *, acknowledge: int = 0, renew: bool = False) -> bytes:
        request = identity_pb2.WatchIdentityRequest(acknowledged_sequence=acknowledge)
        if (evidence := self._evidence.renew()) is not None:
            request.evidence.CopyFrom(evidence)
        if renew:
            request.csrs.append(self._csr())
        return request.SerializeToString()

    def _patience(self, asked_at: float | None) -> float:
        until_renewal = LOOK_SECONDS if asked_at is not None else self._renew_at - self._now()
        return max(0.01, min(LOOK_SECONDS, until_renewal))

    def _check_patience(self, asked_at: float | None) -> None:
        if asked_at is not None and time.monotonic() - asked_at > ANSWER_SECONDS:
            raise CallError(
                Status.DEADLINE_EXCEEDED, f"no answer to a renewal within {ANSWER_SECONDS:g} s"
            )

    def _connected(self) -> None:
        self._backoff.reset()
        self._status.update("ca", connected=True, since=self._now(), last_error=None)
        log.debug("CA stream open")

    # What arrives

    def _csr(self) -> bytes:
        if self._pending is None:
            self._pending = self._credentials.new_identity()
        csr: bytes = self._pending.csr
        return csr

    def _trust(self, trust: identity_pb2.Trust) -> bool:
        """Use this trust, unless we do already; returns whether it was new."""
        if trust.sequence == self._credentials.sequence():
            return False
        scopes = [(scope.spki_sha256, scope.path_prefix) for scope in trust.scopes]
        try:
            self._credentials.set_trust(
                list(trust.roots), scopes, trust.sequence, bans=[_ban(ban) for ban in trust.bans]
            )
        except EngineError as error:
            # Not acknowledged, so the CA keeps it pending; renewals must not stop for it.
            log.error("trust refused", extra=fields(sequence=trust.sequence, error=str(error)))
            self._status.update("ca", last_error=failure(str(error)))
            return False
        log.info(
            "trust updated",
            extra=fields(
                sequence=trust.sequence,
                roots=len(trust.roots),
                scopes=len(scopes),
                bans=len(trust.bans),
            ),
        )
        return True

    def _use(self, svid: identity_pb2.Svid, server_time: int) -> None:
        if self._pending is None:
            log.warning(
                "certificate without a request ignored", extra=fields(spiffe_id=svid.spiffe_id)
            )
            return
        spiffe_id = self._credentials.set_identity(self._pending, list(svid.chain))
        self._pending = None
        # Times are compared on the CA's clock: ours may be wrong by more than a short life.
        offset = self._now() - server_time / 1000
        due = renewal_time(svid.issued_at, svid.renew_at, svid.not_after)
        self._renew_at, self._not_after = due + offset, svid.not_after + offset
        self._life = float(svid.not_after - svid.issued_at)
        serial = json.loads(self._credentials.identity() or b"{}").get("serial")
        log.info(
            "identity issued",
            extra=fields(
                spiffe_id=spiffe_id,
                serial=serial,
                expires_in=round(svid.not_after - server_time / 1000),
            ),
        )
        self._status.update(
            "identity",
            last_issued=self._now(),
            renew_at=self._renew_at,
            last_error=None,
            clock_offset_seconds=round(offset, 3),
        )

    # Failures

    def _wait_after(self, error: Exception) -> None:
        if self._stopped.is_set():
            return
        left = self._not_after - self._now() if self._not_after else None
        delay = self._backoff.next(self._life, left)
        self._status.update("ca", connected=False, since=None, failures=self._backoff.failures)
        if self._now() >= self._renew_at:
            self._status.count("identity", "failed_renewals")
        section, level, phrase = self._judge(error, left)
        self._status.update(section, last_error=failure(str(error)))
        expires_in = None if left is None else round(left)
        details = fields(error=str(error), retry_in=round(delay, 2), identity_expires_in=expires_in)
        log.log(level, phrase, extra=details)
        self._stopped.wait(delay)

    def _judge(self, error: Exception, left: float | None) -> tuple[str, int, str]:
        """Whose failure it is, how bad, and the phrase for it."""
        if isinstance(error, EvidenceError):
            return "identity", logging.ERROR, "no evidence for an identity"
        level = logging.WARNING if left is None or left > 0 else logging.ERROR
        if isinstance(error, CallError) and error.status in REFUSALS:
            return "ca", level, "CA refused us"
        return "ca", level, "CA not reached"


def _ban(ban: identity_pb2.Ban) -> tuple[str, str, int]:
    match ban.WhichOneof("whom"):
        case "authority_spki_sha256":
            return "authority", ban.authority_spki_sha256.hex(), ban.expires_at
        case "serial":
            return "serial", ban.serial, ban.expires_at
        case _:
            return "identity", ban.spiffe_id, ban.expires_at

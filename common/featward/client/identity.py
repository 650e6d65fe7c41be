"""A program's own identity from a CA of ours, by its service account token: attests, renews, follows the trust.

What it has it keeps until it ends, whatever becomes of the CA; and what it uses it acknowledges, because
rotations wait for every client that is connected. A renewal that was not answered is asked for again with the
same key.
"""

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import grpc
import grpc.aio

from featward.client.dialers import Dialers
from featward.client.errors import IdentityRefusedError
from featward.identity.alerts import refused_by
from featward.identity.spiffe import SpiffeId
from featward.identity.trust import tainted_authorities, use_trust
from featward.identity.v1 import identity_pb2, identity_pb2_grpc
from featward.kubernetes.backoff import Backoff
from featward.logs import fields
from featward_engine import Credentials, EngineError, PendingIdentity, __version__

__all__ = ["WorkloadIdentity"]

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 10.0
# The wall clock may be set while we wait, so waits for a time of day are cut into pieces of this length;
# a tenth of a second while the CA waits to hear that an earlier certificate is no longer in use.
_LOOK_SECONDS, _PARTING_SECONDS = 5.0, 0.1
# A CA that restarts counts on its operator to be back within ten seconds.
_LONGEST_WAIT = 5.0
# Renewals are spread over a tenth of their interval to either side, and begin before the last tenth.
_JITTER, _LAST = 0.1, 0.1
_RETRY_AFTER, _ALERT = "featward-retry-after-ms", "featward-alert"
_REFUSALS = (
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
)

Stub: Any = identity_pb2_grpc.IdentityServiceStub


class WorkloadIdentity:
    """`run` keeps it; `ready` is set with the first SVID, for good."""

    def __init__(
        self,
        credentials: Credentials,
        address: str,
        trust_domain: str,
        token: Callable[[], str],
        roots: Callable[[], Sequence[str]],
        sockets: Path,
        *,
        expected: str | None = None,
        evidence: Callable[[str], identity_pb2.Evidence] | None = None,
        renews_by_evidence: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        """The CA of `trust_domain` is at `address` (``host:port``), known at first contact by one of `roots`
        (SHA-256, hex). `token` and `roots` are asked at each use, because both are replaced in their files;
        they may raise OSError or ValueError. `sockets` is a folder that nobody else gets into.

        `expected` is the SPIFFE ID that we are, the operator's by default. `evidence` makes of a token what
        the CA is shown, by default that of a service account. A token that is good for one use is shown once:
        without `renews_by_evidence` renewals rest on the certificate.
        """
        self.ready = asyncio.Event()
        self.not_after = 0.0
        """When the SVID in use ends, in Unix seconds by our clock; 0 before the first."""
        self.last_error: str | None = None
        """Why the CA was last asked in vain; None while its stream is open."""
        self._credentials = credentials
        self._address = address
        self._ca = str(SpiffeId.ca(trust_domain))
        self._expected = expected or str(SpiffeId.operator(trust_domain))
        self._token = token
        self._roots = roots
        self._evidence = evidence or _service_account
        self._renews_by_evidence = renews_by_evidence
        self._now = now
        self._dialers = Dialers(credentials, sockets)
        self._pending: PendingIdentity | None = None
        self._renew_at = 0.0
        self._lineage = ""
        self._offset = 0.0
        self._acknowledged = 0
        self._serial_told = ""
        self._is_refused = self._is_worthless = False
        # Why the newest connection to the CA could not be made.
        self._behind: str | None = None
        self._tried = 0
        self._backoff = Backoff(longest=_LONGEST_WAIT)

    def channel(self, expect: str, address: str) -> grpc.aio.Channel:
        """To whoever is `expect` (a SPIFFE ID) at `address`; it shows our SVID of the moment. The caller closes
        it. Raises ConfigError.
        """
        return self._dialers.channel(expect, address)

    async def close(self) -> None:
        """End all connections, of `channel` too; after `run` was cancelled."""
        await self._dialers.close()

    async def run(self) -> NoReturn:
        """Have an identity until cancelled. Whatever fails is logged and tried again."""
        while True:
            try:
                if self._must_attest():
                    await self._attest()
                await self._watch()
            except grpc.aio.AioRpcError as error:
                alert = _alert(error)
                refused = refused_by(alert)
                self._is_refused = error.code() in _REFUSALS
                self._is_worthless = refused is not None
                # What breaks behind a Dialer looks like a closed socket; the Dialer knows more.
                why = self._behind or f"{error.code().name}: {error.details()}"
                if refused is not None:
                    why = f"the CA refuses our certificate (TLS alert {alert}): {refused.words}"
                await self._wait_after(why, _retry_after(error))
            except (EngineError, IdentityRefusedError, OSError, ValueError) as error:
                # What we have is tried again in its turn: a ban may have been lifted.
                self._is_worthless = False
                await self._wait_after(str(error), None)

    # Attestation

    def _must_attest(self) -> bool:
        """For the first identity, for one that the CA does not even let in, and for one that has ended: by
        evidence that is still there, or because the CA does not renew it any more.
        """
        if self._credentials.identity() is None or self._is_worthless:
            return True
        may = self._renews_by_evidence or self._is_refused
        return may and self._now() >= self.not_after

    async def _attest(self) -> None:
        evidence, root = self._shown(), self._root()
        channel = self._dialers.channel(self._ca, self._address, root)
        try:
            request = identity_pb2.AttestRequest(
                evidence=evidence, csr=self._csr(), version=__version__
            )
            answer = await Stub(channel).Attest(request, timeout=_ANSWER_SECONDS)
        finally:
            self._behind = self._dialers.why(self._ca, self._address, root)
            await channel.close()
            await self._dialers.end(self._ca, self._address, root)
        if answer.svid.spiffe_id != self._expected:
            raise IdentityRefusedError(
                f"the CA takes us for {answer.svid.spiffe_id}, and we are {self._expected}; correct --operator"
                " of the CA, or the service account of this pod"
            )
        self._trust(answer.trust)
        self._use(answer.svid, answer.server_time)
        self._is_refused = self._is_worthless = False

    def _root(self) -> str:
        """While one root follows another there are two, and each is tried in its turn."""
        roots = [root for root in self._roots() if root]
        if not roots:
            raise IdentityRefusedError(
                "no digest of a root says which CA is ours; wait for it, or correct its file"
            )
        self._tried += 1
        return roots[self._tried % len(roots)]

    def _shown(self) -> identity_pb2.Evidence:
        token = self._token().strip()
        if not token:
            raise IdentityRefusedError("there is no token to show the CA; its file is empty")
        return self._evidence(token)

    # The stream

    async def _watch(self) -> None:
        """Follow the CA until the stream ends or our certificate changes: the next one shows the new one."""
        channel = self._dialers.channel(self._ca, self._address)
        try:
            call = Stub(channel).WatchIdentity()
            answers: asyncio.Queue[identity_pb2.WatchIdentityResponse | None] = asyncio.Queue()
            reading = asyncio.create_task(_read(call, answers))
            try:
                await self._follow(call, answers, reading)
            finally:
                self._behind = self._dialers.why(self._ca, self._address)
                call.cancel()
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                    await reading
        finally:
            await channel.close()

    async def _follow(
        self,
        call: Any,
        answers: "asyncio.Queue[identity_pb2.WatchIdentityResponse | None]",
        reading: "asyncio.Task[None]",
    ) -> None:
        await call.write(self._message())
        asked_at: float | None = None
        while True:
            if (
                self._credentials.sequence() > self._acknowledged
                or self._serial_in_use() != self._serial_told
            ):
                await call.write(self._message())
            if asked_at is None and self._now() >= self._renew_at:
                await call.write(self._message(renew=True))
                asked_at = time.monotonic()
            try:
                async with asyncio.timeout(self._patience(asked_at)):
                    answer = await answers.get()
            except TimeoutError:
                if asked_at is not None and time.monotonic() - asked_at > _ANSWER_SECONDS:
                    raise IdentityRefusedError(
                        f"the CA did not answer a renewal within {_ANSWER_SECONDS:g} s"
                    ) from None
                continue
            if answer is None:
                await reading  # raises what has ended the stream
                raise IdentityRefusedError("the CA has ended the stream")
            if self._take(answer):
                return

    def _take(self, answer: identity_pb2.WatchIdentityResponse) -> bool:
        """Use what came; whether our certificate is a new one."""
        self._backoff.reset()
        self.last_error, self._is_refused = None, False
        if answer.server_time:
            self._set_clock(answer.server_time)
        if answer.HasField("trust"):
            self._trust(answer.trust)
        if answer.HasField("order"):
            self._renew_within(answer.order.renew_within_ms / 1000, answer.order.reason)
        for svid in answer.svids:
            self._use(svid, answer.server_time)
        return bool(answer.svids)

    def _message(self, *, renew: bool = False) -> identity_pb2.WatchIdentityRequest:
        request = identity_pb2.WatchIdentityRequest(
            # The engine uses it, and there is nobody else here to be told.
            acknowledged_sequence=self._credentials.sequence(),
            serial_in_use=self._serial_in_use(),
            lineage=self._lineage,
            version=__version__,
            clock_offset_ms=round(self._offset * 1000),
        )
        self._acknowledged = request.acknowledged_sequence
        self._serial_told = request.serial_in_use
        if renew:
            if self._renews_by_evidence:
                request.evidence.CopyFrom(self._shown())
            request.csrs.append(self._csr())
        return request

    def _patience(self, asked_at: float | None) -> float:
        until_renewal = _LOOK_SECONDS if asked_at is not None else self._renew_at - self._now()
        # Connections that were made with the certificate of before live on for a moment.
        parting = self._serial_told != self._identity().get("serial", "")
        look = _PARTING_SECONDS if parting else _LOOK_SECONDS
        return max(0.01, min(look, until_renewal))

    # What arrives

    def _csr(self) -> bytes:
        if self._pending is None:
            self._pending = self._credentials.new_identity()
        return self._pending.csr

    def _serial_in_use(self) -> str:
        return self._credentials.serial_in_use() or ""

    def _identity(self) -> dict[str, str]:
        identity: dict[str, str] = json.loads(self._credentials.identity() or b"{}")
        return identity

    def _trust(self, trust: identity_pb2.Trust) -> None:
        if trust.sequence == self._credentials.sequence():
            return
        try:
            use_trust(self._credentials, trust)
        except EngineError as error:
            # Not acknowledged, so the CA keeps it pending; renewals must not stop for it.
            log.error("trust refused", extra=fields(sequence=trust.sequence, error=str(error)))
            return
        if self._identity().get("authority") in tainted_authorities(trust):
            self._renew_within(trust.reissue_within_ms / 1000, "its authority is being withdrawn")

    def _renew_within(self, seconds: float, why: str) -> None:
        """Renew at a random moment within this time, unless that is due sooner anyway."""
        due = self._now() + _some(0.0, seconds)
        if due < self._renew_at:
            self._renew_at = due
            log.info("renewal brought forward", extra=fields(reason=why, within=seconds))

    def _use(self, svid: identity_pb2.Svid, server_time: int) -> None:
        if self._pending is None:
            log.warning("certificate without a request", extra=fields(spiffe_id=svid.spiffe_id))
            return
        spiffe_id = self._credentials.set_identity(self._pending, list(svid.chain))
        self._pending, self._lineage = None, svid.lineage
        # Times are compared on the CA's clock: ours may be wrong by more than a short life.
        self._set_clock(server_time)
        self._renew_at = _renewal_time(svid) + self._offset
        self.not_after = svid.not_after + self._offset
        self.ready.set()
        told = fields(
            spiffe_id=spiffe_id,
            serial=self._identity().get("serial"),
            expires_in=round(svid.not_after - server_time / 1000),
        )
        log.info("identity issued", extra=told)

    def _set_clock(self, server_time: int) -> None:
        self._offset = self._now() - server_time / 1000
        self._credentials.set_clock_offset(self._offset)

    # Failures

    async def _wait_after(self, why: str, asked: float | None) -> None:
        self.last_error = why
        left = self.not_after - self._now()
        level = logging.WARNING if left > 0 or not self.ready.is_set() else logging.ERROR
        # Whoever is sent away while its identity ends comes back sooner than that.
        delay = self._backoff.next(asked)
        if left > 0:
            delay = min(delay, max(0.5, left / 4))
        told = fields(error=why, retry_in=round(delay, 2), identity_expires_in=round(left))
        log.log(level, "CA not followed", extra=told)
        await asyncio.sleep(delay)


def _service_account(token: str) -> identity_pb2.Evidence:
    return identity_pb2.Evidence(kubernetes=identity_pb2.KubernetesEvidence(token=token))


async def _read(
    call: Any, answers: "asyncio.Queue[identity_pb2.WatchIdentityResponse | None]"
) -> None:
    """Apart, because a read that is given up takes its call along. None: the stream has ended."""
    try:
        while (answer := await call.read()) is not grpc.aio.EOF:
            answers.put_nowait(answer)
    finally:
        answers.put_nowait(None)


def _renewal_time(svid: identity_pb2.Svid) -> float:
    """On the CA's clock: around when it asks for it, and always before the last tenth of the life."""
    interval = svid.renew_at - svid.issued_at
    latest = svid.not_after - (svid.not_after - svid.issued_at) * _LAST
    return min(latest, svid.renew_at + _some(-_JITTER, _JITTER) * interval)


def _some(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311  # spreads load, hides nothing


def _alert(error: grpc.aio.AioRpcError) -> str:
    """The TLS alert by which the CA refused our certificate, if it was that."""
    told = dict(error.trailing_metadata() or ())
    return str(told.get(_ALERT, ""))


def _retry_after(error: grpc.aio.AioRpcError) -> float | None:
    """Seconds for which the CA wants to be left alone."""
    for key, value in error.trailing_metadata() or ():
        if key == _RETRY_AFTER and str(value).isdecimal():
            return int(value) / 1000
    return None

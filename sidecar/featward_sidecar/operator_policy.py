"""Keeps the engine's policy fresh from the operator, and tells it what became of it.

One thread of its own, with one WatchPolicy stream. An operator that is away, silent or refuses us changes
nothing: the policy in use stays for as long as the process lives, and its bindings still end by date. Before
the first word of the operator the policy of an earlier run stands in, if it is young enough and ours.
"""

import json
import logging
import threading
import time
from collections.abc import Container
from contextlib import suppress

from featward.logs import fields
from featward.policy.v1 import policy_pb2 as v1
from featward_engine import Credentials, EngineError
from featward_sidecar.agent_status import AgentStatus, failure
from featward_sidecar.backoff import Backoff
from featward_sidecar.errors import CallError, SidecarError, SnapshotError
from featward_sidecar.grpc_call import GrpcCall, Status
from featward_sidecar.operator_way import OperatorWay
from featward_sidecar.parts import Parts
from featward_sidecar.policy_use import OPERATOR, Found, PolicyUse, Sink
from featward_sidecar.refusals import REFUSALS
from featward_sidecar.reports import Reports
from featward_sidecar.snapshots import Header, read_header, read_upstreams

__all__ = ["OperatorPolicy"]

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""How often we look whether to stop, whether our identity has changed and whether a report is due."""

SILENCE_SECONDS = 100.0
"""The operator says every 30 s that what we have is the newest. After three times that it hangs, and another
replica may not."""

LIFE = 200.0
"""Of what is waited for, as `Backoff` counts: an operator that is back is noticed within a tenth of this, 20 s,
so that a grant that was taken away meanwhile does not live for longer. Ten thousand sidecars make 670 attempts
a second by then, most of them a connection that is refused."""

GOODBYE_SECONDS = 1.0
"""How long a last word may be on its way. The operator ends the stream once it has heard it, mostly sooner."""

STEADY_SECONDS = 10.0
"""A stream that has lived for so long was a good one, and its end is the first failure again. One that is
refused after its first word is not."""


class OperatorPolicy:
    """`run` is the thread's body; `reread` and `stop` are for other threads."""

    def __init__(
        self,
        way: OperatorWay,
        hello: v1.Hello,
        expected: Container[str],
        credentials: Credentials,
        in_use: PolicyUse,
        reports: Reports,
        status: AgentStatus,
        upstream: str | None = None,
    ) -> None:
        """`hello` is what is said at the begin of each stream, less the digest; `upstream` where the feature
        server is on this machine, if elsewhere than the sets say."""
        self._way = way
        self._hello = hello
        self._expected = expected
        self._credentials = credentials
        self._in_use = in_use
        self._reports = reports
        self._status = status
        self._upstream = upstream
        self._stopped = threading.Event()
        self._reread = False
        self._connected = False
        self._since = 0.0
        self._trust_domain = ""
        self._backoff = Backoff()

    def run(self, sink: Sink, trust_domain: str) -> None:
        """Use the policy of before, then follow the operator until `stop`."""
        self._trust_domain = trust_domain
        self._stand_in(sink)
        while not self._stopped.is_set():
            if self._credentials.identity() is None:
                self._stopped.wait(LOOK_SECONDS)  # nobody would know whose policy to send
                continue
            try:
                self._watch(sink)
            except (SidecarError, EngineError, OSError) as error:
                self._wait_after(error)
            except Exception as error:  # a defect of ours must not end the watch: the policy stays
                log.exception("policy thread stumbled")
                self._wait_after(error)
        self._way.close()

    def reread(self) -> None:
        """Ask the operator again (SIGHUP)."""
        self._reread = True

    def stop(self) -> None:
        """End within `LOOK_SECONDS`, with a last word to the operator."""
        self._stopped.set()

    def _stand_in(self, sink: Sink) -> None:
        """Begin with what an earlier run has left: who is granted something then is not refused now."""
        try:
            found = self._in_use.newest_kept()
            if found.header.workload not in self._expected:
                ours = f"we are {self._expected}"
                raise SnapshotError(f"the kept policy is of {found.header.workload}, and {ours}")
            self._take_into_use(sink, found)
        except (SnapshotError, EngineError, OSError) as error:
            log.info("no policy until the operator sends one", extra=fields(reason=str(error)))

    # The stream

    def _watch(self, sink: Sink) -> None:
        """Follow the operator until we end, or have another certificate to show, over another connection."""
        us, parts = self._us(), Parts()
        self._connected = False
        with self._way.watch() as call:
            call.send(self._greeting())
            heard = time.monotonic()
            while not self._take_reread():
                if self._stopped.is_set():
                    self._say_goodbye(call)
                    return
                now = self._us()
                if now != us and (now[0] != us[0] or not parts.pending):
                    return
                data = call.receive(LOOK_SECONDS)
                if data is not None:
                    heard = time.monotonic()
                    self._answered()
                    self._act(v1.WatchPolicyResponse.FromString(data), parts, call, sink)
                elif time.monotonic() - heard > SILENCE_SECONDS:
                    text = f"the operator has said nothing for {SILENCE_SECONDS:.0f} s"
                    raise CallError(Status.DEADLINE_EXCEEDED, text)
                if self._connected and (report := self._reports.due()) is not None:
                    call.send(v1.WatchPolicyRequest(report=report).SerializeToString())

    def _greeting(self) -> bytes:
        hello = v1.Hello(digest=self._in_use.digest or "")
        hello.MergeFrom(self._hello)
        return v1.WatchPolicyRequest(hello=hello).SerializeToString()

    def _say_goodbye(self, call: GrpcCall) -> None:
        report = self._reports.make(draining=True)
        call.send(v1.WatchPolicyRequest(report=report).SerializeToString(), last=True)
        # A connection that is closed at once takes with it what has not been carried yet.
        ends = time.monotonic() + GOODBYE_SECONDS
        with suppress(CallError):
            while (left := ends - time.monotonic()) > 0:
                call.receive(left)

    def _us(self) -> tuple[str, str]:
        """Our SPIFFE ID, and the serial of the certificate that new connections show."""
        told = json.loads(self._credentials.identity() or b"{}")
        return told.get("spiffe_id", ""), told.get("serial", "")

    def _take_reread(self) -> bool:
        asked, self._reread = self._reread, False
        return asked

    def _answered(self) -> None:
        if self._connected:
            return
        self._connected, self._since = True, time.monotonic()
        self._reports.begin()
        self._status.update(
            "operator", connected=True, since=time.time(), failures=0, last_error=None
        )
        log.info("operator stream open", extra=fields(identity=self._us()[0]))

    # What arrives

    def _act(
        self, response: v1.WatchPolicyResponse, parts: Parts, call: GrpcCall, sink: Sink
    ) -> None:
        match response.WhichOneof("what"):
            case "part":
                self._take_part(response.part, parts, call, sink)
            case "current":
                self._in_use.confirm_as(OPERATOR, response.current.digest)
            case "terms":
                self._reports.every(response.terms.report_ms / 1000)
            case _:  # of a newer operator, and nothing that we were made to heed
                log.debug("operator said what is not known here")

    def _take_part(self, part: v1.Part, parts: Parts, call: GrpcCall, sink: Sink) -> None:
        try:
            snapshot = parts.take(part)
            if snapshot is None:
                return
            self._take_into_use(
                sink, Found(snapshot, self._our_header(snapshot), OPERATOR, time.time())
            )
            applied = v1.Applied(digest=part.digest)
        except (SnapshotError, EngineError) as error:
            self._in_use.refuse(error)
            applied = v1.Applied(digest=part.digest, error=str(error))
        call.send(v1.WatchPolicyRequest(applied=applied).SerializeToString())

    def _our_header(self, snapshot: bytes) -> Header:
        header, (ours, _) = read_header(snapshot), self._us()
        if header.workload != ours:
            raise SnapshotError(
                f"the operator sent the policy of {header.workload}, and we are {ours}"
            )
        return header

    def _take_into_use(self, sink: Sink, found: Found) -> None:
        upstreams = read_upstreams(found.snapshot)
        self._in_use.use(sink, found, self._trust_domain)
        if self._upstream is not None:
            host, _, port = self._upstream.rpartition(":")
            upstreams = ((host.strip("[]"), int(port)),) if upstreams else ()
        self._reports.watch(upstreams)

    # Failures

    def _wait_after(self, error: Exception) -> None:
        if self._stopped.is_set():
            return
        if self._connected and time.monotonic() - self._since > STEADY_SECONDS:
            self._backoff.reset()
        self._connected = False
        has_policy = self._in_use.digest is not None
        asked = error.retry_after if isinstance(error, CallError) else None
        delay = self._backoff.next(LIFE if has_policy else None, asked=asked)
        failures = self._backoff.failures
        self._status.update(
            "operator",
            connected=False,
            since=None,
            failures=failures,
            last_error=failure(str(error)),
        )
        refused = isinstance(error, CallError) and error.status in REFUSALS
        phrase = "operator refused us" if refused else "operator not reached"
        details = fields(error=str(error), retry_in=round(delay, 2), in_use=self._in_use.digest)
        log.warning(phrase, extra=details)
        self._stopped.wait(delay)

"""An operator to sidecars, as far as policy goes: a real Listener before a small real PolicyService.

It sends each caller the snapshot that a test has published for its identity, in parts, and notes what it is
told. It can be made silent, or refuse. Whose snapshot that is goes by the certificate alone.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import grpc

from certificates import DOMAIN
from featward.policy.v1 import policy_pb2, policy_pb2_grpc, snapshot_pb2
from featward_engine import Credentials, Listener

__all__ = ["Operator", "a_snapshot", "digest_of", "parts_of", "running_operator"]

Said = TypeVar("Said")

SECONDS = 30.0
"""For what a test waits for."""

CURRENT_SECONDS = 0.5
"""Between two words that nothing has changed; the operator itself says so every 30 s."""


def digest_of(snapshot: bytes) -> str:
    """As the engine and the operator name it."""
    return hashlib.sha256(snapshot).hexdigest()


def parts_of(snapshot: bytes, size: int = 512 << 10) -> Iterator[policy_pb2.Part]:
    """A snapshot as it goes over the wire."""
    digest, total = digest_of(snapshot), len(snapshot)
    for offset in range(0, total, size):
        data = snapshot[offset : offset + size]
        yield policy_pb2.Part(digest=digest, total=total, offset=offset, data=data)


def a_snapshot(
    workload: str,
    feature: str = "view:one",
    *,
    port: int = 6566,
    bindings: int = 1,
    mode: snapshot_pb2.Mode = snapshot_pb2.MODE_ENFORCE,
    trust_domain: str = DOMAIN,
) -> bytes:
    """One set of one feature, granted by so many bindings to as many workloads."""
    policy = snapshot_pb2.Snapshot(format=1, engine_version="0.1.0", environment="prod")
    policy.trust_domain, policy.workload = trust_domain, workload
    drivers = policy.feature_sets.add(namespace="ml", name="drivers", version="1.0.0", mode=mode)
    drivers.business_unit, drivers.upstream_auth = "prod.payments", snapshot_pb2.UPSTREAM_AUTH_NONE
    drivers.endpoints.add(adapter="feast-http/v1", host="127.0.0.1", port=port)
    drivers.features.add(name=feature, type=snapshot_pb2.COLUMN_TYPE_DOUBLE, cost=1)
    for number in range(bindings):
        one = policy.bindings.add(namespace="ml", name=f"b-{number:06d}", expires=4_000_000_000)
        one.feature_set_namespace, one.feature_set_name = "ml", "drivers"
        one.on_excess = snapshot_pb2.ON_EXCESS_DENY
        caller = f"spiffe://{trust_domain}/bu/payments/svc/app-{number:06d}"
        one.subjects.add(kind=snapshot_pb2.SUBJECT_KIND_WORKLOAD, value=caller)
        one.features.append(feature)
    return policy.SerializeToString(deterministic=True)


class Operator(policy_pb2_grpc.PolicyServiceServicer):
    """What was published, and what was told by whom."""

    def __init__(self) -> None:
        self.news = threading.Condition()
        self.address = ""
        self.hellos: list[tuple[str, policy_pb2.Hello]] = []
        self.applied: list[policy_pb2.Applied] = []
        self.reports: list[policy_pb2.Report] = []
        self.silent = False
        self.report_ms = 0
        self.part_bytes = 512 << 10
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.retry_after_ms: int | None = None
        self._published: dict[str, bytes] = {}
        self._open: set[grpc.ServicerContext] = set()
        self._ended = False

    def publish(self, identity: str, snapshot: bytes) -> str:
        """Send this to whoever is of this identity, now and from now on; its digest."""
        with self.news:
            self._published[identity] = snapshot
            self.news.notify_all()
        return digest_of(snapshot)

    def drop(self) -> None:
        """End every open stream, as a replica that goes away does."""
        for context in list(self._open):
            context.cancel()

    @property
    def _terms(self) -> policy_pb2.Terms:
        return policy_pb2.Terms(report_ms=self.report_ms)

    @property
    def streams(self) -> int:
        """Open at the moment."""
        return len(self._open)

    def wait(self, condition: Callable[["Operator"], bool], seconds: float = SECONDS) -> None:
        """Until something that was told makes this true."""
        with self.news:
            told = (self.hellos, self.applied, self.reports)
            assert self.news.wait_for(lambda: condition(self), seconds), told

    def report(self, condition: Callable[[policy_pb2.Report], bool]) -> policy_pb2.Report:
        """The newest report, once it is so."""
        self.wait(lambda told: bool(told.reports) and condition(told.reports[-1]))
        return self.reports[-1]

    def end(self) -> None:
        """Let the open streams end by themselves."""
        with self.news:
            self._ended = True
            self.news.notify_all()

    def WatchPolicy(  # noqa: N802 -- the name of the method
        self,
        request_iterator: Iterator[policy_pb2.WatchPolicyRequest],
        context: grpc.ServicerContext,
    ) -> Iterator[policy_pb2.WatchPolicyResponse]:
        """One stream."""
        caller = str(dict(context.invocation_metadata())["featward-peer-spiffe-id"])
        hello = next(request_iterator).hello
        self._note(self.hellos, (caller, hello))
        if self.refusal is not None:
            if self.report_ms:
                yield policy_pb2.WatchPolicyResponse(terms=self._terms)
            if self.retry_after_ms is not None:
                context.set_trailing_metadata(
                    (("featward-retry-after-ms", str(self.retry_after_ms)),)
                )
            context.abort(*self.refusal)
        self._open.add(context)
        context.add_callback(lambda: self._closed(context))
        listening = (request_iterator, context)
        threading.Thread(target=self._listen, args=listening, daemon=True).start()
        if self.report_ms and not self.silent:
            yield policy_pb2.WatchPolicyResponse(terms=self._terms)
        yield from self._say(caller, hello.digest, context)

    def _say(
        self, caller: str, sent: str, context: grpc.ServicerContext
    ) -> Iterator[policy_pb2.WatchPolicyResponse]:
        while context in self._open and not self._ended:
            snapshot = b"" if self.silent else self._published.get(caller, b"")
            if snapshot and digest_of(snapshot) != sent:
                sent = digest_of(snapshot)
                for part in parts_of(snapshot, self.part_bytes):
                    yield policy_pb2.WatchPolicyResponse(part=part)
            elif snapshot:
                current = policy_pb2.Current(digest=sent)
                yield policy_pb2.WatchPolicyResponse(current=current)
            with self.news:
                unsent = snapshot
                self.news.wait_for(
                    lambda: (
                        self._ended
                        or context not in self._open
                        or self._published.get(caller, b"") != unsent  # noqa: B023 -- called here
                    ),
                    CURRENT_SECONDS,
                )

    def _listen(
        self, requests: Iterator[policy_pb2.WatchPolicyRequest], context: grpc.ServicerContext
    ) -> None:
        with suppress(grpc.RpcError, ValueError):  # however the stream ends
            for request in requests:
                if request.HasField("applied"):
                    self._note(self.applied, request.applied)
                else:
                    self._note(self.reports, request.report)
        self._closed(context)  # whoever has said its last word wants none

    def _note(self, where: list[Said], what: Said) -> None:
        with self.news:
            where.append(what)
            self.news.notify_all()

    def _closed(self, context: grpc.ServicerContext) -> None:
        with self.news:
            self._open.discard(context)
            self.news.notify_all()


@contextmanager
def running_operator(
    folder: Path, credentials: Credentials, listen: str = "127.0.0.1:0"
) -> Iterator[Operator]:
    """One that shows the identity in these credentials, at `address`."""
    operator = Operator()
    server = grpc.server(futures.ThreadPoolExecutor(8))
    policy_pb2_grpc.add_PolicyServiceServicer_to_server(operator, server)
    server.add_insecure_port(f"unix:{folder / 'policy.sock'}")
    server.start()
    config = {"listen": listen, "forward": str(folder / "policy.sock")}
    listener = Listener(credentials, json.dumps(config).encode())
    operator.address = listener.start()
    try:
        yield operator
    finally:
        operator.end()
        listener.stop(0.0)
        server.stop(0).wait()

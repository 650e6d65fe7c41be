"""A sidecar's workload socket in this process, over a real engine, and the two SPIFFE clients in use."""

import fcntl
import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from spiffe import WorkloadApiClient
from spiffe.workloadapi.workload_api_client import RetryPolicy

from certificates import DOMAIN, PRICING, Environment
from featward_engine import Credentials
from featward_sidecar.agent_status import AgentStatus
from featward_sidecar.consumers import Consumers
from featward_sidecar.content import Bundle
from featward_sidecar.socket import health, secrets, workload_api
from featward_sidecar.socket.server import SocketServer

__all__ = [
    "Client",
    "GoClient",
    "PyClient",
    "Served",
    "ending",
    "go_program",
    "next_event",
    "outcome",
    "raw_call",
    "wait_for",
]

SECONDS = 20.0
HEADER = (("workload.spiffe.io", "true"),)


class Served:
    """Credentials, consumers and the socket; `identify` and `trust` are what a CA would do."""

    def __init__(self, path: Path, services: dict[str, Any] | None = None) -> None:
        self.path = path
        self.environment = Environment()
        self.credentials = Credentials(DOMAIN)
        self.services = services or {
            each.SERVICE: each.open_method for each in (health, secrets, workload_api)
        }
        self.roots = self.environment.roots
        self.sequence = 0
        self.start()

    def start(self) -> None:
        """Bind and serve; again after `stop`, as a sidecar that was restarted."""
        self.server = SocketServer(self.path, 0o600, self.services)
        status = AgentStatus("prod.payments/pricing", "", "")
        self.consumers = Consumers(self.credentials, [self.server], status)
        self.server.bind()
        self._thread = threading.Thread(target=self.server.run, daemon=True)
        self._thread.start()
        if self.sequence:
            self.hand_out()

    def stop(self) -> None:
        self.server.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def identify(self, identity: str = PRICING, **options: object) -> str:
        """A new SVID; returns its serial, as Go and `hex` write it."""
        if not self.sequence:
            self.trust()
        self.environment.payments.identify(self.credentials, identity, **options)
        self.consumers.refresh()
        return self.serial

    @property
    def serial(self) -> str:
        told: dict[str, str] = json.loads(self.credentials.identity() or b"{}")
        return format(int(told["serial"], 16), "x")

    def trust(self, *more_roots: bytes, federated: tuple[Bundle, ...] = ()) -> int:
        """Trust the environment's root and these."""
        self.sequence += 1
        self.roots = [*self.environment.roots, *more_roots]
        self.federated = federated
        self.credentials.set_trust(self.roots, self.environment.scopes, self.sequence)
        self.hand_out()
        return self.sequence

    def hand_out(self) -> None:
        self.consumers.trust(Bundle(DOMAIN, tuple(self.roots)), self.federated)

    def given(self, sequence: int, seconds: float = SECONDS) -> float:
        """Wait until the sequence is given; returns how long that took."""
        began = time.monotonic()
        while self.consumers.given() < sequence:
            assert time.monotonic() < began + seconds
            time.sleep(0.01)
        return time.monotonic() - began

    @property
    def address(self) -> str:
        return f"unix://{self.path}"


class Client(Protocol):
    """One of the clients, as the tests see it: what it was told, in order."""

    events: "queue.Queue[dict[str, Any]]"

    def close(self) -> None: ...


def next_event(client: Client, kind: str, seconds: float = SECONDS) -> dict[str, Any]:
    """The next event of this kind; others before it are dropped."""
    deadline = time.monotonic() + seconds
    while True:
        event = client.events.get(timeout=max(0.01, deadline - time.monotonic()))
        if event["kind"] == kind:
            return event


class PyClient:
    """py-spiffe, by the call that its X509Source makes too."""

    def __init__(self, address: str, retry: bool = True) -> None:
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._client = WorkloadApiClient(address)
        self._cancel = self._client.stream_x509_contexts(
            self._updated, self._failed, retry_connect=retry, retry_policy=RetryPolicy()
        )

    def _updated(self, context: Any) -> None:
        svid = context.default_svid
        bundles = list(context.x509_bundle_set.bundles)
        self.events.put(
            {
                "kind": "update",
                "spiffe_id": str(svid.spiffe_id),
                "serial": format(svid.leaf.serial_number, "x"),
                "chain": len(svid.cert_chain),
                "authority": _name(svid.cert_chain[1]),
                "bundles": sorted(bundle.trust_domain.name for bundle in bundles),
                "roots": sum(len(bundle.x509_authorities) for bundle in bundles),
                "trusted": sorted(_name(root) for one in bundles for root in one.x509_authorities),
            }
        )

    def _failed(self, error: Exception) -> None:
        """Called for what ends the watch; py-spiffe tells nobody of what it tries again."""
        self.events.put({"kind": "ended", "error": str(error)})

    def close(self) -> None:
        self._cancel.cancel()
        self._client.close()


def _name(certificate: x509.Certificate) -> str:
    """What the CA calls the authority of this certificate."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    spki = certificate.public_key().public_bytes(serialization.Encoding.DER, form)
    return hashlib.sha256(spki).hexdigest()[:16]


class GoClient:
    """go-spiffe, in a program of its own."""

    def __init__(self, address: str) -> None:
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        command = [go_program("watch"), address]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            for name in ("bundles", "trusted"):
                event[name] = sorted(event.get(name, []))
            self.events.put(event)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()


_GO = Path(__file__).parents[1] / "interop" / "go"


def go_program(name: str) -> str:
    """One of tests/interop/go, built once for each state of its sources, outside of the checkout."""
    go = Path(sys.executable).parent / "go"
    if not go.exists():
        pytest.fail("there is no Go beside this Python: install the group 'test', as make does")
    digest = hashlib.sha256()
    for source in sorted([*_GO.glob("go.*"), *_GO.glob("*/*.go")]):
        digest.update(source.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "featward" / "interop"
    built = cache / digest.hexdigest()[:16] / name
    built.parent.mkdir(parents=True, exist_ok=True)
    # Of several test runs the first builds, and the others wait for it.
    with (built.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            subprocess.run([go, "build", "-o", built, f"./{name}"], cwd=_GO, check=True)
    return str(built)


@contextmanager
def raw_call(
    path: Path, method: str, metadata: tuple[tuple[str, str], ...] = HEADER, request: bytes = b""
) -> Iterator[Any]:
    """A call by grpcio with these bytes; the stream of answers, as bytes."""
    with grpc.insecure_channel(f"unix:{path}") as channel:
        call: Any = channel.unary_stream(method, None, None)
        yield call(request, metadata=metadata, timeout=SECONDS)


def ending(call: Any) -> tuple[str, str]:
    """Code and text that a call ends in without a further answer."""
    with suppress(grpc.RpcError):
        assert next(call, None) is None
    return call.code().name, call.details()


def outcome(path: Path, method: str, *arguments: Any) -> tuple[str, str]:
    """The same of a new call."""
    with raw_call(path, method, *arguments) as call:
        return ending(call)


def wait_for(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """For what can only be asked for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

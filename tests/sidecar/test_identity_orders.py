"""What the CA may say on the identity stream, and what it is told: with a CA that says what the test wants.

Certificates, keys and the engine are real; only the CA's decisions are scripted, since no real one makes these
on demand.
"""

import json
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

from certificates import DOMAIN, PRICING, Authority, Environment, der
from featward.identity.v1 import identity_pb2, identity_pb2_grpc
from featward_engine import Credentials
from featward_sidecar.agent_status import AgentStatus
from featward_sidecar.authority import Authority as Way
from featward_sidecar.configuration import Identity
from featward_sidecar.consumers import Consumers
from featward_sidecar.content import Content
from featward_sidecar.evidence import evidence_for
from featward_sidecar.grpc_call import Status
from featward_sidecar.identity import IdentityKeeper
from workload_kit import wait_for

WORKLOAD = "prod.payments/pricing"
LINEAGE = "0123abcd"


class ScriptedCa(identity_pb2_grpc.IdentityServiceServicer):
    """Signs whatever it is asked to; `say` puts something on the open stream, `heard` is what it was told."""

    def __init__(self, path: Path) -> None:
        self.environment = Environment()
        self.clock_ahead = 0.0
        # Seconds from an SVID to its renewal.
        self.renew_after = 1800
        self.heard: queue.Queue[Any] = queue.Queue()
        self.attested: list[Any] = []
        self.refusals: queue.Queue[tuple[grpc.StatusCode, int]] = queue.Queue()
        self._say: queue.Queue[Any] = queue.Queue()
        self.trust = self.trusting(10)
        self._server = grpc.server(ThreadPoolExecutor(8))
        add: Any = identity_pb2_grpc.add_IdentityServiceServicer_to_server
        add(self, self._server)
        self._server.add_insecure_port(f"unix:{path}")
        self._server.start()

    def trusting(
        self, sequence: int, *more_roots: bytes, tainted: bool = False, **more: Any
    ) -> Any:
        payments = self.environment.payments.spki_sha256
        return identity_pb2.Trust(
            sequence=sequence,
            trust_domain=DOMAIN,
            roots=[*self.environment.roots, *more_roots],
            scopes=[
                identity_pb2.Scope(
                    spki_sha256=digest, path_prefix=prefix, tainted=tainted and digest == payments
                )
                for digest, prefix in self.environment.scopes
            ],
            **more,
        )

    def say(self, **values: Any) -> None:
        self._say.put(identity_pb2.WatchIdentityResponse(server_time=self.now(), **values))

    def now(self) -> int:
        return int((time.time() + self.clock_ahead) * 1000)

    def sign(self, csr: bytes) -> Any:
        key: Any = x509.load_der_x509_csr(csr).public_key()
        leaf = self.environment.payments.leaf(PRICING, key)
        issued = self.now() // 1000
        return identity_pb2.Svid(
            spiffe_id=PRICING,
            chain=[der(leaf), der(self.environment.payments.certificate)],
            not_before=issued - 60,
            not_after=issued + 3600,
            issued_at=issued,
            renew_at=issued + self.renew_after,
            lineage=LINEAGE,
        )

    def Attest(self, request: Any, context: Any) -> Any:  # noqa: N802  the base's name
        self.attested.append(request)
        return identity_pb2.AttestResponse(
            svid=self.sign(request.csr), trust=self.trust, server_time=self.now()
        )

    def WatchIdentity(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        if not self.refusals.empty():
            code, retry_ms = self.refusals.get()
            context.set_trailing_metadata((("featward-retry-after-ms", str(retry_ms)),))
            context.abort(code, "too many callers")

        def listen() -> None:
            try:
                for request in requests:
                    self.heard.put(request)
                    if request.csrs:
                        self.say(svids=[self.sign(csr) for csr in request.csrs])
            except grpc.RpcError:
                pass  # the caller has gone

        threading.Thread(target=listen, daemon=True).start()
        yield identity_pb2.WatchIdentityResponse(trust=self.trust, server_time=self.now())
        while (said := self._say.get()) is not None:
            yield said

    def told(self, wanted: Callable[[Any], Any], seconds: float = 10) -> Any:
        """The next request that fits."""
        deadline = time.monotonic() + seconds
        while True:
            request = self.heard.get(timeout=max(0.01, deadline - time.monotonic()))
            if wanted(request):
                return request

    def end_stream(self) -> None:
        self._say.put(None)

    def close(self) -> None:
        self.end_stream()
        self._server.stop(0).wait()


class App:
    """A consumer that takes what it is given when the test says so."""

    def __init__(self) -> None:
        self.offered: list[tuple[Content, int]] = []
        self.withheld: list[Status] = []
        self.taken = 0

    def publish(self, content: Content, sequence: int) -> None:
        self.offered.append((content, sequence))

    def withhold(self, status: Status, why: str) -> None:
        self.withheld.append(status)

    def given(self) -> int:
        return self.taken


class Keeping:
    """A keeper in its thread."""

    def __init__(self, path: Path, *apps: App) -> None:
        told = Identity(WORKLOAD, f"unix:{path}")
        self.credentials = Credentials(DOMAIN)
        self.status: dict[str, Any] = {}
        published = AgentStatus(WORKLOAD, "", "")
        published.publish_to(self._take)
        way = Way(f"unix:{path}", DOMAIN, self.credentials, path.parent)
        consumers = Consumers(self.credentials, apps, published)
        self.keeper = IdentityKeeper(
            way, evidence_for(told), (PRICING,), self.credentials, consumers, published
        )
        self._thread = threading.Thread(target=self.keeper.run, daemon=True)
        self._thread.start()

    def _take(self, document: bytes) -> None:
        self.status = json.loads(document)

    def stop(self) -> None:
        self.keeper.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def ca(tmp_path: Path) -> Iterator[ScriptedCa]:
    ca = ScriptedCa(tmp_path / "ca.sock")
    yield ca
    ca.close()


@pytest.fixture
def keep(ca: ScriptedCa, tmp_path: Path) -> Iterator[Callable[..., Keeping]]:
    started: list[Keeping] = []

    def keep(*apps: App) -> Keeping:
        started.append(Keeping(tmp_path / "ca.sock", *apps))
        return started[-1]

    yield keep
    for keeping in started:
        keeping.stop()


def test_a_sequence_is_acknowledged_only_after_the_apps_were_given_it(
    ca: ScriptedCa, keep: Callable[..., Keeping]
) -> None:
    app = App()
    keep(app)
    assert ca.told(lambda request: True).acknowledged_sequence == 0
    wait_for(lambda: bool(app.offered))
    app.taken = 10
    assert ca.told(lambda request: request.acknowledged_sequence).acknowledged_sequence == 10
    other = der(Authority.root().certificate)
    ca.say(trust=ca.trusting(11, other))
    wait_for(lambda: app.offered[-1][1] == 11)
    assert other in app.offered[-1][0].own.roots
    assert ca.heard.empty()
    app.taken = 11
    assert ca.told(lambda request: True).acknowledged_sequence == 11


def test_without_apps_it_is_acknowledged_at_once_and_again_on_each_stream(
    ca: ScriptedCa, keep: Callable[..., Keeping]
) -> None:
    keep()
    assert ca.told(lambda request: True).acknowledged_sequence == 10
    ca.end_stream()
    assert ca.told(lambda request: True).acknowledged_sequence == 10


def test_the_ca_is_told_serial_lineage_version_and_clock(
    ca: ScriptedCa, keep: Callable[..., Keeping]
) -> None:
    ca.clock_ahead = 90
    keeping = keep()
    request = ca.told(lambda request: True)
    identity = json.loads(keeping.credentials.identity() or b"{}")
    assert (request.serial_in_use, request.lineage) == (identity["serial"], LINEAGE)
    assert request.version == ca.attested[0].version != ""
    assert -91_000 < request.clock_offset_ms < -89_000
    assert -91 < keeping.status["identity"]["clock_offset_seconds"] < -89


def test_a_renewal_that_is_due_comes_with_the_first_message_of_a_stream(
    ca: ScriptedCa, keep: Callable[..., Keeping]
) -> None:
    ca.renew_after = 0
    keeping = keep()
    request = ca.told(lambda request: True)
    ca.renew_after = 1800
    assert (len(request.csrs), request.acknowledged_sequence) == (1, 10)
    wait_for(lambda: keeping.status["identity"]["renewals"] > 0)


@pytest.mark.parametrize("cause", ["order", "tainted"])
def test_an_order_and_a_tainted_authority_bring_renewal_forward(
    ca: ScriptedCa, keep: Callable[..., Keeping], cause: str
) -> None:
    keeping = keep()
    ca.told(lambda request: True)
    before = keeping.status["identity"]["renew_at"]
    assert before > time.time() + 600
    if cause == "order":
        ca.say(order=identity_pb2.Order(renew_within_ms=500, reason="a test"))
    else:
        ca.say(trust=ca.trusting(11, tainted=True, reissue_within_ms=500))
    assert ca.told(lambda request: request.csrs, 3).serial_in_use
    wait_for(lambda: keeping.status["identity"]["renewals"] == 1)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_renewal_for_a_taint_falls_anywhere_within_the_time_that_the_ca_gives(
    ca: ScriptedCa, keep: Callable[..., Keeping], monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    keeping = keep()
    ca.told(lambda request: True)
    monkeypatch.setattr(random, "uniform", lambda low, high: low + share * (high - low))
    told_at = time.time()
    ca.say(trust=ca.trusting(11, tainted=True, reissue_within_ms=400_000))
    ca.told(lambda request: request.acknowledged_sequence == 11)
    after = keeping.status["identity"]["renew_at"] - told_at
    if share:
        assert share * 400 <= after < share * 400 + 5
    else:
        wait_for(lambda: keeping.status["identity"]["renewals"] == 1)


def test_another_authority_that_is_tainted_is_none_of_our_business(
    ca: ScriptedCa, keep: Callable[..., Keeping]
) -> None:
    keeping = keep()
    ca.told(lambda request: True)
    trust = ca.trusting(11)
    trust.scopes[1].tainted = True
    ca.say(trust=trust)
    ca.told(lambda request: request.acknowledged_sequence == 11)
    assert keeping.status["identity"]["renew_at"] > time.time() + 600


def test_a_ca_that_sheds_load_is_left_alone_for_as_long_as_it_asks(
    ca: ScriptedCa, keep: Callable[..., Keeping]
) -> None:
    ca.refusals.put((grpc.StatusCode.UNAVAILABLE, 2000))
    began = time.monotonic()
    keep()
    ca.told(lambda request: True)
    assert 2 <= time.monotonic() - began < 4


def test_bans_and_foreign_bundles_reach_the_engine_and_the_apps(
    ca: ScriptedCa, keep: Callable[..., Keeping]
) -> None:
    app = App()
    keeping = keep(app)
    ca.told(lambda request: True)
    foreign = der(Authority.root("other.example").certificate)
    ca.say(
        trust=ca.trusting(
            11,
            bans=[
                identity_pb2.Ban(spiffe_id=f"spiffe://{DOMAIN}/bu/risk/svc/x"),
                identity_pb2.Ban(serial="0a", expires_at=4_000_000_000),
                identity_pb2.Ban(authority_spki_sha256=bytes(32)),
            ],
            foreign=[
                identity_pb2.ForeignBundle(
                    trust_domain="other.example", sequence=1, roots=[foreign]
                )
            ],
        )
    )
    wait_for(lambda: keeping.credentials.sequence() == 11)
    wait_for(lambda: app.offered[-1][1] == 11)
    (bundle,) = app.offered[-1][0].federated
    assert (bundle.trust_domain, bundle.roots) == ("other.example", (foreign,))

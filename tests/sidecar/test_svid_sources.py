"""An SVID from somebody else: a Workload API served by grpcio with py-spiffe's own messages, and files."""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from spiffe._proto import workload_pb2, workload_pb2_grpc

from certificates import DOMAIN, PRICING, SCORING, Authority, Environment, der
from featward_engine import Credentials
from featward_sidecar.agent_status import AgentStatus
from featward_sidecar.configuration import Identity
from featward_sidecar.consumers import Consumers
from featward_sidecar.svid_sources import SourceKeeper, source_for
from workload_kit import Served, wait_for

API = f"spiffe://{DOMAIN}/bu/payments/svc/pricing-api"
Answer = Any


class Issuer(workload_pb2_grpc.SpiffeWorkloadAPIServicer):
    """A Workload API that says what it is told to: messages, and codes that end the stream."""

    def __init__(self, path: Path) -> None:
        self.answers: queue.Queue[Answer] = queue.Queue()
        self.headers: list[tuple[str, str]] = []
        self._server = grpc.server(ThreadPoolExecutor(4))
        add: Any = workload_pb2_grpc.add_SpiffeWorkloadAPIServicer_to_server
        add(self, self._server)
        self._server.add_insecure_port(f"unix:{path}")
        self._server.start()

    def FetchX509SVID(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802  the base's name
        self.headers = list(context.invocation_metadata())
        while isinstance(answer := self.answers.get(), workload_pb2.X509SVIDResponse):
            yield answer
        context.abort(answer or grpc.StatusCode.UNAVAILABLE, "told to")

    def close(self) -> None:
        self.answers.put(None)
        self._server.stop(0).wait()


def svid(
    environment: Environment, identity: str, authority: Authority | None = None, key: Any = None
) -> Any:
    """One SVID as a Workload API carries it."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    signer = authority or environment.payments
    chain = [der(signer.leaf(identity, key.public_key()))]
    chain += [] if signer is environment.root else [der(signer.certificate)]
    pkcs8 = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return workload_pb2.X509SVID(
        spiffe_id=identity,
        x509_svid=b"".join(chain),
        x509_svid_key=pkcs8,
        bundle=b"".join(environment.roots),
    )


class Keeping:
    """A keeper over a source in its thread, and what it published."""

    def __init__(self, told: Identity) -> None:
        self.credentials = Credentials(DOMAIN)
        self.status: dict[str, Any] = {}
        published = AgentStatus("prod.payments/pricing", "", "")
        published.publish_to(self._take)
        consumers = Consumers(self.credentials, [], published)
        self.keeper = SourceKeeper(
            source_for(told, PRICING), PRICING, self.credentials, consumers, published
        )
        self._thread = threading.Thread(target=self.keeper.run, daemon=True)
        self._thread.start()

    def _take(self, document: bytes) -> None:
        self.status = json.loads(document)

    def serial(self) -> str | None:
        told = self.credentials.identity()
        return json.loads(told)["serial"] if told else None

    def error(self) -> str:
        wait_for(lambda: bool(self.status["identity"]["last_error"]))
        return str(self.status["identity"]["last_error"]["message"])

    def stop(self) -> None:
        self.keeper.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


Keep = Callable[..., Keeping]


@pytest.fixture
def keep() -> Iterator[Keep]:
    started: list[Keeping] = []

    def keep(**values: Any) -> Keeping:
        started.append(Keeping(Identity("prod.payments/pricing", **values)))
        return started[-1]

    yield keep
    for keeping in started:
        keeping.stop()


@pytest.fixture
def environment() -> Environment:
    return Environment()


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[Issuer]:
    issuer = Issuer(tmp_path / "agent.sock")
    yield issuer
    issuer.close()


@pytest.fixture
def fetch(keep: Keep, tmp_path: Path) -> Callable[[], Keeping]:
    return lambda: keep(source="workload-api", source_socket=tmp_path / "agent.sock")


def response(*svids: Any, **federated: bytes) -> Any:
    return workload_pb2.X509SVIDResponse(
        svids=svids,
        federated_bundles={f"spiffe://{name}": each for name, each in federated.items()},
    )


def test_the_svid_and_each_new_one_are_used_with_the_roots_that_came_with_it(
    issuer: Issuer, fetch: Callable[[], Keeping], environment: Environment
) -> None:
    issuer.answers.put(response(svid(environment, PRICING)))
    keeping = fetch()
    wait_for(lambda: keeping.serial() is not None)
    assert [value for name, value in issuer.headers if name == "workload.spiffe.io"] == ["true"]
    first, sequence = keeping.serial(), keeping.credentials.sequence()
    issuer.answers.put(response(svid(environment, PRICING)))
    wait_for(lambda: keeping.serial() != first)
    assert keeping.credentials.sequence() == sequence
    other = Environment()
    issuer.answers.put(response(svid(other, PRICING), foreign=b"".join(environment.roots)))
    wait_for(lambda: keeping.credentials.sequence() > sequence)
    assert keeping.status["identity"]["attested_by"] == "workload-api"
    assert keeping.status["ca"]["connected"]


@pytest.mark.parametrize("kind", ["leaf of the root", "RSA", "P-384"])
def test_what_other_issuers_make_is_taken(
    issuer: Issuer, fetch: Callable[[], Keeping], environment: Environment, kind: str
) -> None:
    if kind == "leaf of the root":
        answer = svid(environment, PRICING, environment.root)
    elif kind == "RSA":
        answer = svid(environment, PRICING, key=rsa.generate_private_key(65537, 2048))
    else:
        answer = svid(environment, PRICING, key=ec.generate_private_key(ec.SECP384R1()))
    issuer.answers.put(response(answer))
    keeping = fetch()
    wait_for(lambda: keeping.serial() is not None)


def test_of_several_svids_ours_is_chosen_and_where_there_is_none_those_are_named(
    issuer: Issuer, fetch: Callable[[], Keeping], environment: Environment
) -> None:
    issuer.answers.put(response(svid(environment, SCORING, environment.risk)))
    keeping = fetch()
    assert f"has no SVID for {PRICING}, it has: {SCORING}" in keeping.error()
    both = [svid(environment, SCORING, environment.risk), svid(environment, PRICING)]
    issuer.answers.put(response(*both))
    issuer.answers.put(response(*both))
    wait_for(lambda: keeping.serial() is not None)


@pytest.mark.timeout(120)
def test_bad_answers_and_refusals_take_nothing_away_and_the_next_good_one_is_used(
    issuer: Issuer, fetch: Callable[[], Keeping], environment: Environment
) -> None:
    issuer.answers.put(response(svid(environment, PRICING)))
    keeping = fetch()
    wait_for(lambda: keeping.serial() is not None)
    first = keeping.serial()
    stolen_key = svid(environment, PRICING)
    stolen_key.x509_svid_key = svid(environment, PRICING).x509_svid_key
    cut = svid(environment, PRICING)
    cut.x509_svid = cut.x509_svid[:-5]
    of_another = svid(environment, PRICING)
    of_another.bundle = b"".join(Environment().roots)
    bad_ones = (response(), *map(response, (stolen_key, cut, of_another)))
    for expected, bad in enumerate(bad_ones, start=1):
        issuer.answers.put(bad)
        issuer.answers.put(None)  # where the client has not ended the stream
        wait_for(lambda: keeping.status["ca"]["failures"] >= expected, 40)  # noqa: B023
        assert keeping.serial() == first
    issuer.answers.put(grpc.StatusCode.PERMISSION_DENIED)
    for _ in range(6):
        issuer.answers.put(response(svid(environment, PRICING)))
    wait_for(lambda: keeping.serial() != first, 40)


def write(folder: Path, environment: Environment, identity: str = PRICING) -> dict[str, Any]:
    chain, key = environment.payments.write_identity(folder, identity)
    (folder / "bundle.pem").write_bytes(
        environment.root.certificate.public_bytes(serialization.Encoding.PEM)
    )
    return {
        "source": "files",
        "source_chain": chain,
        "source_key": key,
        "source_bundle": folder / "bundle.pem",
    }


def test_files_are_used_and_used_again_when_they_change(
    keep: Keep, environment: Environment, tmp_path: Path
) -> None:
    keeping = keep(**write(tmp_path, environment))
    wait_for(lambda: keeping.serial() is not None)
    first = keeping.serial()
    write(tmp_path, environment)
    wait_for(lambda: keeping.serial() != first)
    assert keeping.status["identity"]["attested_by"] == "files"


def test_a_key_that_does_not_fit_its_chain_is_not_used_and_waited_for(
    keep: Keep, environment: Environment, tmp_path: Path
) -> None:
    told = write(tmp_path, environment)
    keeping = keep(**told)
    wait_for(lambda: keeping.serial() is not None)
    first, key = keeping.serial(), told["source_key"].read_bytes()
    write(tmp_path, environment)
    fresh = told["source_key"].read_bytes()
    told["source_key"].write_bytes(key)
    assert "key" in keeping.error()
    assert keeping.serial() == first
    told["source_key"].write_bytes(fresh)
    wait_for(lambda: keeping.serial() != first)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("source_key", b"", "holds 0 keys in PKCS #8 PEM"),
        (
            "source_key",
            b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
            "openssl pkcs8 -topk8",
        ),
        ("source_chain", b"hello", "holds no certificate in PEM"),
        ("source_bundle", None, "can't be read: No such file"),
        (
            "source_bundle",
            b"-----BEGIN CERTIFICATE-----\nAA=A\n-----END CERTIFICATE-----\n",
            "is not base64",
        ),
    ],
)
def test_a_file_that_holds_something_else_is_named_with_what_is_wanted(
    keep: Keep,
    environment: Environment,
    tmp_path: Path,
    name: str,
    content: bytes | None,
    sentence: str,
) -> None:
    told = write(tmp_path, environment)
    if content is None:
        told[name].unlink()
    else:
        told[name].write_bytes(content)
    keeping = keep(**told)
    assert sentence in keeping.error()
    assert str(told[name]) in keeping.error()


def test_an_svid_of_another_workload_is_not_used(
    keep: Keep, environment: Environment, tmp_path: Path
) -> None:
    keeping = keep(**write(tmp_path, environment, API))
    assert f"the SVID is for {API}, and this workload is {PRICING}" in keeping.error()
    assert keeping.credentials.identity() is None


def test_a_sidecar_lives_on_the_workload_api_of_another_and_hands_it_on(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.write()
    agent = Served(scene.folder / "agent.sock")
    agent.identify(API)
    monkeypatch.setenv("FEATWARD_SIDECAR_SOURCE", "workload-api")
    monkeypatch.setenv("FEATWARD_SIDECAR_SOURCE_SOCKET", str(agent.path))
    monkeypatch.setenv("FEATWARD_SIDECAR_OUTPUT_FOLDER", str(scene.folder / "identity"))
    sidecar = scene.start("pricing-api", listen="127.0.0.1:0")
    try:
        sidecar.ready()
        status = sidecar.status()
        assert status["identity"]["spiffe_id"] == API
        assert status["trust"]["scope_table"] is False
        sidecar.logged("files written")
        serial = agent.identify(API)
        sidecar.wait(lambda status: int(status["identity"]["serial"], 16) == int(serial, 16))
        sidecar.logged("files written", count=2)
        agent.stop()
        sidecar.wait(lambda status: not status["agent"]["ca"]["connected"])
        agent.start()
        sidecar.wait(lambda status: status["agent"]["ca"]["connected"])
    finally:
        agent.stop()

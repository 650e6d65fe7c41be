"""What the doctor says of sockets that hand out identities: our own, and broken ones by grpcio."""

import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certificates import DOMAIN, PRICING, Authority, Environment, der
from doctor_kit import doctor
from featward.workload.v1 import workload_pb2
from featward_sidecar.content import Bundle
from featward_sidecar.grpc_call import Status
from workload_kit import Served

SERVICES = {"SPIFFE Workload API", "Envoy SDS"}
Stub = Callable[..., Path]


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    served = Served(folder / "workload.sock")
    yield served
    served.stop()


def test_our_socket_is_judged_by_what_it_hands_out_by_both_services(served: Served) -> None:
    other = Bundle("other.example", (der(Authority.root("other.example").certificate),))
    served.identify()
    served.trust(federated=(other,))
    seen = doctor(served.path, "--expect", PRICING)
    report = seen.report
    assert (seen.code, seen.codes) == (0, set())
    assert {each["of"] for each in report["identities"]} == SERVICES
    assert [each["spiffe_id"] for each in report["identities"]] == [PRICING] * 2
    assert report["facts"]["SPIFFE Workload API"] == (
        f"1 SVID, trust in other.example (1 root), {DOMAIN} (1 root)"
    )
    assert doctor(f"unix://{served.path}").code == 0
    text = doctor(served.path, output="table").text
    assert f"SPIFFE Workload API: {PRICING}  accepted" in text
    assert "PRIVATE" not in text


def test_another_trust_than_the_sockets_own_judges_as_well(served: Served, folder: Path) -> None:
    served.identify()
    file = folder / "other.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(Environment().root.certificate.public_bytes(pem))
    seen = doctor(served.path, "--bundle", file)
    assert (seen.code, seen.codes) == (1, {"unknown-authority"})


def test_a_socket_without_an_identity_says_why(served: Served) -> None:
    seen = doctor(served.path)
    assert (seen.code, seen.codes) == (1, {"unavailable", "no-answer"})  # SDS lets an Envoy wait
    served.server.withhold(Status.PERMISSION_DENIED, "no identity issued: the token is used")
    seen = doctor(served.path)
    assert (seen.code, "no-identity" in seen.codes) == (1, True)
    assert "no identity issued: the token is used" in seen.text
    served.stop()
    seen = doctor(f"unix:{served.path}")
    assert (seen.code, seen.codes) == (1, {"unreachable"})
    assert doctor(Path(__file__)).codes == {"unreachable"}
    served.start()


def test_its_identity_and_trust_serve_to_look_at_endpoints(
    served: Served, serve: Callable[..., str], folder: Path
) -> None:
    served.identify()
    environment = served.environment
    chain, key = environment.risk.write_identity(folder, f"spiffe://{DOMAIN}/bu/risk/svc/scoring")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    root = folder / "root.pem"
    root.write_bytes(environment.root.certificate.public_bytes(serialization.Encoding.PEM))
    context.load_verify_locations(root)
    context.verify_mode = ssl.CERT_REQUIRED
    shown: list[str] = []

    def talk(end: Any) -> None:
        with context.wrap_socket(end, server_side=True) as tls:
            leaf = x509.load_der_x509_certificate(tls.getpeercert(True) or b"")
            shown.append(format(leaf.serial_number, "x"))
            tls.recv(4096)
            tls.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    seen = doctor(serve(talk), "--workload-api", served.path)
    assert (seen.code, seen.codes) == (0, set())
    assert shown == [served.serial]
    assert [each["accepted"] for each in seen.report["identities"]] == [True, True]


class _Answering(grpc.GenericRpcHandler):
    """Answers FetchX509SVID with these bytes, or never; nothing else is there."""

    def __init__(self, answer: bytes | None, over: threading.Event) -> None:
        self._answer = answer
        self._over = over

    def service(self, handler_call_details: Any) -> Any:
        if handler_call_details.method != "/SpiffeWorkloadAPI/FetchX509SVID":
            return None
        return grpc.unary_stream_rpc_method_handler(self._fetch)

    def _fetch(self, _: bytes, __: Any) -> Iterator[bytes]:
        if self._answer is not None:
            yield self._answer
        self._over.wait(30)


@pytest.fixture
def stub(folder: Path) -> Iterator[Stub]:
    """A Workload API that answers with one message, whatever it holds."""
    over = threading.Event()
    servers: list[grpc.Server] = []

    def start(answer: bytes | None) -> Path:
        server = grpc.server(ThreadPoolExecutor(4), handlers=[_Answering(answer, over)])
        path = folder / f"stub{len(servers)}.sock"
        server.add_insecure_port(f"unix:{path}")
        server.start()
        servers.append(server)
        return path

    yield start
    over.set()
    for server in servers:
        server.stop(0).wait()


def message(environment: Environment, key: ec.EllipticCurvePrivateKey, **more: Any) -> bytes:
    """A good answer, with what is to be wrong in it."""
    leaf = environment.payments.leaf(PRICING, key.public_key())
    form, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    good = {
        "spiffe_id": PRICING,
        "x509_svid": der(leaf) + der(environment.payments.certificate),
        "x509_svid_key": key.private_bytes(serialization.Encoding.DER, form, bare),
        "bundle": environment.roots[0],
    }
    svid = workload_pb2.X509SVID(**(good | more))
    return workload_pb2.X509SVIDResponse(svids=[svid]).SerializeToString()


def test_what_a_broken_server_hands_out_is_told_apart(stub: Stub) -> None:
    environment = Environment()
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    form, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    strange = other.private_bytes(serialization.Encoding.DER, form, bare)
    assert doctor(stub(message(environment, key))).codes == set()
    scoring = f"spiffe://{DOMAIN}/bu/risk/svc/scoring"
    for answer, code in (
        (b"", "no-svid"),
        (b"\xff\xff", "unreadable"),
        (message(environment, key, x509_svid=b"\x30\x03\x02\x01"), "unreadable"),
        (message(environment, key, x509_svid=b"\x30\x03\x02\x01\x01"), "unreadable"),
        (message(environment, key, x509_svid=b""), "no-certificate"),
        (message(environment, key, x509_svid_key=strange), "key-mismatch"),
        (message(environment, key, x509_svid_key=b"x"), "key-unreadable"),
        (message(environment, key, spiffe_id=scoring), "wrong-identity"),
        (message(environment, key, bundle=Environment().roots[0]), "unknown-authority"),
        (message(environment, key, bundle=b"\x30\x82" + bytes(2 << 20)), "too-large"),
        (None, "no-answer"),
    ):
        seen = doctor(stub(answer))
        assert (seen.code, code in seen.codes) == (1, True), (code, seen.text)


def test_a_socket_of_something_else_is_told(folder: Path) -> None:
    path = folder / "other.sock"
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        seen = doctor(path)
        assert (seen.code, seen.codes) == (1, {"no-service"})
    finally:
        server.stop(0).wait()

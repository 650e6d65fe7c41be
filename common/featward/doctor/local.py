"""What a UNIX socket hands to an app that asks: by the SPIFFE Workload API, and by Envoy's SDS.

Private keys come with it. They are held only as long as it takes to see whether they fit, or to show our own
certificate elsewhere, and never shown.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from google.protobuf.message import DecodeError

from featward.doctor.certificates import der_of, split, tidy
from featward.doctor.findings import Finding, refusal
from featward.errors import DoctorError
from featward.workload.v1 import secrets_pb2, workload_pb2

__all__ = ["Handed", "Svid", "ask_secrets", "ask_workload_api"]

LARGEST_MESSAGE = 1 << 20
WORKLOAD_API = "SPIFFE Workload API"
SDS = "Envoy SDS"
_FETCH = "/SpiffeWorkloadAPI/FetchX509SVID"
_STREAM = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
_SECRETS = ("default", "ROOTCA")
_OPTIONS = [
    # Else grpcio sends the socket's path, which is no authority.
    ("grpc.default_authority", "localhost"),
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.enable_retries", 0),
]


@dataclass(frozen=True)
class Svid:
    """One identity that is handed out, leaf first."""

    claimed: str
    """The SPIFFE ID that the answer names; empty where it names none, as in SDS."""
    chain: tuple[bytes, ...]
    key: bytes = field(repr=False)
    """PKCS #8, DER."""


@dataclass(frozen=True)
class Handed:
    """What one service of a socket answered."""

    service: str
    is_there: bool = True
    """False: the socket does not have this service."""
    svids: tuple[Svid, ...] = ()
    bundles: tuple[tuple[str, tuple[bytes, ...]], ...] = ()
    """Trust domain and its roots; the own one first."""
    findings: tuple[Finding, ...] = ()


def ask_workload_api(path: Path, seconds: float) -> Handed:
    """The first answer of FetchX509SVID."""
    with _channel(path) as channel:
        call: Any = channel.unary_stream(_FETCH, None, None)
        header = (("workload.spiffe.io", "true"),)
        try:
            answer = next(call(b"", metadata=header, timeout=seconds))
            return _workload_api(workload_pb2.X509SVIDResponse.FromString(answer))
        except grpc.RpcError as error:
            return _refused(WORKLOAD_API, cast("grpc.Call", error))
        except (StopIteration, DecodeError, ValueError) as error:
            return _unreadable(WORKLOAD_API, error)


def _workload_api(answer: workload_pb2.X509SVIDResponse) -> Handed:
    svids = tuple(
        Svid(tidy(each.spiffe_id), split(each.x509_svid), each.x509_svid_key)
        for each in answer.svids
    )
    own = [(_domain(each.spiffe_id), split(each.bundle)) for each in answer.svids]
    foreign = [
        (_domain(name), split(der)) for name, der in sorted(answer.federated_bundles.items())
    ]
    findings: tuple[Finding, ...] = ()
    if not svids:
        findings = (
            refusal(
                "no-svid",
                "it answers without an SVID, which py-spiffe never recovers from",
                "a server that has no identity for a caller has to answer PERMISSION_DENIED",
            ),
        )
    return Handed(WORKLOAD_API, True, svids, tuple(dict([*foreign, *own]).items()), findings)


def ask_secrets(path: Path, seconds: float) -> Handed:
    """The secrets `default` and `ROOTCA` of StreamSecrets, in one answer or two."""
    node = secrets_pb2.Node(id="featward-doctor", cluster="featward-doctor")
    node.metadata["disable_spiffe_cert_validation"] = True
    asked = secrets_pb2.DiscoveryRequest(
        node=node, resource_names=_SECRETS, type_url=f"{_TLS}.Secret"
    )
    over = threading.Event()
    with _channel(path) as channel:
        call: Any = channel.stream_stream(_STREAM, None, None)
        try:
            stream = call(_keep_open(asked.SerializeToString(), over), timeout=seconds)
            return _secrets(stream)
        except grpc.RpcError as error:
            return _refused(SDS, cast("grpc.Call", error))
        except (StopIteration, DecodeError, ValueError) as error:
            return _unreadable(SDS, error)
        finally:
            over.set()


def _keep_open(request: bytes, over: threading.Event) -> Iterator[bytes]:
    """One request. A server may take the end of the requests for the end of the call."""
    yield request
    over.wait()


def _secrets(stream: Any) -> Handed:
    found: dict[str, secrets_pb2.Secret] = {}
    while not set(_SECRETS) <= found.keys():
        answer = secrets_pb2.DiscoveryResponse.FromString(next(stream))
        for resource in answer.resources:
            secret = secrets_pb2.Secret.FromString(resource.value)
            found[secret.name] = secret
    stream.cancel()
    certificate = found["default"].tls_certificate
    chain = der_of(x509.load_pem_x509_certificates(certificate.certificate_chain.inline_bytes))
    key = serialization.load_pem_private_key(certificate.private_key.inline_bytes, None)
    der = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Handed(SDS, True, (Svid("", chain, der),), _roots(found["ROOTCA"].validation_context))


def _roots(
    context: secrets_pb2.CertificateValidationContext,
) -> tuple[tuple[str, tuple[bytes, ...]], ...]:
    """As a plain `trusted_ca`, or as SPIRE's and our validator has it. The former names no trust domain."""
    if plain := context.trusted_ca.inline_bytes:
        return (("", der_of(x509.load_pem_x509_certificates(plain))),)
    config = context.custom_validator_config.typed_config.value
    told = secrets_pb2.SPIFFECertValidatorConfig.FromString(config)
    return tuple(
        (each.name, der_of(x509.load_pem_x509_certificates(each.trust_bundle.inline_bytes)))
        for each in told.trust_domains
    )


@contextmanager
def _channel(path: Path) -> Iterator[grpc.Channel]:
    if not path.exists():
        raise DoctorError(f"there is no socket {path}")
    if not path.is_socket():
        raise DoctorError(f"{path} is no socket")
    with grpc.insecure_channel(f"unix:{path.absolute()}", _OPTIONS) as channel:
        yield channel


def _domain(name: str) -> str:
    return tidy(name).removeprefix("spiffe://").partition("/")[0]


def _refused(service: str, error: grpc.Call) -> Handed:
    code, text = error.code(), tidy(error.details())
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return Handed(service, is_there=False)
    word, remedy = _STATUSES.get(code, ("refused", "see the log of what serves the socket"))
    text = f"it answers {code.name}: {text}"
    return Handed(service, findings=(refusal(word, text, remedy),))


_STATUSES = {
    grpc.StatusCode.PERMISSION_DENIED: (
        "no-identity",
        "it does not know this process: register an identity for the user that it runs as, or ask as that user",
    ),
    grpc.StatusCode.UNAVAILABLE: (
        "unavailable",
        "wait for its identity, see `featward sidecar status`; where it refuses connections, start it again",
    ),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        "no-answer",
        "see whether what serves the socket is stopped or overloaded, and its log",
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (
        "too-large",
        f"an answer has a few kilobytes, and more than {LARGEST_MESSAGE} bytes are not read",
    ),
}


def _unreadable(service: str, error: Exception) -> Handed:
    text = "it ends without an answer" if isinstance(error, StopIteration) else tidy(error)
    finding = refusal(
        "unreadable", f"its answer can't be used: {text}", "every client would refuse it as well"
    )
    return Handed(service, findings=(finding,))

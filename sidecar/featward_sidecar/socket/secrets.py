"""Envoy's SDS v3: the same identity and trust as secrets that Envoy asks for by name.

Names are those of SPIRE's agent, which Istio's uses too, so that a configuration written for either works:
`default` or the SPIFFE ID for certificate and key, `ROOTCA` or `spiffe://<trust domain>` for one domain's
roots, `ALL` for every domain's. Bundles come with Envoy's SPIFFE validator, which judges an identity by its
own domain's roots; node metadata `disable_spiffe_cert_validation` asks for a plain `trusted_ca` instead.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence

from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError

from featward.logs import fields
from featward.workload.v1 import secrets_pb2
from featward_sidecar.certificates import to_pem
from featward_sidecar.content import Bundle, Content
from featward_sidecar.grpc_call import Status
from featward_sidecar.socket.call import Call, Handler
from featward_sidecar.socket.standing import Standing, Stream

__all__ = ["SERVICE", "TYPE", "UnknownSecretError", "open_method", "resources"]

log = logging.getLogger(__name__)

SERVICE = "envoy.service.secret.v3.SecretDiscoveryService"

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
TYPE = f"{_TLS}.Secret"
_VALIDATOR = "envoy.tls.cert_validator.spiffe"
_PLAIN_KEY = "disable_spiffe_cert_validation"


class UnknownSecretError(ValueError):
    """There is no secret of this name; the text says which there are."""


def open_method(call: Call, method: str, standing: Standing) -> Handler | None:
    """The handler of a call to this service. Envoy sends no security header, so none is asked for."""
    if method == "StreamSecrets":
        return _SecretStream(call, standing)
    if method == "FetchSecrets":
        return _SecretFetch(call, standing)
    call.end(Status.UNIMPLEMENTED, "this sidecar has StreamSecrets and FetchSecrets only")
    return None


def resources(content: Content, names: Sequence[str], plain: bool) -> list[bytes]:
    """The secrets of these names, serialised, or all where none is named. Raises UnknownSecretError."""
    makers = _makers(content, plain)
    if not names:
        names = [content.spiffe_id, *map(_domain_id, (content.own, *content.federated))]
    if unknown := [name for name in names if name not in makers]:
        raise UnknownSecretError(
            f"no secret named {', '.join(unknown)[:200]}; there are {', '.join(makers)}"
        )
    return [makers[name](name).SerializeToString(deterministic=True) for name in names]


def _makers(content: Content, plain: bool) -> dict[str, Callable[[str], secrets_pb2.Secret]]:
    def certificate(name: str) -> secrets_pb2.Secret:
        return secrets_pb2.Secret(name=name, tls_certificate=_certificate(content))

    def trust(*bundles: Bundle) -> Callable[[str], secrets_pb2.Secret]:
        make = _plain_context if plain else _spiffe_context
        return lambda name: secrets_pb2.Secret(name=name, validation_context=make(bundles))

    makers = {content.spiffe_id: certificate, "default": certificate, "ROOTCA": trust(content.own)}
    makers |= {_domain_id(each): trust(each) for each in (content.own, *content.federated)}
    if not plain:  # roots of several domains in one heap would judge one another's identities
        makers["ALL"] = trust(content.own, *content.federated)
    return makers


def _domain_id(bundle: Bundle) -> str:
    return f"spiffe://{bundle.trust_domain}"


def _certificate(content: Content) -> secrets_pb2.TlsCertificate:
    return secrets_pb2.TlsCertificate(
        certificate_chain=_inline(b"".join(map(to_pem, content.chain))),
        private_key=_inline(to_pem(content.key, "PRIVATE KEY")),
    )


def _plain_context(bundles: Sequence[Bundle]) -> secrets_pb2.CertificateValidationContext:
    """Roots only: to Envoy any certificate in there is one."""
    (bundle,) = bundles
    return secrets_pb2.CertificateValidationContext(trusted_ca=_roots(bundle))


def _spiffe_context(bundles: Sequence[Bundle]) -> secrets_pb2.CertificateValidationContext:
    domains = [
        secrets_pb2.SPIFFECertValidatorConfig.TrustDomain(
            name=bundle.trust_domain, trust_bundle=_roots(bundle)
        )
        for bundle in sorted(bundles, key=lambda bundle: bundle.trust_domain)
    ]
    told = secrets_pb2.SPIFFECertValidatorConfig(trust_domains=domains)
    return secrets_pb2.CertificateValidationContext(
        custom_validator_config=secrets_pb2.TypedExtensionConfig(
            name=_VALIDATOR,
            typed_config=Any(
                type_url=f"{_TLS}.SPIFFECertValidatorConfig", value=told.SerializeToString()
            ),
        )
    )


def _roots(bundle: Bundle) -> secrets_pb2.DataSource:
    return _inline(b"".join(map(to_pem, bundle.roots)))


def _inline(data: bytes) -> secrets_pb2.DataSource:
    return secrets_pb2.DataSource(inline_bytes=data)


def _response(found: Sequence[bytes], version: int, nonce: str) -> bytes:
    return secrets_pb2.DiscoveryResponse(
        version_info=str(version),
        resources=[Any(type_url=TYPE, value=each) for each in found],
        type_url=TYPE,
        nonce=nonce,
    ).SerializeToString()


def _read(data: bytes) -> secrets_pb2.DiscoveryRequest:
    """Raises DecodeError, also for another type than secrets."""
    request = secrets_pb2.DiscoveryRequest.FromString(data)
    if request.type_url not in ("", TYPE):
        raise DecodeError(f"{request.type_url[:200]} is not served here, only {TYPE}")
    return request


def _wants_plain(request: secrets_pb2.DiscoveryRequest) -> bool:
    told = request.node.metadata.fields[_PLAIN_KEY] if _PLAIN_KEY in request.node.metadata else None
    return told is not None and (told.bool_value or told.string_value == "true")


class _SecretFetch:
    """One request, one answer."""

    def __init__(self, call: Call, standing: Standing) -> None:
        self._call = call
        self._standing = standing.at(time.time())
        self._request: secrets_pb2.DiscoveryRequest | None = None

    def message(self, data: bytes) -> None:
        try:
            self._request = _read(data)
        except DecodeError as error:
            self._call.end(Status.INVALID_ARGUMENT, f"the request can't be read: {error}")

    def half_closed(self) -> None:
        content, request = self._standing.content, self._request
        if request is None:
            self._call.end(Status.INVALID_ARGUMENT, "expected one request message, found none")
        elif content is None:
            self._call.end(self._standing.status, self._standing.why)
        else:
            try:
                found = resources(content, request.resource_names, _wants_plain(request))
            except UnknownSecretError as error:
                self._call.end(Status.INVALID_ARGUMENT, str(error))
                return
            self._call.send(_response(found, 1, ""))
            self._call.end(Status.OK)


class _SecretStream(Stream):
    """State of the world: each answer holds all that was asked for, until the next request says otherwise.

    Without an identity it waits, because Envoy holds its listeners back for a first answer and would only
    come again.
    """

    def __init__(self, call: Call, standing: Standing) -> None:
        super().__init__(call)
        self._standing = standing
        self._names: list[str] | None = None
        self._plain = False
        self._sent: list[bytes] | None = None
        self._version = 0
        self._nonce = ""
        self._accepted: bool | None = True

    def message(self, data: bytes) -> None:
        try:
            request = _read(data)
        except DecodeError as error:
            self.call.end(Status.INVALID_ARGUMENT, f"the request can't be read: {error}")
            return
        if self._names is None:
            self._plain = _wants_plain(request)  # only the first request says who asks
        elif request.response_nonce != self._nonce:
            return  # about an answer that a newer one has replaced
        else:
            self._judge(request)
        names = list(request.resource_names)
        if names != self._names:
            self._names, self._sent = names, None
            self.offer(self._standing)

    def half_closed(self) -> None:
        self.call.end(Status.OK)

    def offer(self, standing: Standing) -> None:
        self._standing = standing
        content = standing.at(time.time()).content
        if self._names is None or content is None:
            return
        try:
            found = resources(content, self._names, self._plain)
        except UnknownSecretError as error:
            self.call.end(Status.INVALID_ARGUMENT, str(error))
            return
        if found != self._sent:
            self._version += 1
            self._nonce = os.urandom(4).hex()  # the module secrets would load OpenSSL, for 3 MB
            self._sent, self._accepted = found, False
            self.call.send(_response(found, self._version, self._nonce))

    @property
    def given(self) -> bool | None:
        return self._accepted

    def _judge(self, request: secrets_pb2.DiscoveryRequest) -> None:
        if not self._nonce:
            return
        if not request.HasField("error_detail"):
            self._accepted = True
            return
        self._accepted = None
        told = fields(names=self._names, error=request.error_detail.message[:500])
        log.error("Envoy refused secrets", extra=told)

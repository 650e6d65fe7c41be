"""The SPIFFE Workload API, X.509 profile (SPIFFE_Workload_API sections 4 and 5, SPIFFE_Workload_Endpoint 3
and 6).

The order of the checks is SPIRE's: a method that does not exist is UNIMPLEMENTED with any header, everything
else wants the security header first, exactly once, so that no browser or confused proxy is ever answered.
"""

import time
from collections.abc import Callable, MutableMapping

from google.protobuf.message import DecodeError

from featward.workload.v1 import workload_pb2
from featward_sidecar.certificates import split
from featward_sidecar.content import Bundle, Content
from featward_sidecar.errors import ContentError
from featward_sidecar.grpc_call import Status
from featward_sidecar.socket.call import Call, Handler
from featward_sidecar.socket.standing import Standing, Stream

__all__ = ["SERVICE", "bundles_response", "open_method", "svid_response"]

SERVICE = "SpiffeWorkloadAPI"

_OTHER_PROFILES = frozenset(
    {"FetchJWTSVID", "FetchJWTBundles", "ValidateJWTSVID", "FetchWITSVID", "FetchWITBundles"}
)

Render = Callable[[Content], bytes]


def open_method(call: Call, method: str, standing: Standing) -> Handler | None:
    """The handler of a call to this service."""
    render = _METHODS.get(method)
    if render is None and method not in _OTHER_PROFILES:
        call.end(Status.UNIMPLEMENTED, f"{SERVICE} has no method {method[:80]}")
    elif call.metadata("workload.spiffe.io") != ["true"]:
        call.end(Status.INVALID_ARGUMENT, "security header missing from request")
    elif render is None:
        call.end(Status.UNIMPLEMENTED, "this sidecar has X.509-SVIDs only")
    else:
        return _X509Stream(call, render, standing)
    return None


def svid_response(content: Content) -> bytes:
    """What FetchX509SVID sends."""
    svid = workload_pb2.X509SVID(
        spiffe_id=content.spiffe_id,
        x509_svid=b"".join(content.chain),
        x509_svid_key=content.key,
        bundle=content.own.concatenated,
    )
    response = workload_pb2.X509SVIDResponse(svids=[svid])
    _add(response.federated_bundles, content.federated)
    return _readable(response.SerializeToString(deterministic=True))


def bundles_response(content: Content) -> bytes:
    """What FetchX509Bundles sends."""
    response = workload_pb2.X509BundlesResponse()
    _add(response.bundles, (content.own, *content.federated))
    return response.SerializeToString(deterministic=True)


_METHODS: dict[str, Render] = {
    "FetchX509SVID": svid_response,
    "FetchX509Bundles": bundles_response,
}


def _add(bundles: MutableMapping[str, bytes], told: tuple[Bundle, ...]) -> None:
    for bundle in told:
        bundles[f"spiffe://{bundle.trust_domain}"] = bundle.concatenated


def _readable(message: bytes) -> bytes:
    """Read back what is about to be sent; a client may never recover from what it can't read."""
    for svid in workload_pb2.X509SVIDResponse.FromString(message).svids:
        if svid.spiffe_id and svid.x509_svid_key and split(svid.bundle) and split(svid.x509_svid):
            return message
    raise ContentError("the answer holds no whole SVID")


class _X509Stream(Stream):
    """Sends the whole content now, and again when it is another."""

    def __init__(self, call: Call, render: Render, standing: Standing) -> None:
        super().__init__(call)
        self._render = render
        self._standing = standing
        self._requests = 0
        self._asked = False
        self._sent: bytes | None = None

    def message(self, data: bytes) -> None:
        try:
            workload_pb2.X509SVIDRequest.FromString(data)
        except DecodeError:
            self.call.end(Status.INVALID_ARGUMENT, "the request can't be read")
        self._requests += 1

    def half_closed(self) -> None:
        if self._requests != 1:
            self.call.end(
                Status.INVALID_ARGUMENT, f"expected one request message, found {self._requests}"
            )
        self._asked = True
        self.offer(self._standing)

    def offer(self, standing: Standing) -> None:
        self._standing = standing
        if not self._asked:
            return
        if self._sent is None:
            standing = standing.at(time.time())
            if standing.content is None:
                self.call.end(standing.status, standing.why)
        if (
            standing.content is not None
            and (message := self._render(standing.content)) != self._sent
        ):
            self._sent = message
            self.call.send(message)

    @property
    def given(self) -> bool:
        return self.call.written

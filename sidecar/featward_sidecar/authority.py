"""The way to the CA: opens calls to it, over the engine's mTLS or over its UNIX socket.

Knows how a first contact differs from later ones: before we have trust, the root's digest in the join token
says which CA is ours; after it, the trust that we were given does, and we show our certificate.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from featward_engine import Credentials, Dialer
from featward_sidecar.configuration import LONGEST_SOCKET
from featward_sidecar.errors import CallError
from featward_sidecar.grpc_call import GrpcCall
from featward_sidecar.refusals import of_certificate

__all__ = ["Authority", "explained"]

_SERVICE = "/featward.identity.v1.IdentityService"


class Authority:
    """`first_contact` and `watch` give open calls; `close` ends the Dialer."""

    def __init__(
        self, address: str, trust_domain: str, credentials: Credentials, state: Path
    ) -> None:
        self._address = address
        self._expect = f"spiffe://{trust_domain}/featward/ca"
        self._credentials = credentials
        self._state = state
        self._dialer: Dialer | None = None
        self._path = address.removeprefix("unix:")

    @property
    def by_certificate(self) -> bool:
        """Whether the CA knows us by the certificate of the connection; on a UNIX socket it asks the kernel."""
        return not self._address.startswith("unix:")

    @contextmanager
    def first_contact(self, root_sha256: bytes | None) -> Iterator[GrpcCall]:
        """An Attest call, without a certificate of ours."""
        if not self.by_certificate:
            with GrpcCall(self._path, f"{_SERVICE}/Attest") as call:
                yield call
            return
        dialer = self._dial(LONGEST_SOCKET, root_sha256.hex() if root_sha256 else None)
        try:
            with explained(dialer, "CA"), GrpcCall(dialer.start(), f"{_SERVICE}/Attest") as call:
                yield call
        finally:
            dialer.stop()

    @contextmanager
    def watch(self) -> Iterator[GrpcCall]:
        """A WatchIdentity call. Its connection shows the certificate that we have at this moment."""
        if self.by_certificate and self._dialer is None:
            dialer = self._dial("ca.sock", None)
            self._path = dialer.start()
            self._dialer = dialer
        method = f"{_SERVICE}/WatchIdentity"
        with explained(self._dialer, "CA"), GrpcCall(self._path, method) as call:
            yield call

    def close(self) -> None:
        if self._dialer is not None:
            self._dialer.stop()
            self._dialer = None

    def _dial(self, socket: str, root_sha256: str | None) -> Dialer:
        path = self._state / socket
        path.unlink(
            missing_ok=True
        )  # left by a sidecar that was killed; the state folder is locked by us
        config = {
            "address": self._address,
            "socket": str(path),
            "expect": self._expect,
            "root_sha256": root_sha256,
            "client_certificate": root_sha256 is None,
            # Who was away for longer than an authority lives has a scope table without the CA's newest one.
            "platform_by_root": root_sha256 is None,
        }
        return Dialer(self._credentials, json.dumps(config).encode())


@contextmanager
def explained(dialer: Dialer | None, whom: str) -> Iterator[None]:
    """What breaks here looks like a closed socket; the Dialer knows what happened behind it. `whom`: who is
    at the far end, ``CA``. Raises CertificateRefusedError where that refuses our certificate, whatever is
    asked."""
    try:
        yield
    except CallError as error:
        if refused := of_certificate(error, whom):
            raise refused from error
        if dialer is not None and (reason := dialer.last_error()):
            raise CallError(error.status, reason, cause=error.cause) from error
        raise

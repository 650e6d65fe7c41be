"""The way to the operator: opens WatchPolicy calls to it, over the engine's mTLS.

The far end must be the operator of our own trust domain, by the trust that the CA gave us, and it knows us by
the certificate of the connection.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from featward.identity.spiffe import SpiffeId
from featward_engine import Credentials, Dialer
from featward_sidecar.authority import explained
from featward_sidecar.grpc_call import GrpcCall

__all__ = ["OperatorWay"]

_METHOD = "/featward.policy.v1.PolicyService/WatchPolicy"


class OperatorWay:
    """`watch` gives an open call; `close` ends the Dialer."""

    def __init__(
        self, address: str, trust_domain: str, credentials: Credentials, state: Path
    ) -> None:
        socket = state / "operator.sock"
        socket.unlink(missing_ok=True)  # left by a sidecar that was killed; the folder is ours
        expect = str(SpiffeId.operator(trust_domain))
        config = {"address": address, "socket": str(socket), "expect": expect}
        self._dialer = Dialer(credentials, json.dumps(config).encode())
        self._path: str | None = None

    @contextmanager
    def watch(self) -> Iterator[GrpcCall]:
        """A call whose connection shows the certificate that we have at this moment."""
        self._path = self._path or self._dialer.start()
        with explained(self._dialer, "operator"), GrpcCall(self._path, _METHOD) as call:
            yield call

    def close(self) -> None:
        self._dialer.stop()

"""SVID and trust from somebody else's SPIFFE Workload API, such as that of SPIRE's agent.

Follows the one stream FetchX509SVID. An answer that can't be read, or without an SVID, ends the call and is
asked for again: what we have stays meanwhile.
"""

from collections.abc import Callable
from pathlib import Path

from google.protobuf.message import DecodeError

from featward.workload.v1 import workload_pb2
from featward_sidecar.certificates import CertificateError, split
from featward_sidecar.content import Bundle
from featward_sidecar.errors import SourceError
from featward_sidecar.grpc_call import GrpcCall
from featward_sidecar.svid_sources.material import Material

__all__ = ["WorkloadApiSource"]

PATIENCE_SECONDS = 3600.0
"""A stream may be silent for as long as nothing changes; whether the other side lives, pings find out."""


class WorkloadApiSource:
    """Chooses, of several SVIDs, the one that this workload must have."""

    kind = "workload-api"

    def __init__(self, path: Path, expected: str) -> None:
        self._path = path
        self._expected = expected
        self._call: GrpcCall | None = None
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        if (call := self._call) is not None:
            call.cancel()

    def follow(self, use: Callable[[Material], None]) -> None:
        """Raises CallError when the stream ends, SourceError for what can't be used."""
        metadata = [("workload.spiffe.io", "true")]
        with GrpcCall(
            str(self._path), "/SpiffeWorkloadAPI/FetchX509SVID", metadata=metadata
        ) as call:
            self._call = call
            call.send(b"", last=True)
            while not self._stopped:
                if (message := call.receive(PATIENCE_SECONDS)) is not None:
                    use(self._read(message))

    def _read(self, message: bytes) -> Material:
        try:
            response = workload_pb2.X509SVIDResponse.FromString(message)
            svid = self._ours(response)
            federated = tuple(
                Bundle(_trust_domain(name), tuple(split(bundle)))
                for name, bundle in response.federated_bundles.items()
            )
            own = Bundle(self._expected.split("/")[2], tuple(split(svid.bundle)))
            return Material(tuple(split(svid.x509_svid)), svid.x509_svid_key, own, federated)
        except (DecodeError, CertificateError) as error:
            raise SourceError(f"the answer of {self._path} can't be read: {error}") from error

    def _ours(self, response: workload_pb2.X509SVIDResponse) -> workload_pb2.X509SVID:
        for svid in response.svids:
            if svid.spiffe_id == self._expected:
                return svid
        others = ", ".join(svid.spiffe_id for svid in response.svids) or "none"
        raise SourceError(
            f"{self._path} has no SVID for {self._expected}, it has: {others}; register that identity for "
            "the user of this sidecar, or correct workload"
        )


def _trust_domain(name: str) -> str:
    """Keys are SPIFFE IDs by the standard, and bare names with some servers."""
    return name.removeprefix("spiffe://").rstrip("/")

"""IdentityService: attestation for those who have nothing yet, and the stream of everybody else."""

from featward.identity.v1 import identity_pb2
from featward_ca.clock import milliseconds
from featward_ca.core import Core
from featward_ca.requests import keys_of
from featward_ca.service.acknowledgements import AckBook
from featward_ca.service.guard import Call, Handler
from featward_ca.service.issuing import Issuing
from featward_ca.service.stream import Watching
from featward_ca.service.streams import Streams


class IdentityService:
    """The handlers; `Guard` has checked who calls."""

    def __init__(self, core: Core, streams: Streams) -> None:
        self._core = core
        self._issuing = Issuing(core)
        self._book = AckBook(core.store, streams, core.clock)
        self._watching = Watching(core, streams, self._issuing, self._book)
        core.metrics.streams.set_function(lambda: len(streams))

    @property
    def handlers(self) -> dict[str, Handler]:
        """By method name."""
        return {"Attest": self._attest, "WatchIdentity": self._watching.watch}

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._watching.close()

    async def drain(self) -> None:
        """Store what clients have said; after the last stream has ended."""
        await self._book.flush()

    async def _attest(
        self, message: identity_pb2.AttestRequest, call: Call
    ) -> identity_pb2.AttestResponse:
        (key,) = keys_of([message.csr])
        (issued,) = await self._issuing.by_evidence(message.evidence, [key], call)
        trust = self._core.trust.current
        self._book.attested(issued.row.lineage, issued.row.serial, trust.sequence)
        return identity_pb2.AttestResponse(
            svid=issued.message(),
            trust=trust.message(),
            server_time=milliseconds(self._core.clock),
        )

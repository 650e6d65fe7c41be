"""AuthorityService on the admin socket: tokens and status. Whoever can open the socket
administers the CA.
"""

import hashlib

from featward.authority.v1 import authority_pb2
from featward_ca.attest.join_token import LIFETIME
from featward_ca.core import Core
from featward_ca.service.guard import Call, Handler
from featward_ca.service.streams import Streams
from featward_ca.store import svids
from featward_ca.store.audit import Outcome
from featward_ca.store.authority_rows import AuthorityRow


class AuthorityService:
    """The handlers; `Guard` has counted the call."""

    def __init__(self, core: Core, streams: Streams) -> None:
        self._core = core
        self._streams = streams

    @property
    def handlers(self) -> dict[str, Handler]:
        """By method name."""
        return {"CreateJoinToken": self._create_join_token, "Show": self._show}

    async def _create_join_token(
        self, message: authority_pb2.CreateJoinTokenRequest, call: Call
    ) -> authority_pb2.CreateJoinTokenResponse:
        core, directory = self._core, self._core.situation.directory
        root = hashlib.sha256(core.authorities.root.row.certificate).digest()
        lifetime = message.lifetime_seconds or LIFETIME
        token, expires_at = await core.tokens.create(directory, message.workload, lifetime, root)
        spiffe_id = str(directory.workload(message.workload).spiffe_id)
        await core.issuance.note(call.request, Outcome.NOTED, f"for {lifetime:g} s", spiffe_id)
        return authority_pb2.CreateJoinTokenResponse(
            token=str(token), spiffe_id=spiffe_id, expires_at=expires_at
        )

    async def _show(self, _: authority_pb2.ShowRequest, __: Call) -> authority_pb2.ShowResponse:
        core, now = self._core, self._core.clock.now()
        directory, sequence = core.situation.directory, core.trust.current.sequence
        live = core.writer.read(lambda connection: svids.live(connection, now))
        return authority_pb2.ShowResponse(
            environment=directory.environment,
            trust_domain=directory.trust_domain,
            sequence=sequence,
            authorities=[_authority(row) for row in core.authorities.rows],
            live_svids=live.svids,
            live_identities=live.identities,
            runway_seconds=-1 if live.first_end is None else live.first_end - now,
            tainted_lineages=core.writer.read(svids.tainted_lineages),
            streams=len(self._streams),
            streams_behind=self._streams.behind(sequence),
            server_time=now,
            unsafe_short_lives=core.situation.lifetimes.unsafe_short,
            root_sha256=hashlib.sha256(core.authorities.root.row.certificate).digest(),
        )


def _authority(row: AuthorityRow) -> authority_pb2.Authority:
    return authority_pb2.Authority(
        id=row.id,
        owner=row.owner,
        state=row.state,
        path_prefix=row.path_prefix or "",
        not_before=row.not_before,
        not_after=row.not_after,
        spki_sha256=row.spki_sha256,
    )

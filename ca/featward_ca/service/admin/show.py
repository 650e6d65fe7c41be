"""What the CA says about itself."""

import hashlib
from collections.abc import Mapping

from featward.authority.v1 import authority_pb2
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Call
from featward_ca.store import replica_rows, svids
from featward_ca.store.authority_rows import AuthorityRow


async def _show(
    office: Office, _: authority_pb2.ShowRequest, __: Call
) -> authority_pb2.ShowResponse:
    core, now = office.core, office.core.clock.now()
    directory, sequence = core.situation.directory, core.trust.current.sequence
    live = await core.store.read(lambda connection: svids.live(connection, now))
    return authority_pb2.ShowResponse(
        environment=directory.environment,
        trust_domain=directory.trust_domain,
        sequence=sequence,
        authorities=[_authority(row) for row in core.authorities.rows],
        live_svids=live.svids,
        live_identities=live.identities,
        live_clients=live.clients,
        runway_seconds=-1 if live.first_end is None else live.first_end - now,
        tainted_lineages=await core.store.read(svids.tainted_lineages),
        streams=len(office.streams),
        streams_behind=office.streams.behind(sequence),
        server_time=now,
        unsafe_short_lives=core.situation.lifetimes.unsafe_short,
        store=core.store.kind,
        replicas=[
            authority_pb2.Replica(
                id=row.id, seen_at=row.seen_at, sequence=row.sequence, streams=row.streams
            )
            for row in await core.store.read(replica_rows.everybody)
        ],
        root_sha256=hashlib.sha256(core.authorities.root.row.der).digest(),
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
        issuer=row.issuer or "",
        announced_sequence=row.announced_sequence or 0,
        tainted_sequence=row.tainted_sequence or 0,
        generation=row.generation,
    )


HANDLERS: Mapping[str, AdminHandler] = {"Show": _show}

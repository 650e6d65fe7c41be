"""What the CA says about itself."""

from collections.abc import Mapping

from featward.authority.v1 import authority_pb2
from featward_ca.service.admin.halting import said
from featward_ca.service.admin.messages import authority, rotation
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Call
from featward_ca.store import authority_rows, bans, clients, replica_rows, svids
from featward_ca.store.facts import PRESENT


async def _show(
    office: Office, _: authority_pb2.ShowRequest, __: Call
) -> authority_pb2.ShowResponse:
    core, now = office.core, office.core.clock.now()
    directory, sequence = core.situation.directory, core.trust.current.sequence
    live = await core.store.read(lambda connection: svids.live(connection, now))
    counts = await core.store.read(
        lambda connection: clients.counts(connection, core.store.replica, sequence, now)
    )
    runway = counts.runway(now, live.first_end)
    signed = await core.store.read(lambda connection: svids.live_by_authority(connection, now))
    shown = await core.store.read(lambda c: authority_rows.of_state(c, *PRESENT))
    known = await core.schedule.known()
    return authority_pb2.ShowResponse(
        environment=directory.environment,
        trust_domain=directory.trust_domain,
        sequence=sequence,
        authorities=[authority(row, signed.get(row.id, 0)) for row in shown],
        rotations=[rotation(one, known) for one in known.rotations],
        live_svids=live.svids,
        live_identities=live.identities,
        live_clients=live.clients,
        runway_seconds=-1 if runway is None else runway,
        tainted_lineages=await core.store.read(svids.tainted_lineages),
        streams=len(office.streams),
        streams_behind=counts.connected_behind,
        bans=await core.store.read(lambda connection: bans.count(connection, now)),
        server_time=now,
        unsafe_short_lives=core.situation.lifetimes.unsafe_short,
        store=core.store.kind,
        halted=said(await core.halt.halted()),
        root_sha256=core.authorities.root_sha256,
        replicas=[
            authority_pb2.Replica(
                id=row.id, seen_at=row.seen_at, sequence=row.sequence, streams=row.streams
            )
            for row in await core.store.read(replica_rows.everybody)
        ],
    )


HANDLERS: Mapping[str, AdminHandler] = {"Show": _show}

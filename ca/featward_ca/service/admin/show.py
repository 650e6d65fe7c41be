"""What the CA says about itself."""

from collections.abc import Mapping

from featward.authority.v1 import authority_pb2
from featward_ca.clock import readable
from featward_ca.core import Core
from featward_ca.errors import CaError
from featward_ca.rotation.endings import endings
from featward_ca.rotation.timing import scheduled_for
from featward_ca.service.admin.federation import foreign_domains
from featward_ca.service.admin.halting import said
from featward_ca.service.admin.messages import authority, rotation
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Call
from featward_ca.settings import DAY
from featward_ca.store import (
    authority_rows,
    bans,
    clients,
    living,
    replica_rows,
    rotation_rows,
    svids,
)
from featward_ca.store.facts import PRESENT
from featward_ca.trouble import Trouble

# A weekend, and some: for as long a forced step is shown.
REMEMBERED = 7 * DAY


async def _show(
    office: Office, _: authority_pb2.ShowRequest, __: Call
) -> authority_pb2.ShowResponse:
    core, now = office.core, office.core.clock.now()
    directory, trust = core.situation.directory, core.trust.current
    sequence = trust.sequence
    live = await core.store.read(lambda connection: living.live(connection, now))
    counts = await core.store.read(
        lambda connection: clients.counts(connection, core.store.replica, sequence, now)
    )
    runway = counts.runway(now, live.first_end)
    signed = await core.store.read(lambda connection: living.live_by_authority(connection, now))
    shown = await core.store.read(lambda c: authority_rows.of_state(c, *PRESENT))
    known = await core.schedule.known()
    foreign, foreign_troubles = await foreign_domains(core)
    ending = endings(known, core.terms, core.schedule.own_use)
    due = scheduled_for(known, core.terms)
    return authority_pb2.ShowResponse(
        environment=directory.environment,
        trust_domain=directory.trust_domain,
        sequence=sequence,
        authorities=[authority(row, signed.get(row.id, 0), due.get(row.id, 0)) for row in shown],
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
        root_sha256=_root(core),
        roots=trust.roots,
        scopes=[
            authority_pb2.TrustedScope(spki_sha256=key, path_prefix=prefix)
            for key, prefix in trust.scopes
        ],
        foreign=foreign,
        warnings=[
            authority_pb2.Warning(code=one.code, text=one.text, remedy=one.remedy, due=int(one.due))
            for one in (*_refused(core), *ending, *foreign_troubles, *await _forced(core, now))
        ],
        replicas=[
            authority_pb2.Replica(
                id=row.id, seen_at=row.seen_at, sequence=row.sequence, streams=row.streams
            )
            for row in await core.store.read(replica_rows.everybody)
        ],
    )


def _root(core: Core) -> bytes:
    """Empty where there is none: to find out why, somebody asks here."""
    try:
        return core.authorities.root_sha256
    except CaError:
        return b""


def _refused(core: Core) -> list[Trouble]:
    """One bad file holds up the edits of everybody, so it must not go by unseen."""
    if not core.refused_edits:
        return []
    (since, _), (_, why) = core.refused_edits[0], core.refused_edits[-1]
    return [
        Trouble(
            "edits-refused",
            f"not all of the manifests is taken over since {readable(since)}: {why}",
            "mend the manifests: featward check finds most of it, and the reason above the rest",
        )
    ]


async def _forced(core: Core, now: float) -> list[Trouble]:
    """What somebody should look at, though nothing has to be done at once."""
    forced = await core.store.read(lambda c: rotation_rows.forced_since(c, now - REMEMBERED))
    return [
        Trouble(
            "rotation-forced",
            f"{readable(event.time)}: the rotation of {owner} did not wait at the step"
            f" {event.step}: {event.detail}",
            "whoever is named may have lost connections; featward ca clients shows them",
        )
        for owner, event in forced
    ]


HANDLERS: Mapping[str, AdminHandler] = {"Show": _show}

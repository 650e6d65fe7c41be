"""Who lives, what each uses, and what each has acknowledged."""

from collections.abc import Mapping

from featward.authority.v1 import authority_pb2
from featward_ca.errors import UnknownAuthorityError
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Call
from featward_ca.service.paging import page_size
from featward_ca.store import authority_rows, clients
from featward_ca.store.clients import ClientRow


async def _list(
    office: Office, message: authority_pb2.ListClientsRequest, _: Call
) -> authority_pb2.ListClientsResponse:
    store, now, size = office.core.store, office.core.clock.now(), page_size(message.limit)
    behind = message.behind_sequence
    authority = await _authority(office, message.authority)
    rows = await store.read(
        lambda connection: clients.live(
            connection,
            store.replica,
            now,
            behind=behind,
            authority=authority,
            after=message.after,
            limit=size,
        )
    )
    total = await store.read(
        lambda connection: clients.total(connection, now, behind=behind, authority=authority)
    )
    return authority_pb2.ListClientsResponse(
        clients=[client(row) for row in rows],
        next=rows[-1].lineage if len(rows) == size else "",
        total=total,
    )


async def _authority(office: Office, name: str) -> str:
    """The id of the authority that is meant: its own, or of an owner the active one's; empty for none."""
    if not name:
        return ""
    if await office.core.store.read(lambda c: authority_rows.find(c, name)):
        return name
    active = (await office.core.schedule.known()).active(name)
    if active is None:
        raise UnknownAuthorityError(
            f"there is no authority {name!r}, and no owner of that name has an active one; featward ca"
            " authority list has their ids"
        )
    return active.id


def client(row: ClientRow) -> authority_pb2.Client:
    """One client, as the protocol says it."""
    return authority_pb2.Client(
        lineage=row.lineage,
        spiffe_id=row.spiffe_id,
        connected=row.connected,
        seen_at=row.seen_at or 0,
        acknowledged_sequence=row.acknowledged_sequence,
        serial_in_use=row.serial,
        authority=row.authority,
        not_after=row.not_after,
        method=row.method,
        version=row.version or "",
        clock_offset_ms=row.clock_offset_ms or 0,
    )


HANDLERS: Mapping[str, AdminHandler] = {"ListClients": _list}

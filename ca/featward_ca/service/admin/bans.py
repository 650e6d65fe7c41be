"""Who is refused from now on, and who is not any more."""

from collections.abc import Mapping

from featward.authority.v1 import authority_pb2
from featward_ca.bans import BanKind, read_value
from featward_ca.core import Core
from featward_ca.errors import IllegalTransitionError, MalformedRequestError, UnknownBanError
from featward_ca.rotation.states import State
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Call
from featward_ca.service.paging import page_size
from featward_ca.store import bans
from featward_ca.store.bans import BanRow
from featward_ca.store.store import Connection

_LONGEST_REASON = 500


async def _add(
    office: Office, message: authority_pb2.AddBanRequest, call: Call
) -> authority_pb2.BanResponse:
    core, now = office.core, office.core.clock.now()
    kind, value = _whom(core, message)
    call.remark.subject, call.remark.detail = value, f"{kind}: {message.reason}"
    if len(message.reason) > _LONGEST_REASON:
        raise MalformedRequestError(f"a reason has {_LONGEST_REASON} characters at most")
    ends = now + message.lifetime_seconds if message.lifetime_seconds > 0 else None
    row = BanRow(bans.new_id(), kind, value, message.reason, str(call.peer), now, ends)
    before = await core.store.read(lambda connection: bans.of(connection, kind, value))
    if before and (before.reason, before.expires_at) == (row.reason, row.expires_at):
        return await _answer(core, before, changed=False)
    stored = await core.change_bans(lambda connection: bans.put(connection, row))
    return await _answer(core, stored, changed=True)


def _whom(core: Core, message: authority_pb2.AddBanRequest) -> tuple[BanKind, str]:
    said = {
        BanKind.IDENTITY: message.spiffe_id,
        BanKind.SERIAL: message.serial,
        BanKind.AUTHORITY: message.authority,
    }
    wanted = [(kind, text) for kind, text in said.items() if text]
    if len(wanted) != 1:
        raise MalformedRequestError("name one identity, one serial or one authority to ban")
    kind, text = wanted[0]
    directory = core.situation.directory
    if kind is BanKind.AUTHORITY:
        text = _authority(core, text)
    if kind is BanKind.IDENTITY:
        text = str(directory.identity(text))
    return kind, read_value(kind, text, directory.trust_domain)


def _authority(core: Core, text: str) -> str:
    """The key of an authority that is named by its id. Of the ones in use a ban would cut off
    all of their owner's workloads, with nobody to renew them.
    """
    for row in core.authorities.rows:
        if text.lower() in (row.id, row.spki_sha256.hex()):
            if row.state in (State.ACTIVE, State.PREPARED):
                raise IllegalTransitionError(
                    f"the authority {row.id} of {row.owner} is {row.state}: a ban would cut off"
                    f" all that it signs; replace it first: featward ca compromise {row.id}"
                )
            return row.spki_sha256.hex()
    return text


async def _remove(
    office: Office, message: authority_pb2.RemoveBanRequest, call: Call
) -> authority_pb2.BanResponse:
    call.remark.subject = message.id

    def remove(connection: Connection) -> BanRow:
        row = bans.take(connection, message.id)
        if row is None:
            raise UnknownBanError(
                f"there is no ban {message.id!r}; featward ca ban list shows all of them"
            )
        return row

    row = await office.core.change_bans(remove)
    call.remark.subject, call.remark.detail = row.value, f"{row.kind}: {row.reason}"
    return await _answer(office.core, row, changed=True)


async def _list(
    office: Office, message: authority_pb2.ListBansRequest, _: Call
) -> authority_pb2.ListBansResponse:
    size = page_size(message.limit)
    rows = await office.core.store.read(lambda c: bans.page(c, message.after, size))
    return authority_pb2.ListBansResponse(
        bans=[_entry(row) for row in rows], next=rows[-1].id if len(rows) == size else ""
    )


async def _answer(core: Core, row: BanRow, *, changed: bool) -> authority_pb2.BanResponse:
    now = core.clock.now()
    return authority_pb2.BanResponse(
        ban=_entry(row),
        sequence=core.trust.current.sequence,
        changed=changed,
        live_svids=await core.store.read(lambda connection: bans.live_svids(connection, row, now)),
    )


def _entry(row: BanRow) -> authority_pb2.BanEntry:
    return authority_pb2.BanEntry(
        id=row.id,
        kind=row.kind,
        value=row.value,
        reason=row.reason,
        by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at or 0,
    )


HANDLERS: Mapping[str, AdminHandler] = {"AddBan": _add, "RemoveBan": _remove, "ListBans": _list}

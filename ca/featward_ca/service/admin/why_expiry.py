"""Why an SVID ends when it does."""

from collections.abc import Mapping

from featward.authority.v1 import authority_pb2
from featward_ca import expiry
from featward_ca.errors import UnknownSerialError
from featward_ca.serials import read_serial, serial_text
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Call
from featward_ca.store import authority_rows, svids


async def _why_expiry(
    office: Office, message: authority_pb2.WhyExpiryRequest, _: Call
) -> authority_pb2.WhyExpiryResponse:
    core, serial = office.core, serial_text(read_serial(message.serial))
    row = await core.store.read(lambda connection: svids.find(connection, serial))
    if row is None:
        raise UnknownSerialError(
            f"no SVID with the serial number {serial} is stored: it was not issued here, or ended"
            " long ago"
        )
    authority = row.authority
    chain = await core.store.read(lambda connection: authority_rows.chain(connection, authority))
    return authority_pb2.WhyExpiryResponse(
        spiffe_id=row.spiffe_id,
        issued_at=row.issued_at,
        not_after=row.not_after,
        cap=row.cap,
        caps=[
            authority_pb2.Cap(
                name=limit.bound,
                not_after=limit.not_after,
                text=limit.text,
                applied=limit.bound.value == row.cap.value,
            )
            for limit in expiry.as_stored(row, core.situation.lifetimes, chain)
        ],
    )


HANDLERS: Mapping[str, AdminHandler] = {"WhyExpiry": _why_expiry}

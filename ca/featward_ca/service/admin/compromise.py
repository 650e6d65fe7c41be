"""A stolen authority, by command."""

from collections.abc import Mapping

from featward.authority.v1 import authority_pb2
from featward_ca.errors import MalformedRequestError
from featward_ca.plurals import counted
from featward_ca.rotation.actions import By
from featward_ca.rotation.compromise import compromise
from featward_ca.rotation.orders import Order
from featward_ca.service.admin import messages
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Call
from featward_ca.settings import DAY


async def _compromise(
    office: Office, message: authority_pb2.CompromiseRequest, call: Call
) -> authority_pb2.CompromiseResponse:
    if not 0 <= message.within_seconds <= DAY:
        raise MalformedRequestError("a compromise is over within a day at most")
    by = By(str(call.peer), f"{call.request.id}.step")
    order = Order(by, dry_run=message.dry_run, reason=message.reason)
    found = await compromise(office.core, message.authority, order, message.within_seconds)
    call.remark.subject = f"authority {message.authority}"
    lost = len(found.breaks)
    may = f"{counted(lost, 'client')} may lose their identity"
    call.remark.detail = "dry run" if message.dry_run else may
    return authority_pb2.CompromiseResponse(
        breaks=[messages.client(one) for one in found.breaks],
        steps=found.steps,
        recovery_seconds=found.seconds,
        rotation=found.rotation.id if found.rotation else "",
        warnings=found.warnings,
    )


HANDLERS: Mapping[str, AdminHandler] = {"Compromise": _compromise}

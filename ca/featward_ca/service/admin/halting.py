"""The switch that stops issuing, on request."""

from collections.abc import Mapping

from featward.authority.v1 import authority_pb2
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Call
from featward_ca.store.issuance import Halted


async def _halt(
    office: Office, message: authority_pb2.HaltRequest, call: Call
) -> authority_pb2.HaltResponse:
    changed = await office.core.halt.halt(str(call.peer), message.reason)
    call.remark.detail = message.reason or None
    return await _answer(office, changed)


async def _resume(
    office: Office, _: authority_pb2.ResumeRequest, call: Call
) -> authority_pb2.HaltResponse:
    changed = await office.core.halt.resume()
    call.remark.detail = None if changed else "it was not halted"
    return await _answer(office, changed)


async def _answer(office: Office, changed: bool) -> authority_pb2.HaltResponse:
    halted = await office.core.halt.halted()
    return authority_pb2.HaltResponse(halted=said(halted), changed=changed)


def said(halted: Halted | None) -> authority_pb2.Halted | None:
    """The protocol's form."""
    if halted is None:
        return None
    return authority_pb2.Halted(since=halted.since, by=halted.by, reason=halted.reason)


HANDLERS: Mapping[str, AdminHandler] = {"Halt": _halt, "Resume": _resume}

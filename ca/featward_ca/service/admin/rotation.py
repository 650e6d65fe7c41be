"""Rotation by hand: each step, all of them, and the steering of what is under way."""

from collections.abc import Mapping

from featward.authority.v1 import authority_pb2
from featward_ca.errors import MalformedRequestError, NotPermittedError
from featward_ca.rotation import orders
from featward_ca.rotation.actions import By
from featward_ca.rotation.losses import listed
from featward_ca.rotation.orders import Answer, Order
from featward_ca.rotation.states import Progress
from featward_ca.service.admin.messages import step_response
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Call
from featward_ca.service.peers import PeerKind
from featward_ca.store import living

_Control = authority_pb2.ControlRotationRequest
_STEERED: dict[int, Progress | None] = {
    _Control.PAUSE: Progress.PAUSED,
    _Control.RESUME: Progress.RUNNING,
    _Control.CANCEL: Progress.CANCELLED,
    _Control.FORCE: None,
}


async def _prepare(
    office: Office, message: authority_pb2.StepRequest, call: Call
) -> authority_pb2.StepResponse:
    answer = await orders.prepare(office.core, message.authority, _order(message, call))
    return await _answered(office, answer, call)


async def _activate(
    office: Office, message: authority_pb2.StepRequest, call: Call
) -> authority_pb2.StepResponse:
    return await _take(office, orders.ACTIVATE, message, call)


async def _taint(
    office: Office, message: authority_pb2.StepRequest, call: Call
) -> authority_pb2.StepResponse:
    return await _take(office, orders.TAINT, message, call)


async def _revoke(
    office: Office, message: authority_pb2.StepRequest, call: Call
) -> authority_pb2.StepResponse:
    return await _take(office, orders.REVOKE, message, call)


async def _rotate(
    office: Office, message: authority_pb2.RotateRequest, call: Call
) -> authority_pb2.StepResponse:
    order = Order(_by(call), message.generation, dry_run=message.dry_run, reason=message.reason)
    answer = await orders.rotate(office.core, message.owner, order, message.step_timeout_seconds)
    return await _answered(office, answer, call)


async def _control(
    office: Office, message: authority_pb2.ControlRotationRequest, call: Call
) -> authority_pb2.StepResponse:
    if message.action not in _STEERED:
        raise MalformedRequestError("a rotation is paused, resumed, cancelled or forced")
    state = _STEERED[message.action]
    _check_force(state is None, call)
    order = Order(_by(call), reason=message.reason, force=state is None)
    answer = await orders.steer(office.core, message.rotation, state, order)
    return await _answered(office, answer, call)


async def _take(
    office: Office, kind: orders.StepKind, message: authority_pb2.StepRequest, call: Call
) -> authority_pb2.StepResponse:
    answer = await orders.take(office.core, kind, message.authority, _order(message, call))
    return await _answered(office, answer, call)


def _order(message: authority_pb2.StepRequest, call: Call) -> Order:
    _check_force(message.force, call)
    return Order(_by(call), message.generation, message.force, message.dry_run, message.reason)


def _check_force(force: bool, call: Call) -> None:
    if force and call.peer.kind is not PeerKind.ADMIN:
        raise NotPermittedError("only an administrator of the CA's machine may force a step")


def _by(call: Call) -> By:
    # A request of its own: the rows of each step are not the call's row after.
    return By(str(call.peer), f"{call.request.id}.step")


async def _answered(office: Office, answer: Answer, call: Call) -> authority_pb2.StepResponse:
    if answer.authority:
        call.remark.subject = f"authority {answer.authority.id} of {answer.authority.owner}"
    if not answer.changed:
        call.remark.detail = f"nothing changed; {len(answer.blockers)} in the way"
    elif answer.breaks:
        call.remark.detail = f"forced; breaks: {listed(answer.breaks)}"
    core = office.core
    signed = await core.store.read(lambda c: living.live_by_authority(c, core.clock.now()))
    return step_response(answer, await core.schedule.known(), signed)


HANDLERS: Mapping[str, AdminHandler] = {
    "Prepare": _prepare,
    "Activate": _activate,
    "Taint": _taint,
    "Revoke": _revoke,
    "Rotate": _rotate,
    "ControlRotation": _control,
}

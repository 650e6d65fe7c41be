"""What stands around every call: the table of callers, the limits, and the one mapping of errors
to status.

A caller learns what it can act on; the reason behind a refusal, and everything about a failure of
ours, stays in the log under the request's number.
"""

from __future__ import annotations  # grpc's classes are generic in their stubs alone

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from featward.logs import fields
from featward_ca import errors
from featward_ca.clock import Clock
from featward_ca.metrics import Metrics
from featward_ca.recorded import RecordedIssuance, Request
from featward_ca.service.limits import Allowance, Buckets
from featward_ca.service.peers import Peer, peer_of
from featward_ca.service.rpcs import Rate, Rpc, rows_of
from featward_ca.store.audit import Outcome

_log = logging.getLogger(__name__)
# How many milliseconds a client had better wait before it comes again.
_RETRY_AFTER = "featward-retry-after-ms"
# Refusals of one source that the log says in full; all of them are counted. Anybody may cause them.
_LOGGED = Rate(100, 1)
_CUT_OFF = "the CA has ended this call; connect again"

# First match counts, so the narrow come first.
_STATUS: tuple[tuple[type[Exception], grpc.StatusCode], ...] = (
    (errors.MalformedRequestError, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.NotAttestedError, grpc.StatusCode.UNAUTHENTICATED),
    (errors.EvidenceNeededError, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.NotPermittedError, grpc.StatusCode.PERMISSION_DENIED),
    (errors.SvidClonedError, grpc.StatusCode.PERMISSION_DENIED),
    # To a client UNAVAILABLE means to come again; RESOURCE_EXHAUSTED makes some give up.
    (errors.LaterError, grpc.StatusCode.UNAVAILABLE),
    (errors.UnknownWorkloadError, grpc.StatusCode.NOT_FOUND),
    (errors.UnknownBanError, grpc.StatusCode.NOT_FOUND),
    (errors.UnknownNameError, grpc.StatusCode.NOT_FOUND),
    (errors.UnknownAuthorityError, grpc.StatusCode.NOT_FOUND),
    (errors.IllegalTransitionError, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.NotHereError, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.UnknownSerialError, grpc.StatusCode.NOT_FOUND),
    (errors.NoAuthorityError, grpc.StatusCode.UNAVAILABLE),
    (errors.StoreError, grpc.StatusCode.UNAVAILABLE),
    (errors.CaError, grpc.StatusCode.INTERNAL),
)


@dataclass
class Remark:
    """What a handler wants to be said of a change in the audit table: whom it is about, and what
    it was; never a secret.
    """

    subject: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Call:
    """What a handler knows about its call besides the message."""

    peer: Peer
    request: Request
    context: grpc.aio.ServicerContext[Any, Any]
    remark: Remark = field(default_factory=Remark)


Handler = Callable[[Any, Call], Awaitable[Any]]


class Guard:
    """Wraps handlers; one for all services of a CA."""

    def __init__(
        self, trust_domain: str, clock: Clock, metrics: Metrics, issuance: RecordedIssuance
    ) -> None:
        self._trust_domain = trust_domain
        self._clock = clock
        self._metrics = metrics
        self._issuance = issuance
        self._logged = Buckets(_LOGGED)

    def service(
        self, descriptor: ServiceDescriptor, handlers: dict[str, Handler], fixed: Peer | None = None
    ) -> grpc.GenericRpcHandler:
        """All methods of a service behind the table. `fixed`: the caller, where the socket alone
        says who it is.
        """
        rows = rows_of(descriptor, handlers)
        guarded = {
            method.name: self._method(method, rows[method.name], handlers[method.name], fixed)
            for method in descriptor.methods
        }
        return grpc.method_handlers_generic_handler(descriptor.full_name, guarded)

    def _method(
        self, method: MethodDescriptor, row: Rpc, handler: Handler, fixed: Peer | None
    ) -> grpc.RpcMethodHandler[Any, Any]:
        allowance = Allowance(row.limit)

        async def guarded(message: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            peer = fixed or peer_of(context.invocation_metadata() or (), self._trust_domain)
            call = Call(peer, Request(row.audit_kind, str(peer)), context)
            try:
                return await self._run(row, allowance, handler, message, call)
            except errors.CaError as error:
                await self._refuse(method.name, call, error)
            except asyncio.CancelledError:
                # By the caller, who hears nothing any more; or by us, and then grpc.aio sends no
                # status and the caller would wait for ever. It does not say which.
                await context.abort(grpc.StatusCode.UNAVAILABLE, _CUT_OFF)
            except Exception as error:  # a defect of ours: the caller must not read our insides
                _log.exception(
                    "call failed", extra=fields(rpc=method.name, request=call.request.id)
                )
                await self._refuse(method.name, call, errors.CaError(type(error).__name__))

        deserialize = GetMessageClass(method.input_type).FromString
        make = (
            grpc.stream_stream_rpc_method_handler
            if method.client_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        return make(guarded, deserialize, _serialized)

    async def _run(
        self, row: Rpc, allowance: Allowance, handler: Handler, message: Any, call: Call
    ) -> Any:
        # First, because to be refused costs us something too.
        serial = call.peer.held.serial if call.peer.held else None
        allowance.enter(call.peer.source, self._clock.now(), serial)
        try:
            if not call.peer.kinds & row.callers:
                raise errors.NotPermittedError(
                    f"{call.peer.kind} callers may not call {row.audit_kind}"
                )
            if row.changes:
                return await self._recorded(handler, message, call)
            return await handler(message, call)
        finally:
            allowance.leave(serial)

    async def _recorded(self, handler: Handler, message: Any, call: Call) -> Any:
        """A change with its rows in the audit table; without the first one nothing is changed."""
        await self._issuance.note(call.request, Outcome.ASKED)
        try:
            answer = await handler(message, call)
        except BaseException as error:  # cut off or defective, it has to be on record too
            outcome = Outcome.REFUSED if isinstance(error, errors.RequestError) else Outcome.FAILED
            known = isinstance(error, errors.CaError)
            detail = _reason(error) if known else type(error).__name__
            await self._issuance.note(call.request, outcome, detail, call.remark.subject)
            raise
        remark = call.remark
        await self._issuance.note(call.request, Outcome.DONE, remark.detail, remark.subject)
        return answer

    async def _refuse(self, name: str, call: Call, error: errors.CaError) -> NoReturn:
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        if not isinstance(error, errors.RequestError):
            self._log(logging.ERROR, name, call, status, error)
        elif not self._logged.take(str(call.peer.source), self._clock.now()):
            self._log(logging.WARNING, name, call, status, error)
        self._metrics.refusals.labels(name, status.name).inc()
        if isinstance(error, errors.LaterError):
            after = max(1, round(error.retry_after * 1000))
            call.context.set_trailing_metadata(((_RETRY_AFTER, str(after)),))
        told = (
            str(error)
            if isinstance(error, errors.RequestError)
            else "the CA could not do it; its log says why"
        )
        await call.context.abort(status, f"{told} (request {call.request.id})")

    def _log(
        self, level: int, name: str, call: Call, status: grpc.StatusCode, error: errors.CaError
    ) -> None:
        _log.log(
            level,
            "call refused",
            extra=fields(
                rpc=name,
                caller=str(call.peer),
                status=status.name,
                reason=_reason(error),
                request=call.request.id,
            ),
        )


def _serialized(answer: Message | bytes) -> bytes:
    """What goes to many is serialised before."""
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


def _reason(error: BaseException) -> str:
    """Why, for ourselves: some errors tell the caller less."""
    return str(getattr(error, "reason", error))

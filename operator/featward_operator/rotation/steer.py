"""Follows the CA of one environment, asks it for what its owners' objects ask for, and writes how it goes.

A look is one `Show`, whatever the number of owners. While something is under way there is one a second, so that
what people watch moves; otherwise one every half minute, and one whenever an object changes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from featward.authority.v1 import authority_pb2, authority_pb2_grpc
from featward.kubernetes.errors import ApiError
from featward.logs import fields
from featward_operator.rotation.blockers import Pods, sentences
from featward_operator.rotation.plan import Command, Planned, plan
from featward_operator.rotation.speech import unheard
from featward_operator.rotation.standing import Standing, standing_of
from featward_operator.vocabulary import Reason

if TYPE_CHECKING:
    from prometheus_client import Gauge

    from featward.kubernetes.elector import Lost
    from featward_operator.rotation.owner import Owner
    from featward_operator.rotation.writing import StatusWriter

__all__ = ["Access", "Authority", "Steering"]

_log = logging.getLogger(__name__)
RUNNING_SECONDS, PAUSED_SECONDS, IDLE_SECONDS = 1.0, 2.0, 30.0
"""Between two looks: while something is under way, while something is to stay paused, and otherwise."""
_NO_IDENTITY_SECONDS = 2.0
# After something was asked of the CA, to see what came of it.
_SOON_SECONDS = 0.2
_ANSWER_SECONDS = 10.0
# What is asked for is written down, then asked, then seen: so often at most in one look.
_ROUNDS = 3
# The same request would be refused again; anything else may pass.
_REFUSALS = (
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
)
Stub: Any = authority_pb2_grpc.AuthorityServiceStub


@dataclass(frozen=True)
class Access:
    """How the CA of an environment is reached, as its operator."""

    is_ready: Callable[[], bool]
    """Whether there is an identity to show."""
    channel: Callable[[], grpc.aio.Channel]


class Authority:
    """A CA, as its operator sees it. All raise grpc.aio.AioRpcError."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = Stub(channel)

    async def show(self) -> authority_pb2.ShowResponse:
        """All of its authorities and rotations."""
        shown: authority_pb2.ShowResponse = await self._stub.Show(
            authority_pb2.ShowRequest(), timeout=_ANSWER_SECONDS
        )
        return shown

    async def rotate(self, owner: str, generation: int, reason: str) -> None:
        """Begin to replace an authority, unless this generation signs already."""
        request = authority_pb2.RotateRequest(owner=owner, generation=generation, reason=reason)
        await self._stub.Rotate(request, timeout=_ANSWER_SECONDS)

    async def control(self, rotation: str, *, pause: bool, reason: str) -> None:
        """Pause or resume a rotation."""
        kinds = authority_pb2.ControlRotationRequest
        action = kinds.PAUSE if pause else kinds.RESUME
        request = kinds(rotation=rotation, action=action, reason=reason)
        await self._stub.ControlRotation(request, timeout=_ANSWER_SECONDS)


class Steering:
    """One environment, on the leader. `wake` it when one of its objects has changed."""

    def __init__(
        self,
        access: Access,
        owners: Callable[[], Iterable[Owner]],
        writer: StatusWriter,
        pods: Pods,
        ratio: Gauge,
        *,
        authority: Callable[[grpc.aio.Channel], Authority] = Authority,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``owners``: the Environment and its BusinessUnits, as they are known; ``ratio`` by owner."""
        self._access = access
        self._owners = owners
        self._writer = writer
        self._pods = pods
        self._ratio = ratio
        self._authority = authority
        self._now = now
        self._woken = asyncio.Event()
        self.heard: tuple[Reason, str] | None = None
        """Whether the CA was heard at the last look, and a sentence; None before the first."""
        # What was asked for an owner that the CA refused, why, and when it may be asked again.
        self._refused: dict[str, tuple[str, str, float]] = {}
        self._counted: set[str] = set()

    def wake(self) -> None:
        """Look now."""
        self._woken.set()

    async def run(self, lost: Lost) -> None:
        """Until cancelled, or the lead is lost."""
        channel: grpc.aio.Channel | None = None
        try:
            while not lost.is_set():
                self._woken.clear()
                if not self._access.is_ready():
                    why = "the operator has no identity in this environment yet"
                    await self._unheard(Reason.NO_IDENTITY, why, lost)
                    await self._rest(_NO_IDENTITY_SECONDS)
                    continue
                channel = channel or self._access.channel()
                await self._rest(await self._look(self._authority(channel), lost))
        finally:
            for name in self._counted:
                self._ratio.remove(name)
            self._counted.clear()
            if channel is not None:
                await channel.close()

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _look(self, authority: Authority, lost: Lost) -> float:
        """One look at all; how long to wait until the next."""
        try:
            shown = await authority.show()
        except grpc.aio.AioRpcError as error:
            await self._unheard(Reason.UNREACHABLE, _said(error), lost)
            return PAUSED_SECONDS
        self.heard = Reason.REACHABLE, "the CA answers"
        waits = [IDLE_SECONDS]
        for owner in list(self._owners()):
            if lost.is_set():
                break
            try:
                waits.append(await self._tend(authority, owner, shown, lost))
            except (ApiError, grpc.aio.AioRpcError) as error:
                told = fields(owner=owner.name, why=str(error).partition("\n")[0])
                _log.warning("rotation not followed", extra=told)
                waits.append(PAUSED_SECONDS)
        return min(waits)

    async def _tend(
        self, authority: Authority, owner: Owner, shown: authority_pb2.ShowResponse, lost: Lost
    ) -> float:
        standing = standing_of(owner.authority, shown)
        if standing is None:
            why = f"the CA has no authority that signs for {owner.authority}"
            await self._write(owner, lambda one: _silent(one, _ABSENT, why, self._now()), lost)
            return PAUSED_SECONDS
        self._count(owner, standing)
        current: Owner | None = owner
        for _ in range(_ROUNDS):
            if current is None or lost.is_set():
                return RUNNING_SECONDS
            planned = self._plan(current, standing)
            if not self._writer.is_due(current, planned.status):
                break
            current = await self._write(current, lambda one: self._plan(one, standing).status, lost)
        if planned.command and current is not None and self._may_ask(current) and not lost.is_set():
            await self._give(authority, current, planned.command)
            return _SOON_SECONDS
        if planned.under_way:
            paused = standing.rotation is not None and standing.rotation.state == "paused"
            return PAUSED_SECONDS if paused or self._why(owner) else RUNNING_SECONDS
        return PAUSED_SECONDS if owner.paused else IDLE_SECONDS

    def _plan(self, owner: Owner, standing: Standing) -> Planned:
        rotation = standing.rotation
        told = sentences(rotation, self._pods, owner.clusters) if rotation is not None else []
        return plan(owner, standing, self._now(), blockers=told, refused=self._why(owner))

    async def _give(self, authority: Authority, owner: Owner, command: Command) -> None:
        """Ask the CA for what the object says already."""
        told = fields(owner=owner.authority, generation=command.generation or None)
        try:
            if command.what == "rotate":
                reason = f"{owner.kind} {owner.name}: asked for at {owner.requested_at}"
                await authority.rotate(owner.authority, command.generation, reason[:200])
            else:
                pause = command.what == "pause"
                reason = f"{owner.kind} {owner.name}: featward.dev/rotation"
                await authority.control(command.rotation, pause=pause, reason=reason)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _REFUSALS:
                raise
            _log.error("refused by the CA", extra=told | fields(why=error.details()))
            again = self._now() + IDLE_SECONDS
            self._refused[owner.name] = (_asked(owner), _said(error), again)
        else:
            _log.info("asked the CA", extra=fields(owner=owner.authority, what=command.what))
            self._refused.pop(owner.name, None)

    def _may_ask(self, owner: Owner) -> bool:
        """Not what the CA has just refused."""
        return not self._why(owner) or self._now() >= self._refused[owner.name][2]

    def _why(self, owner: Owner) -> str:
        asked, why, _ = self._refused.get(owner.name, ("", "", 0.0))
        return why if asked == _asked(owner) else ""

    async def _unheard(self, reason: Reason, why: str, lost: Lost) -> None:
        self.heard = reason, why
        for owner in list(self._owners()):
            if not lost.is_set():
                await self._write(owner, lambda one: _silent(one, reason, why, self._now()), lost)

    async def _write(
        self, owner: Owner, make: Callable[[Owner], dict[str, Any]], lost: Lost
    ) -> Owner | None:
        if lost.is_set():
            return None
        if not self._writer.is_due(owner, make(owner)):
            return owner
        try:
            return await self._writer.write(owner, make, self._why(owner))
        except ApiError as error:
            told = fields(kind=owner.kind, name=owner.name, why=str(error))
            _log.warning("status not written", extra=told)
            return None

    def _count(self, owner: Owner, standing: Standing) -> None:
        rotation = standing.rotation
        if rotation is None:
            if owner.name in self._counted:
                self._counted.discard(owner.name)
                self._ratio.remove(owner.name)
            return
        self._counted.add(owner.name)
        ratio = rotation.acknowledged / rotation.needed if rotation.needed else 1.0
        self._ratio.labels(owner.name).set(ratio)


_ABSENT = Reason.NO_AUTHORITY


def _silent(owner: Owner, reason: Reason, why: str, now: float) -> dict[str, Any]:
    """The status while the CA is not heard: what was said of rotation and authority stays."""
    return {**owner.status, "conditions": unheard(owner, reason, why, now)}


def _asked(owner: Owner) -> str:
    return f"{owner.requested_at} {owner.paused}"


def _said(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name}: {error.details()}"[:1000]

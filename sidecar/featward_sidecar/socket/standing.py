"""What apps may have at this moment, and the kind of call that follows it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from featward_sidecar.content import Content
from featward_sidecar.grpc_call import Status
from featward_sidecar.socket.call import Call, Handler

__all__ = ["NOTHING_YET", "OpenMethod", "Standing", "Stream"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Content, or the status that a call without any ends in."""

    content: Content | None
    status: Status = Status.UNAVAILABLE
    why: str = ""

    def at(self, now: float) -> "Standing":
        """The same, but an identity that has ended is no longer handed out."""
        if self.content is None or now < self.content.not_after:
            return self
        why = "the identity has expired and was not renewed yet; `featward sidecar status` says why"
        return Standing(None, Status.UNAVAILABLE, why)


NOTHING_YET = Standing(None, Status.UNAVAILABLE, "the sidecar has no identity yet")


class Stream(ABC):
    """A call that is told of each change until its end."""

    def __init__(self, call: Call) -> None:
        self.call = call

    @abstractmethod
    def message(self, data: bytes) -> None: ...

    @abstractmethod
    def half_closed(self) -> None: ...

    @abstractmethod
    def offer(self, standing: Standing) -> None:
        """This is what stands from now on."""

    @property
    @abstractmethod
    def given(self) -> bool | None:
        """Whether the client has what was offered last; None where it has refused it."""


OpenMethod = Callable[[Call, str, Standing], Handler | None]
"""Opens a call of one service: the call, its method, and what stands. Ends the call where it returns None."""

"""What a plan is made of: each action is one change of the store, whole or not at all."""

from dataclasses import dataclass

from featward_ca.rotation.known import Blocker
from featward_ca.rotation.states import Kind, Progress, Step

# Who wants what the schedule does.
SCHEDULE = "schedule"


@dataclass(frozen=True)
class By:
    """Who has it done: the schedule, or a call with its number in the audit table."""

    who: str = SCHEDULE
    request: str = SCHEDULE


BY_SCHEDULE = By()


@dataclass(frozen=True)
class Expire:
    """The authority's end has come."""

    authority: str


@dataclass(frozen=True)
class Retire:
    """Nothing that it signed may be renewed any more."""

    authority: str


@dataclass(frozen=True)
class Begin:
    """Open a rotation. `adopt`: an authority that was prepared by hand and waits."""

    owner: str
    kind: Kind
    by: str
    reason: str
    step_timeout: float
    parent: str | None = None
    predecessor: str | None = None
    adopt: str | None = None
    step: Step = Step.REQUEST


@dataclass(frozen=True)
class Request:
    """Make a key that is durable before anything is signed with it or for it."""

    owner: str


@dataclass(frozen=True)
class Sign:
    """Certify a requested authority and announce it."""

    authority: str


@dataclass(frozen=True)
class Activate:
    """Sign with it from now on. `forced`: why although something stood in the way, and what breaks."""

    authority: str
    forced: str = ""
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Taint:
    """Have all that it signed renewed."""

    authority: str


@dataclass(frozen=True)
class Revoke:
    """Let nobody accept it any more."""

    authority: str
    forced: str = ""
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """The present step has waited for too long."""

    rotation: str
    blockers: tuple[Blocker, ...]


@dataclass(frozen=True)
class Unblock:
    """Nothing stands in the way any more."""

    rotation: str


@dataclass(frozen=True)
class Finish:
    """The rotation has nothing left to do."""

    rotation: str
    why: str


@dataclass(frozen=True)
class Steer:
    """Somebody pauses, resumes or gives up a rotation; `what` they said that they did."""

    rotation: str
    state: Progress
    what: str
    reason: str


@dataclass(frozen=True)
class Cancel:
    """Give up an authority that was requested or prepared, and the rotation that it is of.
    `stolen`: its key is banned too.
    """

    authority: str
    reason: str = ""
    stolen: bool = False


@dataclass(frozen=True)
class Abandon:
    """The journal says what the authorities do not."""

    rotation: str
    why: str


Planned = (
    Expire
    | Retire
    | Begin
    | Request
    | Sign
    | Activate
    | Taint
    | Revoke
    | Block
    | Unblock
    | Finish
    | Steer
    | Cancel
    | Abandon
)

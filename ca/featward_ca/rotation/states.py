"""The states of an authority and of a rotation, and every change between them that there is.

An authority is *requested* (its key is durable, its certificate awaited), *prepared* (announced,
not used), *active* (signs), *old* (replaced), *tainted* (all that it signed is being renewed),
*revoked* (trusted no more), *expired* (over, its key forgotten, still announced for those who may
renew an expired SVID) and *retired* (announced no more). What the tables do not list is illegal.
"""

from enum import StrEnum

from featward_ca.errors import IllegalTransitionError


class State(StrEnum):
    """Of an authority."""

    REQUESTED = "requested"
    PREPARED = "prepared"
    ACTIVE = "active"
    OLD = "old"
    TAINTED = "tainted"
    REVOKED = "revoked"
    EXPIRED = "expired"
    RETIRED = "retired"


# Whose scope row, or whose root certificate, everybody is given.
ANNOUNCED = frozenset({State.PREPARED, State.ACTIVE, State.OLD, State.TAINTED, State.EXPIRED})


class Action(StrEnum):
    """What changes the state of an authority."""

    REQUEST = "request"
    # By our own root, or by the import of what an offline root has signed.
    SIGN = "sign"
    ACTIVATE = "activate"
    # What the activation of another one does to the one before.
    REPLACE = "replace"
    TAINT = "taint"
    COMPROMISE = "compromise"
    REVOKE = "revoke"
    EXPIRE = "expire"
    RETIRE = "retire"
    CANCEL = "cancel"


# None: there is no such authority yet.
TRANSITIONS: dict[tuple[State | None, Action], State] = {
    (None, Action.REQUEST): State.REQUESTED,
    (State.REQUESTED, Action.SIGN): State.PREPARED,
    (State.PREPARED, Action.ACTIVATE): State.ACTIVE,
    (State.ACTIVE, Action.REPLACE): State.OLD,
    (State.OLD, Action.TAINT): State.TAINTED,
    (State.ACTIVE, Action.COMPROMISE): State.TAINTED,
    (State.TAINTED, Action.REVOKE): State.REVOKED,
    (State.PREPARED, Action.EXPIRE): State.EXPIRED,
    (State.ACTIVE, Action.EXPIRE): State.EXPIRED,
    (State.OLD, Action.EXPIRE): State.EXPIRED,
    (State.TAINTED, Action.EXPIRE): State.EXPIRED,
    (State.EXPIRED, Action.RETIRE): State.RETIRED,
    (State.REQUESTED, Action.CANCEL): State.RETIRED,
    (State.PREPARED, Action.CANCEL): State.RETIRED,
}


def after(state: State | None, action: Action) -> State:
    """The state that an action leads to. Raises IllegalTransitionError."""
    try:
        return TRANSITIONS[state, action]
    except KeyError:
        allowed = [known for known, named in TRANSITIONS if named is action]
        wanted = " or ".join(str(known or "not made yet") for known in allowed)
        raise IllegalTransitionError(
            f"{action} is for an authority that is {wanted}, and this one is"
            f" {state or 'not made yet'}"
        ) from None


class Kind(StrEnum):
    """Why a rotation runs."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    ROOT = "root"
    COMPROMISE = "compromise"


class Step(StrEnum):
    """What a rotation does next."""

    REQUEST = "request"
    PREPARE = "prepare"
    ACTIVATE = "activate"
    TAINT = "taint"
    REVOKE = "revoke"
    DONE = "done"


_STEPS: dict[Kind, tuple[Step, ...]] = {
    # The one before is left to expire.
    Kind.SCHEDULED: (Step.REQUEST, Step.PREPARE, Step.ACTIVATE, Step.DONE),
    Kind.MANUAL: tuple(Step),
    Kind.ROOT: tuple(Step),
    # To activate the new one is to taint the stolen one.
    Kind.COMPROMISE: (Step.REQUEST, Step.PREPARE, Step.ACTIVATE, Step.REVOKE, Step.DONE),
}


def step_after(kind: Kind, step: Step) -> Step:
    """The step that follows in a rotation of this kind. Raises IllegalTransitionError."""
    steps = _STEPS[kind]
    if step not in steps or step is Step.DONE:
        raise IllegalTransitionError(f"a {kind} rotation has no step after {step}")
    return steps[steps.index(step) + 1]


def steps_from(kind: Kind, step: Step) -> tuple[Step, ...]:
    """What a rotation of this kind has left to do when it is at a step; empty where it has no such
    step.
    """
    steps = _STEPS[kind]
    return steps[steps.index(step) : -1] if step in steps else ()


class Progress(StrEnum):
    """Of a rotation. It goes from running to blocked and back by itself; the rest is by hand or
    the end.
    """

    RUNNING = "running"
    BLOCKED = "blocked"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


OPEN = frozenset({Progress.RUNNING, Progress.BLOCKED, Progress.PAUSED})
_PROGRESS: dict[Progress, frozenset[Progress]] = {
    Progress.RUNNING: frozenset(
        {Progress.BLOCKED, Progress.PAUSED, Progress.DONE, Progress.CANCELLED}
    ),
    Progress.BLOCKED: frozenset({Progress.RUNNING, Progress.PAUSED, Progress.CANCELLED}),
    Progress.PAUSED: frozenset({Progress.RUNNING, Progress.CANCELLED}),
    Progress.DONE: frozenset(),
    Progress.CANCELLED: frozenset(),
}


def check_progress(before: Progress, then: Progress) -> None:
    """Raise IllegalTransitionError for a change that no rotation makes."""
    if then not in _PROGRESS[before]:
        raise IllegalTransitionError(f"a rotation that is {before} does not become {then}")

"""How a rotation's row goes from step to step, in the transaction of what it tells about.

Every change of a row leaves an event beside it, so that how a rotation went can be read afterwards.
"""

import secrets
from dataclasses import replace

from featward_ca.errors import IllegalTransitionError
from featward_ca.rotation.actions import Begin
from featward_ca.rotation.known import Rotation
from featward_ca.rotation.states import OPEN, Kind, Progress, Step, check_progress, step_after
from featward_ca.store import rotation_rows
from featward_ca.store.rotation_rows import Event
from featward_ca.store.store import Connection


def begin(connection: Connection, wanted: Begin, now: float) -> Rotation:
    """Open a rotation. Raises IllegalTransitionError if the owner has an open one."""
    if rotation_rows.open_of(connection, wanted.owner):
        raise IllegalTransitionError(f"a rotation of {wanted.owner} was begun meanwhile")
    rotation = Rotation(
        id=secrets.token_hex(6),
        owner=wanted.owner,
        kind=wanted.kind,
        step=wanted.step,
        state=Progress.RUNNING,
        started_at=now,
        step_since=now,
        step_timeout=wanted.step_timeout,
        requested_by=wanted.by,
        reason=wanted.reason,
        target=wanted.adopt,
        predecessor=wanted.predecessor,
        parent=wanted.parent,
    )
    rotation_rows.add(connection, rotation)
    _note(connection, rotation, now, "begun", f"by {wanted.by}: {wanted.reason}")
    return rotation


def at(connection: Connection, owner: str, step: Step, authority: str | None) -> Rotation | None:
    """The owner's open rotation, if this step of this authority is what it does next."""
    rotation = rotation_rows.open_of(connection, owner)
    if rotation is None or rotation.step is not step:
        return None
    about = rotation.predecessor if step in (Step.TAINT, Step.REVOKE) else rotation.target
    return rotation if about == authority else None


def advance(
    connection: Connection,
    rotation: Rotation,
    now: float,
    detail: str,
    *,
    target: str | None = None,
    forced: bool = False,
) -> None:
    """The present step is done. A rotation that is paused stays so, unless this was its last."""
    then = step_after(rotation.kind, rotation.step)
    state = Progress.PAUSED if rotation.state is Progress.PAUSED else Progress.RUNNING
    done = replace(
        rotation,
        step=then,
        state=Progress.DONE if then is Step.DONE else state,
        step_since=now,
        target=target or rotation.target,
        forced=rotation.forced or forced,
    )
    rotation_rows.write(connection, done)
    _note(connection, rotation, now, rotation_rows.FORCED if forced else "step done", detail)


def forced_alone(
    connection: Connection, owner: str, step: Step, authority: str, by: str, now: float, detail: str
) -> None:
    """A step that was forced by hand and belongs to no rotation is one of its own, begun and done, so that
    it is shown like those of rotations.
    """
    of_target = step is Step.ACTIVATE
    rotation = Rotation(
        id=secrets.token_hex(6),
        owner=owner,
        kind=Kind.MANUAL,
        step=Step.DONE,
        state=Progress.DONE,
        started_at=now,
        step_since=now,
        step_timeout=0.0,
        requested_by=by,
        reason=f"{step} by hand",
        target=authority if of_target else None,
        predecessor=None if of_target else authority,
        forced=True,
    )
    rotation_rows.add(connection, rotation)
    _note(connection, replace(rotation, step=step), now, rotation_rows.FORCED, detail)


def set_progress(
    connection: Connection, rotation: Rotation, state: Progress, now: float, what: str, detail: str
) -> Rotation:
    """Block, pause, resume, end. Raises IllegalTransitionError."""
    check_progress(rotation.state, state)
    since = now if state is Progress.RUNNING else rotation.step_since
    changed = replace(rotation, state=state, step_since=since)
    rotation_rows.write(connection, changed)
    _note(connection, rotation, now, what, detail)
    return replace(changed, version=rotation.version + 1)


def finish(connection: Connection, rotation: Rotation, now: float, why: str) -> None:
    """Nothing is left to do, from whichever open state."""
    if rotation.state in OPEN:
        rotation_rows.write(connection, replace(rotation, step=Step.DONE, state=Progress.DONE))
        _note(connection, rotation, now, "finished", why)


def _note(connection: Connection, rotation: Rotation, now: float, what: str, detail: str) -> None:
    rotation_rows.note(connection, Event(rotation.id, now, rotation.step, what, detail))

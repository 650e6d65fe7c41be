"""What is due: from all that is known to the next actions, without touching anything.

The plan holds no memory. It is made anew after every action and at every start, from the states of
the authorities and the journal as they are stored; where the two disagree the states win, the
rotation is given up, and the schedule begins another when it is time.
"""

from collections.abc import Iterator

from featward_ca.rotation import losses
from featward_ca.rotation.actions import (
    SCHEDULE,
    Abandon,
    Activate,
    Begin,
    Block,
    Expire,
    Finish,
    Planned,
    Request,
    Retire,
    Revoke,
    Sign,
    Taint,
    Unblock,
)
from featward_ca.rotation.known import ROOT, Known, KnownAuthority, Rotation
from featward_ca.rotation.states import Kind, Progress, State, Step
from featward_ca.rotation.timing import (
    Terms,
    follows_schedule,
    prepare_at,
    replace_at,
    scheduled_for,
)
from featward_ca.rotation.waiting import blockers, overridden, signable

# How often what a rotation waits for is looked at: acknowledgements reach the store by any replica.
LOOK_SECONDS = 1.0
BLOCKED_LOOK_SECONDS = 5.0


def plan(known: Known, terms: Terms) -> list[Planned]:
    """What is to be done now. Empty: nothing until `due`."""
    if over := [*_over(known, terms)]:
        return over
    actions: list[Planned] = [*_missing(known, terms)]
    for rotation in known.rotations:
        actions += _next(rotation, known, terms)
    actions += _scheduled(known, terms)
    return actions


def due(known: Known, terms: Terms) -> float:
    """When to plan again after there was nothing to do. Infinity: when something changes."""
    moments = [_end(one, terms) for one in known.authorities if one.state is not State.REQUESTED]
    moments += scheduled_for(known, terms).values()
    for rotation in known.rotations:
        if rotation.state is Progress.RUNNING:
            moments.append(known.now + LOOK_SECONDS)
        elif rotation.state is Progress.BLOCKED:
            moments.append(known.now + BLOCKED_LOOK_SECONDS)
    return min(moments, default=float("inf"))


def disagreement(rotation: Rotation, known: Known) -> str | None:
    """Why a journal row can't be true of the authorities; None: it can."""
    target, before = known.find(rotation.target), known.find(rotation.predecessor)
    state = target.state if target else None
    match rotation.step:
        case Step.REQUEST:
            good = target is None
        case Step.PREPARE:
            good = state is State.REQUESTED
        case Step.ACTIVATE:
            good = state is State.PREPARED
        case Step.TAINT:
            good = before is None or before.state in (State.OLD, State.EXPIRED)
        case Step.REVOKE:
            good = before is None or before.state in (State.TAINTED, State.EXPIRED)
        case Step.DONE:
            good = False
    if good:
        return None
    return (
        f"the journal is at {rotation.step}, but the new authority is {state or 'not there'} and"
        f" the one before is {before.state if before else 'not there'}"
    )


def _over(known: Known, terms: Terms) -> Iterator[Planned]:
    for one in known.authorities:
        if one.state is State.REQUESTED or known.now < _end(one, terms):
            continue
        # Away for long enough, both are due at once; each is a change of its own.
        yield Retire(one.id) if one.state is State.EXPIRED else Expire(one.id)


def _end(one: KnownAuthority, terms: Terms) -> float:
    """When its state has to change for its age alone."""
    grace = terms.lifetimes.reattest_grace if one.state is State.EXPIRED else 0.0
    return one.not_after + grace


def _missing(known: Known, terms: Terms) -> Iterator[Planned]:
    """For those who have none, at once: nobody can be served from an older one."""
    root = known.active(ROOT)
    for owner in (ROOT, *(terms.prefixes if root else ())):
        if known.active(owner):
            continue
        candidates = known.of(owner, State.REQUESTED, State.PREPARED)
        if not candidates:
            if known.rotation_of(owner) is None:
                yield Request(owner)
        elif candidates[0].state is State.PREPARED:
            yield Activate(candidates[0].id)
        elif known.rotation_of(owner) is None and signable(candidates[0], known):
            yield Sign(candidates[0].id)


def _next(rotation: Rotation, known: Known, terms: Terms) -> Iterator[Planned]:
    """The next action of one rotation, if there is one for now."""
    if why := disagreement(rotation, known):
        yield Abandon(rotation.id, f"inconsistent: {why}")
        return
    if rotation.state is Progress.PAUSED:
        return
    yield from _new_children(rotation, known, terms)
    before = known.find(rotation.predecessor)
    if rotation.step in (Step.TAINT, Step.REVOKE) and (
        before is None or before.state is State.EXPIRED
    ):
        yield Finish(rotation.id, "the one before is over")
        return
    found = blockers(rotation, known)
    forced = overridden(rotation, found, known, terms.lifetimes.svid)
    if found and not forced:
        if rotation.state is Progress.RUNNING and known.now >= rotation.deadline:
            yield Block(rotation.id, tuple(found))
    elif rotation.state is Progress.BLOCKED and not forced:
        yield Unblock(rotation.id)
    else:
        yield step(rotation, forced, losses.of_step(rotation, found, known))


def step(rotation: Rotation, forced: str, broken: tuple[str, ...]) -> Planned:
    """The action that the present step of a rotation is."""
    target, before = rotation.target or "", rotation.predecessor or ""
    match rotation.step:
        case Step.REQUEST:
            return Request(rotation.owner)
        case Step.PREPARE:
            return Sign(target)
        case Step.ACTIVATE:
            return Activate(target, forced, broken)
        case Step.TAINT:
            return Taint(before)
        case _:
            return Revoke(before, forced, broken)


def _new_children(rotation: Rotation, known: Known, terms: Terms) -> Iterator[Planned]:
    """After a new root is active every owner moves under it."""
    if rotation.owner != ROOT or rotation.step not in (Step.TAINT, Step.REVOKE):
        return
    kind = Kind.COMPROMISE if rotation.kind is Kind.COMPROMISE else Kind.SCHEDULED
    for owner in terms.prefixes:
        active = known.active(owner)
        if active is None or active.issuer == rotation.target or known.rotation_of(owner):
            continue
        reason = f"a part of the rotation {rotation.id} of the root"
        yield begin(owner, kind, known, rotation.step_timeout, reason, parent=rotation.id)


def _scheduled(known: Known, terms: Terms) -> Iterator[Planned]:
    for owner in (ROOT, *terms.prefixes):
        active = known.active(owner)
        if active is None or not follows_schedule(active) or known.rotation_of(owner):
            continue
        if known.now >= replace_at(active, terms.lifetimes):
            kind = Kind.ROOT if owner == ROOT else Kind.SCHEDULED
            ending = known.now >= prepare_at(active)
            reason = "its life is nearly over" if ending else "its rotateEvery is over"
            yield begin(owner, kind, known, terms.lifetimes.svid, reason)


def begin(
    owner: str,
    kind: Kind,
    known: Known,
    step_timeout: float,
    reason: str,
    *,
    by: str = SCHEDULE,
    parent: str | None = None,
) -> Begin:
    """A rotation of an owner's active authority, which goes on from one that was prepared by hand."""
    active = known.active(owner)
    waiting = next(iter(known.of(owner, State.REQUESTED, State.PREPARED)), None)
    step = Step.REQUEST
    if waiting is not None:
        step = Step.PREPARE if waiting.state is State.REQUESTED else Step.ACTIVATE
    return Begin(
        owner=owner,
        kind=kind,
        by=by,
        reason=reason,
        step_timeout=step_timeout,
        parent=parent,
        predecessor=active.id if active else None,
        adopt=waiting.id if waiting else None,
        step=step,
    )

"""What an administrator or the operator may ask of the authorities, and the answers.

Every order is judged by the same gates as the schedule's own steps. One that something stands in
the way of changes nothing and lists it all; with `force` it is done and says what breaks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from featward_ca.core import Core
from featward_ca.errors import IllegalTransitionError, UnknownAuthorityError
from featward_ca.rotation import actions, gates, losses, meant
from featward_ca.rotation.actions import By, Planned
from featward_ca.rotation.known import ROOT, Blocker, Known, KnownAuthority, Rotation
from featward_ca.rotation.outlook import outlook, would_wait
from featward_ca.rotation.plan import begin, step
from featward_ca.rotation.states import Action, Kind, Progress, State, Step, after
from featward_ca.rotation.waiting import WAIVABLE, blockers
from featward_ca.store import authority_rows, rotation_rows
from featward_ca.store.authority_rows import AuthorityRow


@dataclass(frozen=True)
class Order:
    """How something is asked for. `generation`: which of an owner's authorities; 0: the newest."""

    by: By
    generation: int = 0
    force: bool = False
    dry_run: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Answer:
    """What stands in the way, who loses what by force, which steps are left, and what was changed."""

    authority: AuthorityRow | None = None
    rotation: Rotation | None = None
    blockers: tuple[Blocker, ...] = ()
    breaks: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    changed: bool = False


@dataclass(frozen=True)
class StepKind:
    """One step by hand: from which state, what is past it, its gate, who loses what without it, and its
    action.
    """

    action: Action
    since: State
    past: frozenset[State]
    gate: Callable[[KnownAuthority, Known], list[Blocker]]
    losses: losses.Losses
    do: Callable[[str, str, tuple[str, ...]], Planned]


_OVER = {State.REVOKED, State.EXPIRED, State.RETIRED}
ACTIVATE = StepKind(
    Action.ACTIVATE,
    State.PREPARED,
    frozenset({State.ACTIVE, State.OLD, State.TAINTED}),
    lambda one, known: gates.activate(one, known) if known.active(one.owner) else [],
    losses.of_activation,
    actions.Activate,
)
TAINT = StepKind(
    Action.TAINT,
    State.OLD,
    frozenset({State.TAINTED} | _OVER),
    gates.taint,
    # It has SVIDs renewed sooner, and what its gate says can't be forced.
    lambda _one, _found, _known: (),
    lambda authority, _forced, _breaks: actions.Taint(authority),
)
REVOKE = StepKind(
    Action.REVOKE,
    State.TAINTED,
    frozenset(_OVER),
    gates.revoke,
    losses.of_revocation,
    actions.Revoke,
)


async def prepare(core: Core, owner: str, order: Order) -> Answer:
    """Make an owner's next authority and announce it; it is not used until it is activated. Raises
    UnknownAuthorityError, and IllegalTransitionError for a generation that is not the next.
    """
    meant.check_owner(core, owner)
    await meant.check_generation(core, owner, order.generation)
    row = await core.store.read(lambda c: authority_rows.newest(c, owner, order.generation))
    if order.generation and row and row.state is not State.REQUESTED:
        return Answer(row)
    waiting = row is not None and row.state in (State.REQUESTED, State.PREPARED)
    if order.dry_run or (row and row.state is State.PREPARED):
        return Answer(row)
    if not waiting:
        await core.carry_out_by_hand(actions.Request(owner), order.by)
    made = await core.store.read(lambda c: authority_rows.newest(c, owner))
    # An offline root's signature comes by import.
    if made and made.state is State.REQUESTED and _signs_here(await core.schedule.known(), made):
        await core.carry_out_by_hand(actions.Sign(made.id), order.by)
    row = await core.store.read(lambda c: authority_rows.newest(c, owner))
    return Answer(row, changed=True)


async def take(core: Core, kind: StepKind, name: str, order: Order) -> Answer:
    """Activate, taint or revoke; idempotent. Raises IllegalTransitionError where no such step is
    due, and UnknownAuthorityError.
    """
    row = await meant.find(core, name, order.generation, kind.since, kind.past)
    known = await core.schedule.known()
    rotation = known.rotation_of(row.owner)
    if row.state in kind.past:
        return Answer(row, rotation)
    after(row.state, kind.action)
    one = known.find(row.id)
    found = tuple(kind.gate(one, known)) if one else ()
    broken = kind.losses(one, found, known) if one else ()
    _refuse_unwaivable(found, order)
    if (found and not order.force) or order.dry_run:
        return Answer(row, rotation, found, broken)
    forced = _forced(order) if found else ""
    await core.carry_out_by_hand(kind.do(row.id, forced, broken), order.by)
    again = await core.store.read(lambda c: authority_rows.find(c, row.id))
    if rotation:
        name = rotation.id
        rotation = await core.store.read(lambda c: rotation_rows.find(c, name))
    return Answer(again, rotation, (), broken, changed=True)


async def rotate(core: Core, owner: str, order: Order, step_timeout: float = 0.0) -> Answer:
    """All steps of a rotation, each behind its gate. Idempotent while one is under way, and by
    generation afterwards.
    """
    meant.check_owner(core, owner)
    await meant.check_generation(core, owner, order.generation)
    known = await core.schedule.known()
    active = known.active(owner)
    if active is None:
        raise IllegalTransitionError(f"{owner} has no active authority that could be replaced")
    row = await core.store.read(lambda c: authority_rows.find(c, active.id))
    rotation = known.rotation_of(owner)
    if rotation:
        left = _left(core, rotation, known) if order.dry_run else ()
        return Answer(row, rotation, tuple(blockers(rotation, known)), steps=left)
    if order.generation and active.generation >= order.generation:
        return Answer(row)
    kind = Kind.ROOT if owner == ROOT else Kind.MANUAL
    timeout = step_timeout or core.situation.lifetimes.svid
    reason = order.reason or "by hand"
    wanted = replace(begin(owner, kind, known, timeout, reason), by=order.by.who)
    if order.dry_run:
        left = outlook(owner, kind, wanted.step, active.id, known, core.terms)
        return Answer(row, None, would_wait(known), steps=left)
    await core.carry_out_by_hand(wanted, order.by)
    return await _now(core, owner, changed=True)


async def steer(core: Core, name: str, state: Progress | None, order: Order) -> Answer:
    """Pause, resume or cancel a rotation, named by its id or its owner; None: take its present
    step whatever stands in the way.
    """
    known = await core.schedule.known()
    rotation = next((one for one in known.rotations if name in (one.id, one.owner)), None)
    if rotation is None:
        return await _without_rotation(core, name, state, order, known)
    if state is None:
        found = tuple(blockers(rotation, known))
        _refuse_unwaivable(found, replace(order, force=True))
        broken = losses.of_step(rotation, found, known)
        forced = _forced(order) if found else ""
        await core.carry_out_by_hand(step(rotation, forced, broken), order.by)
        answer = await _now(core, rotation.owner, changed=True)
        return replace(answer, breaks=broken)
    if rotation.state is state or (
        state is Progress.RUNNING and rotation.state is Progress.BLOCKED
    ):
        return await _now(core, rotation.owner, changed=False)
    if state is Progress.CANCELLED:
        children = tuple(one.id for one in known.rotations if one.parent == rotation.id)
        if found := tuple(gates.cancel(children)):
            return Answer(None, rotation, found)
        if rotation.step in (Step.REQUEST, Step.PREPARE, Step.ACTIVATE) and rotation.target:
            return await _cancel(core, rotation.target, order)
    said = {Progress.PAUSED: "paused", Progress.RUNNING: "resumed", Progress.CANCELLED: "cancelled"}
    action = actions.Steer(rotation.id, state, said[state], order.reason)
    await core.carry_out_by_hand(action, order.by)
    after_it = await core.store.read(lambda c: rotation_rows.find(c, rotation.id))
    return Answer(None, after_it, changed=True)


async def _without_rotation(
    core: Core, name: str, state: Progress | None, order: Order, known: Known
) -> Answer:
    """What was prepared by hand can be given up too."""
    waiting = next(iter(known.of(name, State.REQUESTED, State.PREPARED)), None)
    if waiting is None or state is not Progress.CANCELLED:
        raise UnknownAuthorityError(f"no rotation {name} is under way; featward ca authority list")
    return await _cancel(core, waiting.id, order)


async def _cancel(core: Core, authority: str, order: Order) -> Answer:
    await core.carry_out_by_hand(actions.Cancel(authority, order.reason), order.by)
    row = await core.store.read(lambda c: authority_rows.find(c, authority))
    rotation = await _rotation(core, row.owner) if row else None
    mine = rotation if rotation and rotation.target == authority else None
    return Answer(row, mine, changed=True)


async def _now(core: Core, owner: str, *, changed: bool) -> Answer:
    """How it stands for an owner."""
    rotation = await _rotation(core, owner)
    known = await core.schedule.known()
    found = tuple(blockers(rotation, known)) if rotation and rotation in known.rotations else ()
    row = await core.store.read(lambda c: authority_rows.newest(c, owner))
    return Answer(row, rotation, found, changed=changed)


async def _rotation(core: Core, owner: str) -> Rotation | None:
    return await core.store.read(lambda c: rotation_rows.latest(c, owner))


def _forced(order: Order) -> str:
    """Why a step was not waited for."""
    return f"by {order.by.who}: {order.reason or 'no reason given'}"


def _left(core: Core, rotation: Rotation, known: Known) -> tuple[str, ...]:
    before = rotation.predecessor or ""
    return outlook(rotation.owner, rotation.kind, rotation.step, before, known, core.terms)


def _signs_here(known: Known, row: AuthorityRow) -> bool:
    """Whether the key that certifies it is on this machine."""
    return row.owner == ROOT or ((root := known.active(ROOT)) is not None and root.has_key)


def _refuse_unwaivable(found: Sequence[Blocker], order: Order) -> None:
    hard = [one.text for one in found if one.kind not in WAIVABLE]
    if order.force and hard:
        raise IllegalTransitionError(f"this can't be forced: {'; '.join(hard)}")

"""What to do about a stolen authority: replace it without waiting for whoever is away.

The steps are a rotation's; the waits are shorter, and the one who stole the key is shut out at the
end by a ban that outlives the authority.
"""

from dataclasses import dataclass, replace

from featward_ca.clock import readable, span
from featward_ca.core import Core
from featward_ca.errors import IllegalTransitionError, UnknownAuthorityError
from featward_ca.plurals import counted
from featward_ca.rotation import actions
from featward_ca.rotation.actions import Begin, Planned
from featward_ca.rotation.known import ROOT, Known, KnownAuthority, LiveClient, Rotation
from featward_ca.rotation.orders import Order
from featward_ca.rotation.plan import begin
from featward_ca.rotation.states import Kind, Progress, State, Step
from featward_ca.rotation.waiting import COMPROMISE_WAIT
from featward_ca.store import rotation_rows

# How long whoever uses the stolen one has to renew, unless somebody says otherwise.
WITHIN = 300.0
_WAITING = (State.REQUESTED, State.PREPARED)


@dataclass(frozen=True)
class Recovery:
    """What a compromise costs: who loses its identity, which steps, how long until the key is
    worth nothing.
    """

    breaks: tuple[LiveClient, ...]
    steps: tuple[str, ...]
    seconds: float
    warnings: tuple[str, ...]
    rotation: Rotation | None = None


async def compromise(core: Core, name: str, order: Order, within: float) -> Recovery:
    """Replace and ban a stolen authority, named by its id or, the active one, by its owner; a dry
    run only says what that means. Raises UnknownAuthorityError or IllegalTransitionError.
    """
    known = await core.schedule.known()
    stolen = _find(known, name)
    recovery = _recovery(stolen, known, within or WITHIN)
    if order.dry_run:
        return recovery
    reason = order.reason or "compromised"
    for action in _actions(stolen, known, within or WITHIN, reason, order.by.who):
        await core.carry_out.do(action, core.terms, order.by)
    await core.settle()
    rotation = await core.store.read(lambda c: rotation_rows.latest(c, stolen.owner))
    return replace(recovery, rotation=rotation)


def _find(known: Known, name: str) -> KnownAuthority:
    found = known.find(name) or known.active(name)
    if found is None:
        raise UnknownAuthorityError(
            f"there is no authority {name!r} that anybody accepts; featward ca authority list"
        )
    return found


def _actions(
    stolen: KnownAuthority, known: Known, within: float, reason: str, by: str
) -> list[Planned]:
    if stolen.state in _WAITING:
        return [actions.Cancel(stolen.id, reason, stolen=True)]
    if stolen.state is State.EXPIRED:
        raise IllegalTransitionError(f"the authority {stolen.id} has expired; nobody accepts it")
    planned: list[Planned] = []
    if under_way := known.rotation_of(stolen.owner):
        # What it has prepared is gone on from.
        text = f"the authority {stolen.id} is compromised"
        planned.append(actions.Steer(under_way.id, Progress.CANCELLED, "cancelled", text))
    if stolen.state is State.ACTIVE:
        wanted = begin(stolen.owner, Kind.COMPROMISE, known, within, reason)
        return [*planned, replace(wanted, by=by)]
    if stolen.state is State.OLD:
        planned.append(actions.Taint(stolen.id))
    active = known.active(stolen.owner)
    return [
        *planned,
        Begin(
            owner=stolen.owner,
            kind=Kind.COMPROMISE,
            by=by,
            reason=reason,
            step_timeout=within,
            predecessor=stolen.id,
            adopt=active.id if active else None,
            step=Step.REVOKE,
        ),
    ]


def _recovery(stolen: KnownAuthority, known: Known, within: float) -> Recovery:
    if stolen.state in _WAITING:
        return Recovery((), ("withdraw it and ban its key: nothing was signed by it",), 0.0, ())
    signers = {stolen.id} | {one.id for one in known.under(stolen)}
    using = [one for one in known.clients if one.authority in signers]
    away = tuple(one for one in using if not one.connected)
    wait = COMPROMISE_WAIT if stolen.state is State.ACTIVE and known.clients else 0.0
    if stolen.owner == ROOT:
        wait *= 2  # the new root, then the authorities under it
    steps = [
        f"make a new authority for {stolen.owner} and announce it",
        f"use it as soon as all connected clients have heard of it, after {span(wait)} at the latest",
        f"have {counted(len(using) - len(away), 'connected client')} renew what {stolen.id} signed",
        f"revoke it and ban its key when nobody uses it, after {span(within)} at the latest",
    ]
    if stolen.owner == ROOT:
        steps.insert(2, "make new authorities under the new root for everybody, in the same way")
    if stolen.state is not State.ACTIVE:
        steps = steps[2:]
    return Recovery(away, tuple(steps), wait + (within if using else 0.0), _warnings(stolen))


def _warnings(stolen: KnownAuthority) -> tuple[str, ...]:
    if stolen.owner == ROOT:
        return (
            "verifiers outside of this environment accept the old root until they fetch the new"
            " bundle",
            "whoever was given the old root's digest, in a join token or a file, needs a new one",
        )
    return (
        "verifiers that are not featward's know no scope table: they accept what it signs until it"
        f" expires, {readable(stolen.not_after)}; only a new root helps them sooner: featward ca"
        " compromise root",
    )

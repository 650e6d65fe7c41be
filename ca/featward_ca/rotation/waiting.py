"""What the present step of a rotation waits for, and when it is taken whatever stands in its way."""

from featward_ca.rotation import gates
from featward_ca.rotation.known import (
    ROOT,
    Blocker,
    BlockerKind,
    Known,
    KnownAuthority,
    Rotation,
)
from featward_ca.rotation.states import Kind, Step

# At a compromise connected clients get this long to learn of the new authority; nobody is waited
# for longer, because the stolen one can sign meanwhile.
COMPROMISE_WAIT = 30.0
# What time or force may override. The rest would leave an owner without an authority.
WAIVABLE = frozenset(
    {BlockerKind.CLIENT, BlockerKind.REPLICA, BlockerKind.JOIN_TOKEN, BlockerKind.TIME}
)


def blockers(rotation: Rotation, known: Known) -> list[Blocker]:
    """What the present step of a rotation waits for."""
    target, before = known.find(rotation.target), known.find(rotation.predecessor)
    match rotation.step:
        case Step.PREPARE if target and not signable(target, known):
            text = "waits for the offline root: featward ca ceremony, then import its certificate"
            return [Blocker(BlockerKind.AUTHORITY, target.id, text)]
        case Step.ACTIVATE if target:
            return _before_activation(rotation, target, known)
        case Step.TAINT if before:
            return [*_children(rotation, known), *gates.taint(before, known)]
        case Step.REVOKE if before:
            return [*_children(rotation, known), *gates.revoke(before, known)]
    return []


def overridden(rotation: Rotation, found: list[Blocker], known: Known, svid: float) -> str:
    """Why a step is taken although something stands in its way; empty: it is not. `svid`: how long
    an SVID lives, in seconds.
    """
    if not found or any(one.kind not in WAIVABLE for one in found):
        return ""
    before = known.find(rotation.predecessor)
    if rotation.kind is Kind.COMPROMISE:
        wait = COMPROMISE_WAIT if rotation.step is Step.ACTIVATE else rotation.step_timeout
        # While the CA was away nobody could renew.
        since = max(rotation.step_since, known.opened_at)
        return "the authority is compromised" if known.now >= since + wait else ""
    if before is None or rotation.step is not Step.ACTIVATE or rotation.kind is not Kind.SCHEDULED:
        return ""
    # Standing still would end in an outage for all.
    late = known.now >= before.not_after - svid
    return "the one before ends within one SVID lifetime" if late else ""


def signable(target: KnownAuthority, known: Known) -> bool:
    """Whether the key that signs it is ours: its own for a root, else the active root's."""
    signer = target if target.owner == ROOT else known.active(ROOT)
    return signer is not None and signer.has_key


def _before_activation(rotation: Rotation, target: KnownAuthority, known: Known) -> list[Blocker]:
    if known.active(target.owner) is None:
        return []
    found = gates.activate(target, known)
    if rotation.kind is not Kind.COMPROMISE:
        return found
    # Who is not connected right after a start may only not be back yet.
    if known.now < known.opened_at + COMPROMISE_WAIT:
        return found
    return [one for one in found if one.client is None or one.client.connected]


def _children(rotation: Rotation, known: Known) -> list[Blocker]:
    """The rotations that a root's one waits for."""
    return [
        Blocker(BlockerKind.ROTATION, one.id, f"{one.owner} is moving to the new root")
        for one in known.rotations
        if one.parent == rotation.id
    ]

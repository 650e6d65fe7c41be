"""What ends and is not replaced by itself, by when to act, and the command for it.

All of it is replaced long before its end, so a warning says that something stands in the way or
that people have to act. `due` of each is the last moment at which acting costs nothing.
"""

from collections.abc import Iterator

from featward_ca.attest.join_token import LONGEST_LIFETIME
from featward_ca.clock import readable, span
from featward_ca.rotation.known import PLATFORM, ROOT, Known, KnownAuthority, Rotation
from featward_ca.rotation.schedule import OwnUse
from featward_ca.rotation.states import Progress, State
from featward_ca.rotation.timing import Terms, prepare_at
from featward_ca.rotation.waiting import signable
from featward_ca.settings import DAY, PREPARE_AT_LEFT
from featward_ca.trouble import Trouble

# People have to be brought together for a ceremony; docs/alerts.yaml has the same number.
CEREMONY = 90 * DAY
# The CA's own SVID is renewed at half of its life, and tried again every few seconds: what has not
# come by three quarters does not come by itself.
OWN_LEFT = 1 / 4
_PAGE = "docs/operations/ceremony.md"


def endings(known: Known, terms: Terms, own: OwnUse) -> list[Trouble]:
    """All that there is to say now, the root first."""
    found = [*_root(known, terms)]
    for owner in terms.prefixes:
        found += _authority(owner, known, terms)
    return [*found, *_serving(own, known.now)]


def _root(known: Known, terms: Terms) -> Iterator[Trouble]:
    root = known.active(ROOT)
    if root is None or root.not_after <= known.now:
        ended = f"it {_end(root.not_after, known.now)}" if root else "it has ended"
        text = f"there is no root in force: {ended}, and nothing that it signed is accepted"
        yield Trouble("root-ending", text, "stop the CA, and run featward ca recover root")
        return
    signed = [one.not_after - one.not_before for one in known.under(root)]
    longest = max([*signed, *(terms.lifetimes.of(owner) for owner in terms.prefixes)])
    # An authority that is made later would outlive the root, and is refused.
    last = root.not_after - longest
    rotation = known.rotation_of(ROOT)
    if known.now < _late_root(root, rotation, longest, last):
        yield from _paused(root, rotation, last, known.now)
        return
    text = (
        f"the root {_end(root.not_after, known.now)}{_standing(rotation)}; no authority can be made"
        f" under it from {readable(last)} on, {_from_now(last, known.now)}"
    )
    yield Trouble("root-ending", text, _remedy(root, rotation), last)


def _late_root(
    root: KnownAuthority, rotation: Rotation | None, longest: float, last: float
) -> float:
    """When its successor should have been there. Without its key nothing begins by itself, so
    people are told while what it signs can be replaced once more, and `CEREMONY` before its end at
    the least.
    """
    if not root.has_key:
        life = root.not_after - root.not_before
        return root.not_after - min(life * PREPARE_AT_LEFT, max(2 * longest, CEREMONY))
    if rotation and rotation.state is Progress.PAUSED:
        return prepare_at(root)
    # Nothing that a root's rotation waits for lasts longer than a join token.
    return min(prepare_at(root) + LONGEST_LIFETIME, last)


def _authority(owner: str, known: Known, terms: Terms) -> Iterator[Trouble]:
    active, svid = known.active(owner), terms.lifetimes.svid
    # What it signs is cut shorter from then on.
    last = active.not_after - svid if active else 0.0
    rotation = known.rotation_of(owner)
    if any(not signable(one, known) for one in known.of(owner, State.REQUESTED)):
        yield _awaited(owner, active, last, known.now)
    elif active is None:
        yield Trouble(
            "authority-ending",
            f"{owner} has no authority in force, and nobody of it gets a certificate",
            f"featward ca authority prepare {owner} says what stands in the way",
        )
    elif known.now >= _late(active, rotation, svid):
        text = f"the authority of {owner} {_end(active.not_after, known.now)}{_standing(rotation)}"
        yield Trouble("authority-ending", text, _remedy(active, rotation), last)
    else:
        yield from _paused(active, rotation, last, known.now)


def _paused(
    active: KnownAuthority, rotation: Rotation | None, last: float, now: float
) -> Iterator[Trouble]:
    """A pause that is longer than a step may wait may have been forgotten. Meanwhile two authorities are
    in force, and the schedule begins nothing.
    """
    if rotation is None or rotation.state is not Progress.PAUSED or now < rotation.deadline:
        return
    text = (
        f"the rotation of {active.owner} is paused at the step {rotation.step}, where it is since"
        f" {readable(rotation.step_since)} ({span(now - rotation.step_since)} ago); the one"
        f" that signs {_end(active.not_after, now)}"
    )
    yield Trouble("rotation-paused", text, f"featward ca authority resume {active.owner}", last)


def _late(active: KnownAuthority, rotation: Rotation | None, svid: float) -> float:
    """When its successor should have been there: nobody who is waited for has an SVID that lives
    longer than one `svidTTL`, and that long before the end the schedule waits for nobody.
    """
    if rotation and rotation.state is Progress.PAUSED:
        return prepare_at(active)
    return min(prepare_at(active) + svid, active.not_after - svid)


def _awaited(owner: str, active: KnownAuthority | None, last: float, now: float) -> Trouble:
    present = (
        f"the present one {_end(active.not_after, now)}"
        if active
        else "there is none, and nobody of it gets a certificate"
    )
    return Trouble(
        "awaits-ceremony",
        f"the next authority of {owner} waits for the signature of the offline root; {present}",
        f"featward ca ceremony run request.yaml writes the request; see {_PAGE}",
        last,
    )


def _serving(own: OwnUse, now: float) -> Iterator[Trouble]:
    life, left = own.not_after - own.issued_at, own.not_after - now
    if not own.not_after or left > life * OWN_LEFT:
        return
    why = own.error or "nothing has tried"
    yield Trouble(
        "serving-ending",
        f"the CA's own certificate {_end(own.not_after, now)}, and was not renewed ({why});"
        " without it nobody can be served",
        f"featward ca authority rotate {PLATFORM}; if that is refused, stop the CA and run featward"
        " ca recover serving",
        own.not_after,
    )


def _standing(rotation: Rotation | None) -> str:
    if rotation is None:
        return ", and nothing is about to replace it"
    return f", and its rotation is {rotation.state} at the step {rotation.step}"


def _remedy(active: KnownAuthority, rotation: Rotation | None) -> str:
    owner = active.owner
    if rotation and rotation.state is Progress.PAUSED:
        return f"featward ca authority resume {owner}"
    if rotation:
        return (
            f"featward ca authority rotate {owner} --dry-run lists who is in the way, featward ca"
            f" authority resume {owner} --force goes on without them"
        )
    if not active.has_key:
        return f"featward ca ceremony run root.yaml makes the next one; see {_PAGE}"
    return f"featward ca authority rotate {owner}"


def _end(moment: float, now: float) -> str:
    if moment <= now:
        return f"has ended {readable(moment)} ({span(now - moment)} ago)"
    return f"ends {readable(moment)} (in {span(moment - now)})"


def _from_now(moment: float, now: float) -> str:
    return f"in {span(moment - now)}" if moment > now else "which is past"

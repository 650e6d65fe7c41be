"""Who loses what when a step is taken without waiting for those who stand in its way.

A blocker says why somebody is waited for; this says what happens to them otherwise. It is shown before
a step is forced, and kept in the audit table and the journal afterwards.
"""

from collections.abc import Callable, Iterator, Sequence

from featward_ca.clock import readable
from featward_ca.rotation.gates import named, signers
from featward_ca.rotation.known import (
    PLATFORM,
    ROOT,
    Blocker,
    BlockerKind,
    Known,
    KnownAuthority,
    Rotation,
)
from featward_ca.rotation.states import Step
from featward_ca.rotation.waiting import WAIVABLE

# Clients that a row of the journal names; featward ca authority shows all that are in the way.
_LISTED = 100
Losses = Callable[[KnownAuthority, Sequence[Blocker], Known], tuple[str, ...]]


def of_step(rotation: Rotation, found: Sequence[Blocker], known: Known) -> tuple[str, ...]:
    """What the present step of a rotation breaks if nobody is waited for. A taint breaks nothing: it
    only has SVIDs renewed sooner.
    """
    target, before = known.find(rotation.target), known.find(rotation.predecessor)
    if rotation.step is Step.ACTIVATE and target:
        return of_activation(target, found, known)
    if rotation.step is Step.REVOKE and before:
        return of_revocation(before, found, known)
    return ()


def of_activation(one: KnownAuthority, found: Sequence[Blocker], known: Known) -> tuple[str, ...]:
    """Who does not know an authority by the time that it signs. Empty for what can't be forced."""
    return tuple(_by_activation(one, found, known)) if _forceable(found) else ()


def of_revocation(one: KnownAuthority, found: Sequence[Blocker], known: Known) -> tuple[str, ...]:
    """Who still uses what an authority signed when nobody accepts it any more. Empty for what can't be
    forced.
    """
    return tuple(_by_revocation(one, found, known)) if _forceable(found) else ()


def told(forced: str, breaks: Sequence[str]) -> str:
    """What the audit table says of a step that was not waited for; empty for one that was. `forced`:
    why.
    """
    if not forced:
        return ""
    return f"forced ({forced}): {listed(breaks) or 'nobody loses anything'}"


def listed(texts: Sequence[str]) -> str:
    """As many as one row of a table that only grows should hold."""
    more = len(texts) - _LISTED
    return "; ".join([*texts[:_LISTED], *([f"and {more} more"] if more > 0 else [])])


def _forceable(found: Sequence[Blocker]) -> bool:
    return all(one.kind in WAIVABLE for one in found)


def _by_activation(one: KnownAuthority, found: Sequence[Blocker], known: Known) -> Iterator[str]:
    for blocker in found:
        match blocker.kind:
            case BlockerKind.CLIENT if blocker.client:
                missing = _unknown_to(blocker.client.acknowledged, one, known)
                if missing:
                    back = "hears of it" if blocker.client.connected else "is back"
                    yield f"{named(blocker.client)} {missing.format(back=back)}"
            case BlockerKind.REPLICA:
                yield (
                    f"replica {blocker.who} of the CA refuses callers with SVIDs that {one.id}"
                    " signed, until it has caught up"
                )
            case BlockerKind.JOIN_TOKEN:
                yield (
                    f"the unused join token for {blocker.who} is lost, because its holder can't"
                    " recognise the CA; make another: featward ca token create --workload"
                    f" {blocker.who}"
                )
            case _:
                yield (
                    "federated peers that have not fetched the new bundle refuse whoever moves"
                    f" under {one.id}, {_at_the_latest(blocker)}"
                )


def _unknown_to(acknowledged: int, one: KnownAuthority, known: Known) -> str:
    """What a client that has acknowledged so much can't do; empty: nothing that it needs."""
    if one.owner == ROOT:
        return (
            f"does not know the root {one.id}: it refuses whoever moves under it until it {{back}},"
            " and once the CA itself has moved it comes back with that root's digest alone"
        )
    if one.owner != PLATFORM:
        return (
            f"does not know {one.id}: it refuses whoever shows an SVID that {one.id} signed, until"
            " it {back}"
        )
    root = known.find(one.issuer)
    if root is None or acknowledged >= (root.announced_sequence or 0):
        # featward's own identities are known by the root alone.
        return ""
    return f"does not know the CA's new root {root.id}, and comes back with its digest alone"


def _by_revocation(one: KnownAuthority, found: Sequence[Blocker], known: Known) -> Iterator[str]:
    signed_by = signers(one, known)
    returning = {client.lineage for client in known.returning}
    for blocker in found:
        match blocker.kind:
            case BlockerKind.CLIENT if blocker.client:
                client = blocker.client
                if client.authority not in signed_by:
                    text = f"goes on accepting what {one.id} signed until it hears of it"
                elif client.lineage in returning:
                    text = "can't renew its expired SVID any more, and has to attest anew"
                else:
                    text = (
                        "loses its identity: its connections are closed within a second, and it has"
                        " to attest anew"
                    )
                yield f"{named(client)} {text}"
            case BlockerKind.REPLICA:
                yield (
                    f"replica {blocker.who} of the CA goes on accepting what {one.id} signed, until"
                    " it has caught up"
                )
            case _:
                yield (
                    "federated peers that have not fetched the root that follows refuse all of this"
                    f" trust domain, {_at_the_latest(blocker)}"
                )


def _at_the_latest(blocker: Blocker) -> str:
    """When a blocker of time ends."""
    return f"until {readable(blocker.until or 0.0)} at the latest"

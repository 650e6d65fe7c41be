"""What a step has to wait for, so that nobody loses a connection by it.

Each gate lists all that stands in the way, and an empty list opens it. That the state allows the
action at all is for `states.after` to say.
"""

from collections.abc import Iterator

from featward_ca.rotation.known import (
    PLATFORM,
    ROOT,
    Blocker,
    BlockerKind,
    Known,
    KnownAuthority,
    LiveClient,
)
from featward_ca.rotation.states import State

# SPIFFE Federation: a peer may miss some of its refreshes; after five it has the new root or is
# gone.
REFRESHES = 5


def activate(authority: KnownAuthority, known: Known) -> list[Blocker]:
    """Before anything is signed by it: everybody has to know it."""
    blockers = list(_behind(authority.announced_sequence, known, "the announcement"))
    if authority.owner in (ROOT, PLATFORM):
        blockers += _tokens(authority, known)
    if authority.owner == ROOT and known.publishes and known.active(ROOT):
        blockers += _unpublished(authority, known)
    return blockers


def taint(authority: KnownAuthority, known: Known) -> list[Blocker]:
    """Before all that it signed is renewed: somebody else has to sign the renewals."""
    if authority.state is State.ACTIVE:
        return [
            Blocker(
                BlockerKind.AUTHORITY,
                authority.id,
                f"it signs for {authority.owner}; activate its successor first",
            )
        ]
    return list(_owners_left(authority, known)) if authority.owner == ROOT else []


def revoke(authority: KnownAuthority, known: Known) -> list[Blocker]:
    """Before nobody accepts it any more: nobody may use what it signed."""
    signed_by = signers(authority, known)
    in_use = [client for client in known.clients if client.authority in signed_by]
    blockers = [_client(client, "uses an SVID that it signed") for client in in_use]
    blockers += [_returning(client) for client in known.returning if client.authority in signed_by]
    used = {client.lineage for client in in_use}
    blockers += [
        blocker
        for blocker in _behind(authority.tainted_sequence, known, "the taint")
        if blocker.client is None or blocker.client.lineage not in used
    ]
    if authority.owner == ROOT:
        blockers += _federated(authority, known)
        blockers += _unfinished(authority, known)
    return blockers


def cancel(child_rotations: tuple[str, ...]) -> list[Blocker]:
    """Before what was prepared is given up: nothing may be under way because of it."""
    return [
        Blocker(BlockerKind.ROTATION, one, "this rotation is a part of it; cancel it first")
        for one in child_rotations
    ]


def signers(authority: KnownAuthority, known: Known) -> set[str]:
    """An authority, and what it signed for if it is a root, by their ids."""
    return {authority.id} | {one.id for one in known.under(authority)}


def named(client: LiveClient) -> str:
    """A client as an operator can find it."""
    place = "connected" if client.connected else "not connected"
    return f"client {client.lineage} of {client.spiffe_id} ({place})"


def _behind(sequence: int | None, known: Known, what: str) -> Iterator[Blocker]:
    """Who has not acknowledged a sequence; None: it was never announced, so nobody can have."""
    # Most of the time nobody is behind, and there may be ten thousand clients and fifty rotations.
    if sequence is None or known.least_acknowledged < sequence:
        for client in known.clients:
            if sequence is None or client.acknowledged < sequence:
                yield _client(client, f"has not acknowledged {what}")
    for replica in known.replicas:
        if sequence is None or replica.sequence < sequence:
            text = f"replica {replica.id} of the CA does not use {what} yet"
            yield Blocker(BlockerKind.REPLICA, replica.id, text)


def _client(client: LiveClient, what: str) -> Blocker:
    return Blocker(
        BlockerKind.CLIENT,
        client.spiffe_id,
        f"{named(client)} {what}",
        client.not_after,
        client,
    )


def _returning(client: LiveClient) -> Blocker:
    """It would be refused for good, where a restart of the CA is all that happened."""
    return Blocker(
        BlockerKind.CLIENT,
        client.spiffe_id,
        f"client {client.lineage} of {client.spiffe_id} could not renew an SVID that it signed while"
        " the CA was away",
        client.not_after,
        client,
    )


def _tokens(authority: KnownAuthority, known: Known) -> Iterator[Blocker]:
    """Whose holders could not tell the CA once its own chain ends in another root."""
    for token in known.tokens:
        if token.root_sha256 != authority.root_sha256 and token.expires_at > known.now:
            text = f"an unused join token for {token.workload} names another root"
            yield Blocker(BlockerKind.JOIN_TOKEN, token.workload, text, token.expires_at)


def _owners_left(root: KnownAuthority, known: Known) -> Iterator[Blocker]:
    signing = [one for one in known.authorities if one.state is not State.EXPIRED]
    owners = {one.owner for one in signing if one.owner != ROOT}
    for owner in sorted(owners):
        if not any(one.issuer != root.id for one in known.of(owner, State.ACTIVE)):
            text = f"{owner} has no active authority under another root"
            yield Blocker(BlockerKind.OWNER, owner, text)


def _unpublished(root: KnownAuthority, known: Known) -> Iterator[Blocker]:
    """What it signs would be refused by a federated peer that has not fetched it yet."""
    since = known.now if root.announced_at is None else root.announced_at
    until = since + REFRESHES * known.refresh_hint
    if known.now < until:
        text = f"federated peers have {REFRESHES} refreshes to learn of it"
        yield Blocker(BlockerKind.TIME, root.id, text, until)


def _federated(root: KnownAuthority, known: Known) -> Iterator[Blocker]:
    """Peers outside of the environment acknowledge nothing; they are given time."""
    others = [one for one in known.of(ROOT, State.ACTIVE) if one.announced_at is not None]
    since = max((one.announced_at or 0.0 for one in others), default=known.now)
    until = since + REFRESHES * known.refresh_hint
    if known.now < until:
        text = f"federated peers have {REFRESHES} refreshes to learn of the root that follows it"
        yield Blocker(BlockerKind.TIME, root.id, text, until)


def _unfinished(root: KnownAuthority, known: Known) -> Iterator[Blocker]:
    for one in known.under(root):
        if one.state in (State.PREPARED, State.ACTIVE):
            text = f"the authority {one.id} of {one.owner} under it is {one.state}"
            yield Blocker(BlockerKind.AUTHORITY, one.id, text)

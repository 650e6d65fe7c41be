"""What each step waits for; each test closes a gate by one thing and opens it again."""

from dataclasses import replace
from typing import Any

import pytest

from featward_ca.rotation import gates
from featward_ca.rotation.known import (
    PLATFORM,
    ROOT,
    BlockerKind,
    Known,
    KnownAuthority,
    LiveClient,
    LiveReplica,
    UnusedToken,
)
from featward_ca.rotation.states import State

UNIT = "prod.payments"
NOW = 10_000.0
R1, R2 = b"\1" * 32, b"\2" * 32

old_root = KnownAuthority("r1", ROOT, State.OLD, R1, announced_at=0.0, announced_sequence=1)
new_root = KnownAuthority("r2", ROOT, State.ACTIVE, R2, announced_at=9_000.0, announced_sequence=20)


def authority(name: str, state: State, **facts: Any) -> KnownAuthority:
    usual: dict[str, Any] = {"owner": UNIT, "root_sha256": R1, "issuer": "r1"}
    usual |= {"announced_sequence": 10}
    return KnownAuthority(id=name, state=state, **(usual | facts))


def client(**facts: Any) -> LiveClient:
    known = {"lineage": "l1", "spiffe_id": "spiffe://x/a", "acknowledged": 10, "authority": "a1"}
    return LiveClient(**(known | {"not_after": NOW + 600} | facts))  # type: ignore[arg-type]


def known(**facts: Any) -> Known:
    return Known(**({"now": NOW, "refresh_hint": 300.0} | facts))


def kinds(blockers: list[Any]) -> list[BlockerKind]:
    return [blocker.kind for blocker in blockers]


def test_activation_waits_for_every_live_client_connected_or_not() -> None:
    prepared = authority("a2", State.PREPARED)
    told = (client(), client(lineage="l2", acknowledged=11))
    assert gates.activate(prepared, known(clients=told)) == []
    late = client(lineage="l3", spiffe_id="spiffe://x/late", acknowledged=9)
    for connected in (True, False):
        one = replace(late, connected=connected)
        (blocker,) = gates.activate(prepared, known(clients=(*told, one)))
        assert blocker.kind is BlockerKind.CLIENT
        assert (blocker.who, blocker.until, blocker.client) == ("spiffe://x/late", NOW + 600, one)
        assert ("(connected)" in blocker.text) is connected
        assert "client l3 of spiffe://x/late" in blocker.text


def test_a_dead_operator_replica_blocks_no_rotation() -> None:
    dead = client(lineage="l9", spiffe_id="spiffe://x/featward/operator", acknowledged=0)
    facts = known(clients=(client(), dead)).without_gone_operators()
    assert facts.clients == (client(),)
    assert gates.activate(authority("a2", State.PREPARED), facts) == []
    tainted = authority("a1", State.TAINTED, tainted_sequence=10)
    using = replace(client(), authority="a2")
    assert gates.revoke(tainted, replace(facts, clients=(using,))) == []
    # One that is connected is waited for like everybody, and right after a start each may be.
    connected = known(clients=(client(), replace(dead, connected=True))).without_gone_operators()
    assert kinds(gates.activate(authority("a2", State.PREPARED), connected)) == ["client"]
    started = known(clients=(dead,), opened_at=NOW - 5).without_gone_operators()
    assert kinds(gates.activate(authority("a2", State.PREPARED), started)) == ["client"]


@pytest.mark.parametrize(
    "path", ["/bu/x/ns/featward/sa/operator", "/bu/featward/operator", "/featward/ca", "/featward"]
)
def test_nobody_else_who_is_away_is_forgotten(path: str) -> None:
    away = client(spiffe_id=f"spiffe://x{path}", acknowledged=0)
    facts = known(clients=(away,)).without_gone_operators()
    assert facts.clients == (away,)


def test_activation_waits_for_the_listeners_of_every_replica() -> None:
    prepared = authority("a2", State.PREPARED)
    assert gates.activate(prepared, known(replicas=(LiveReplica("one", 10),))) == []
    behind = known(replicas=(LiveReplica("one", 10), LiveReplica("two", 9)))
    (blocker,) = gates.activate(prepared, behind)
    assert (blocker.kind, blocker.who, blocker.until) == (BlockerKind.REPLICA, "two", None)


def test_what_was_never_announced_nobody_can_have_acknowledged() -> None:
    prepared = authority("a2", State.PREPARED, announced_sequence=None)
    facts = known(clients=(client(acknowledged=99),), replicas=(LiveReplica("one", 99),))
    assert kinds(gates.activate(prepared, facts)) == [BlockerKind.CLIENT, BlockerKind.REPLICA]


@pytest.mark.parametrize(("owner", "waits"), [(PLATFORM, True), (ROOT, True), (UNIT, False)])
def test_a_new_root_waits_for_the_tokens_that_name_the_one_before(owner: str, waits: bool) -> None:
    prepared = authority("a2", State.PREPARED, owner=owner, root_sha256=R2)
    tokens = (
        UnusedToken("prod.payments/a", R1, NOW + 60),
        UnusedToken("prod.payments/b", R2, NOW + 60),
        UnusedToken("prod.payments/c", R1, NOW),
    )
    blockers = gates.activate(prepared, known(tokens=tokens))
    assert [(one.who, one.until) for one in blockers] == (
        [("prod.payments/a", NOW + 60)] if waits else []
    )


def test_the_authority_that_signs_is_not_tainted() -> None:
    (blocker,) = gates.taint(authority("a1", State.ACTIVE), known())
    assert (blocker.kind, blocker.who) == (BlockerKind.AUTHORITY, "a1")
    assert "activate its successor first" in blocker.text
    assert gates.taint(authority("a1", State.OLD), known(clients=(client(acknowledged=0),))) == []


def test_a_root_is_tainted_when_every_owner_is_active_under_another() -> None:
    moved = authority("p2", State.ACTIVE, owner=PLATFORM, issuer="r2", root_sha256=R2)
    still = authority("a1", State.ACTIVE)
    everything = (old_root, new_root, moved, still)
    (blocker,) = gates.taint(old_root, known(authorities=everything))
    assert (blocker.kind, blocker.who) == (BlockerKind.OWNER, UNIT)
    ready = authority("a2", State.PREPARED, issuer="r2", root_sha256=R2)
    assert kinds(gates.taint(old_root, known(authorities=(*everything, ready)))) == ["owner"]
    active = replace(ready, state=State.ACTIVE)
    after = (old_root, new_root, moved, replace(still, state=State.OLD), active)
    assert gates.taint(old_root, known(authorities=after)) == []


def test_revocation_waits_for_every_svid_in_use() -> None:
    tainted = authority("a1", State.TAINTED, tainted_sequence=12)
    (blocker,) = gates.revoke(tainted, known(clients=(client(acknowledged=12),)))
    assert (blocker.kind, blocker.until) == (BlockerKind.CLIENT, NOW + 600)
    assert "uses an SVID that it signed" in blocker.text
    assert gates.revoke(tainted, known(clients=(client(acknowledged=12, authority="a2"),))) == []


def test_revocation_waits_for_all_to_have_acknowledged_the_taint() -> None:
    tainted = authority("a1", State.TAINTED, tainted_sequence=12)
    late = known(
        clients=(client(acknowledged=11, authority="a2"),), replicas=(LiveReplica("one", 11),)
    )
    assert kinds(gates.revoke(tainted, late)) == [BlockerKind.CLIENT, BlockerKind.REPLICA]


def test_a_client_stands_in_the_way_once() -> None:
    tainted = authority("a1", State.TAINTED, tainted_sequence=12)
    assert len(gates.revoke(tainted, known(clients=(client(acknowledged=0),)))) == 1


def test_a_root_is_revoked_when_nothing_under_it_is_in_use_any_more() -> None:
    tainted = replace(old_root, state=State.TAINTED, tainted_sequence=21)
    child = authority("a1", State.TAINTED)
    facts = known(now=NOW + 10_000, authorities=(tainted, new_root, child))
    assert gates.revoke(tainted, facts) == []
    using = replace(facts, clients=(client(acknowledged=21),))
    assert kinds(gates.revoke(tainted, using)) == [BlockerKind.CLIENT]
    for state in (State.PREPARED, State.ACTIVE):
        unfinished = (tainted, new_root, replace(child, state=state))
        blockers = gates.revoke(tainted, replace(facts, authorities=unfinished))
        assert [(one.kind, one.who) for one in blockers] == [(BlockerKind.AUTHORITY, "a1")]


def test_federated_peers_have_five_refreshes_to_learn_of_the_next_root() -> None:
    tainted = replace(old_root, state=State.TAINTED, tainted_sequence=21)
    facts = known(authorities=(tainted, new_root))
    (blocker,) = gates.revoke(tainted, facts)
    assert (blocker.kind, blocker.until) == (BlockerKind.TIME, 9_000.0 + 5 * 300)
    assert gates.revoke(tainted, replace(facts, now=10_500.0)) == []
    alone = known(now=NOW, authorities=(tainted,))
    assert kinds(gates.revoke(tainted, alone)) == [BlockerKind.TIME]


def test_a_root_signs_nothing_before_federated_peers_could_fetch_it() -> None:
    prepared = replace(new_root, state=State.PREPARED)
    first = replace(old_root, state=State.ACTIVE)
    facts = known(authorities=(first, prepared), publishes=True)
    (blocker,) = gates.activate(prepared, facts)
    assert (blocker.kind, blocker.until) == (BlockerKind.TIME, 9_000.0 + 5 * 300)
    assert gates.activate(prepared, replace(facts, now=10_500.0)) == []
    assert gates.activate(prepared, replace(facts, publishes=False)) == []
    # The first root of all has nobody who could wait for it.
    assert gates.activate(prepared, replace(facts, authorities=(prepared,))) == []


def test_what_was_prepared_is_not_given_up_under_its_children() -> None:
    assert gates.cancel(()) == []
    assert kinds(gates.cancel(("child",))) == [BlockerKind.ROTATION]

"""What forcing a step costs, and whom; it is not why they are waited for."""

import io
from dataclasses import replace
from typing import Any

from rich.console import Console

from ca_kit import acknowledge, issue
from featward_ca import report
from featward_ca.core import Core
from featward_ca.rotation import gates, losses, orders
from featward_ca.rotation.actions import By
from featward_ca.rotation.compromise import compromise
from featward_ca.rotation.known import (
    PLATFORM,
    ROOT,
    Blocker,
    Known,
    KnownAuthority,
    LiveClient,
    LiveReplica,
    UnusedToken,
)
from featward_ca.rotation.orders import ACTIVATE, REVOKE, TAINT, Order
from featward_ca.rotation.states import Kind, Progress, State, Step, steps_from
from featward_ca.rotation.waiting import WAIVABLE
from featward_ca.service.admin.messages import step_response

UNIT = "prod.payments"
WORKLOAD = "prod.payments/pricing-api"
BY = By("admin", "test")
ORDER, DRY = Order(BY), Order(BY, dry_run=True)
FORCED = Order(BY, force=True, reason="a test")
NOW = 10_000.0
R1, R2 = b"\1" * 32, b"\2" * 32
ROOT_1 = KnownAuthority("r1", ROOT, State.ACTIVE, R1, announced_at=0.0, announced_sequence=1)
ROOT_2 = KnownAuthority("r2", ROOT, State.PREPARED, R2, announced_at=NOW, announced_sequence=20)


def client(**facts: Any) -> LiveClient:
    usual = {"lineage": "l1", "spiffe_id": "spiffe://x/a", "acknowledged": 15, "authority": "a1"}
    return LiveClient(**(usual | {"not_after": NOW + 600} | facts))  # type: ignore[arg-type]  # one dict


def authority(name: str, state: State, **facts: Any) -> KnownAuthority:
    usual = {"owner": UNIT, "root_sha256": R1, "issuer": "r1", "announced_sequence": 20}
    return KnownAuthority(id=name, state=state, **(usual | facts))  # type: ignore[arg-type]  # as above


def activation(one: KnownAuthority, *roots: KnownAuthority, **facts: Any) -> list[str]:
    known = Known(NOW, 300.0, authorities=(one, *roots), **facts)
    return list(losses.of_activation(one, gates.activate(one, known), known))


async def shown(core: Core, answer: orders.Answer) -> str:
    text = io.StringIO()
    message = step_response(answer, await core.schedule.known(), {})
    report.step(message, Console(file=text, width=300), core.clock.now())
    return text.getvalue()


async def test_who_does_not_know_an_authority_refuses_whoever_it_signs_for(core: Core) -> None:
    away, connected = await issue(core, WORKLOAD), await issue(core, "prod.risk/scoring")
    await acknowledge(core, connected)
    prepared = await orders.prepare(core, UNIT, ORDER)
    assert prepared.authority
    dry = await orders.take(core, ACTIVATE, UNIT, Order(BY, force=True, dry_run=True))
    forced = await orders.take(core, ACTIVATE, UNIT, FORCED)
    assert dry.breaks == forced.breaks
    told = {one.split(" of ")[1].split(" ")[0]: one for one in forced.breaks}
    assert told[away.row.spiffe_id].endswith(
        f"(not connected) does not know {prepared.authority.id}: it refuses whoever shows an SVID"
        f" that {prepared.authority.id} signed, until it is back"
    )
    assert told[connected.row.spiffe_id].endswith("until it hears of it")
    assert not {one.text for one in dry.blockers} & set(dry.breaks)


async def test_who_uses_a_revoked_authority_loses_its_identity(core: Core) -> None:
    user, other = await issue(core, WORKLOAD), await issue(core, "prod.risk/scoring")
    old = core.authorities.active(UNIT).row
    await orders.prepare(core, UNIT, ORDER)
    await orders.take(core, ACTIVATE, UNIT, FORCED)
    assert not (await orders.take(core, TAINT, old.id, ORDER)).breaks
    answer = await orders.take(core, REVOKE, old.id, DRY)
    told = {one.split(" of ")[1].split(" ")[0]: one for one in answer.breaks}
    assert told[user.row.spiffe_id].endswith(
        "loses its identity: its connections are closed within a second, and it has to attest anew"
    )
    # It loses nothing of its own, but can be deceived.
    assert told[other.row.spiffe_id].endswith(
        f"goes on accepting what {old.id} signed until it hears of it"
    )
    text = await shown(core, answer)
    waiting, breaking = text.split("--force would break:")
    assert "uses an SVID that it signed" in waiting
    assert "loses its identity" not in waiting
    assert "uses an SVID" not in breaking
    forced = await orders.take(core, REVOKE, old.id, FORCED)
    assert forced.breaks == answer.breaks
    assert "this breaks:" in await shown(core, forced)


def test_who_could_not_renew_while_the_ca_was_away_can_not_come_back() -> None:
    tainted = authority("a1", State.TAINTED, tainted_sequence=10)
    late = client(lineage="l2", spiffe_id="spiffe://x/late")
    known = Known(NOW, 300.0, authorities=(ROOT_1, tainted), returning=(late,))
    (text,) = losses.of_revocation(tainted, gates.revoke(tainted, known), known)
    assert text == (
        "client l2 of spiffe://x/late (not connected) can't renew its expired SVID any more, and has"
        " to attest anew"
    )


def test_a_new_root_costs_tokens_peers_and_who_does_not_know_it() -> None:
    token = UnusedToken("prod.payments/feast", R1, NOW + 60)
    facts = {"clients": (client(),), "tokens": (token,), "publishes": True}
    behind, lost, peers = activation(ROOT_2, ROOT_1, **facts)
    assert "refuses whoever moves under it until it is back, and once the CA itself" in behind
    assert lost.endswith("make another: featward ca token create --workload prod.payments/feast")
    assert "refuse whoever moves under r2, until 1970-01-01 03:11:40 UTC at the latest" in peers


def test_featwards_own_identities_are_known_by_their_root_alone() -> None:
    same = authority("p2", State.PREPARED, owner=PLATFORM)
    assert activation(same, ROOT_1, clients=(client(),)) == []
    moved = replace(same, issuer="r2", root_sha256=R2)
    (text,) = activation(moved, ROOT_1, ROOT_2, clients=(client(),))
    assert text.endswith("does not know the CA's new root r2, and comes back with its digest alone")
    assert activation(moved, ROOT_1, ROOT_2, clients=(client(acknowledged=20),)) == []


def test_a_replica_that_is_behind_is_named_for_both_steps() -> None:
    slow = LiveReplica("c2", 5)
    (text,) = activation(authority("a2", State.PREPARED), ROOT_1, replicas=(slow,))
    assert text.startswith("replica c2 of the CA refuses callers with SVIDs that a2 signed, until")
    tainted = authority("a1", State.TAINTED, tainted_sequence=10)
    known = Known(NOW, 300.0, authorities=(ROOT_1, tainted), replicas=(slow,))
    (text,) = losses.of_revocation(tainted, gates.revoke(tainted, known), known)
    assert text.startswith("replica c2 of the CA goes on accepting what a1 signed, until")


def test_what_can_not_be_forced_breaks_nothing() -> None:
    old = replace(ROOT_1, state=State.TAINTED, tainted_sequence=10)
    child = authority("a1", State.ACTIVE)
    known = Known(NOW, 300.0, authorities=(old, child), clients=(client(),))
    found = gates.revoke(old, known)
    assert len(found) > 2
    assert losses.of_revocation(old, found, known) == ()
    waived = [one for one in found if one.kind in WAIVABLE]
    assert len(losses.of_revocation(old, waived, known)) == len(waived)


def test_a_step_without_losses_says_so_where_it_is_kept() -> None:
    assert losses.told("", ["x"]) == ""
    assert losses.told("by admin: a test", ["x"]) == "forced (by admin: a test): x"
    assert losses.told("by admin: a test", []).endswith(": nobody loses anything")


async def test_a_dry_run_of_a_rotation_lists_its_steps(core: Core) -> None:
    client = await issue(core, WORKLOAD)
    active = core.authorities.active(UNIT).row
    dry = await orders.rotate(core, UNIT, DRY)
    assert dry.steps == (
        f"make a key for {UNIT}",
        "certify it, and announce it",
        "sign with it when everybody has acknowledged it (1 client)",
        f"have all that {active.id} signed renewed",
        f"revoke {active.id} when nobody uses what it signed",
    )
    text = await shown(core, dry)
    assert "it would:\n  1. make a key for prod.payments\n" in text
    assert "nothing was changed" in text
    await orders.prepare(core, UNIT, ORDER)
    assert (await orders.rotate(core, UNIT, DRY)).steps == dry.steps[2:]
    assert not (await orders.rotate(core, UNIT, ORDER)).steps
    await acknowledge(core, client)
    await core.tend()
    left = await orders.rotate(core, UNIT, DRY)
    assert left.rotation
    assert (left.rotation.step, left.steps) == (Step.REVOKE, dry.steps[4:])


async def test_a_dry_run_says_who_is_waited_for_after_a_compromise(core: Core) -> None:
    await issue(core, WORKLOAD)
    await compromise(core, UNIT, ORDER, 300)
    left = await orders.rotate(core, UNIT, DRY)
    assert left.rotation
    assert left.rotation.step is Step.ACTIVATE
    assert left.steps[0].endswith("is connected has acknowledged it, after 30s at the latest")
    assert len(left.steps) == 2


async def test_a_dry_run_of_the_root_names_who_moves(core: Core) -> None:
    dry = await orders.rotate(core, ROOT, DRY)
    assert dry.steps[3] == (
        "give platform, prod.payments, prod.risk authorities under it, in the same way"
    )
    assert dry.steps[-1].endswith("signed, 25m after the new root was announced at the earliest")


def test_a_scheduled_rotation_leaves_the_one_before_to_its_end() -> None:
    assert steps_from(Kind.SCHEDULED, Step.PREPARE) == (Step.PREPARE, Step.ACTIVATE)
    assert steps_from(Kind.SCHEDULED, Step.TAINT) == ()


async def test_a_rotation_that_was_given_up_is_not_shown_under_later_steps(core: Core) -> None:
    await issue(core, WORKLOAD)
    first = core.authorities.active(UNIT).row
    begun = await orders.rotate(core, UNIT, ORDER)
    assert begun.rotation
    text = await shown(core, begun)
    assert f"{Step.ACTIVATE} running 0s 0/1" in " ".join(text.split())
    given_up = await orders.steer(core, UNIT, Progress.CANCELLED, ORDER)
    text = " ".join((await shown(core, given_up)).split())
    assert "activate cancelled 0s" in text
    assert "0s 1/1" not in text
    assert "0s 0/0" not in text
    message = step_response(given_up, await core.schedule.known(), {}).rotation
    assert (message.state, message.acknowledged, message.needed) == ("cancelled", 0, 0)
    await orders.prepare(core, UNIT, ORDER)
    for answer in (
        await orders.take(core, ACTIVATE, UNIT, FORCED),
        await orders.take(core, ACTIVATE, UNIT, FORCED),
        await orders.take(core, TAINT, first.id, ORDER),
        await orders.take(core, REVOKE, first.id, FORCED),
    ):
        assert answer.rotation is None
    await issue(core, WORKLOAD)
    again = await orders.rotate(core, UNIT, ORDER)
    assert again.rotation
    taken = await orders.take(core, ACTIVATE, UNIT, FORCED)
    assert taken.rotation
    assert (taken.rotation.id, taken.rotation.step) == (again.rotation.id, Step.REVOKE)


def test_blockers_of_all_kinds_have_losses() -> None:
    """So that a new kind is not passed over."""
    one = authority("a2", State.PREPARED)
    for kind in WAIVABLE:
        blocker = Blocker(kind, "x", "x", NOW, client(acknowledged=0))
        known = Known(NOW, 300.0, authorities=(ROOT_1, one))
        assert losses.of_activation(one, [blocker], known)

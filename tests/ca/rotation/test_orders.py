"""Rotation by hand: what stands in the way is listed and changes nothing, what is forced says what breaks."""

from typing import Any

import pytest

from ca_kit import FakeClock, acknowledge, issue
from featward_ca.core import Core
from featward_ca.errors import IllegalTransitionError, UnknownAuthorityError
from featward_ca.rotation import orders
from featward_ca.rotation.actions import By
from featward_ca.rotation.known import BlockerKind
from featward_ca.rotation.orders import ACTIVATE, REVOKE, TAINT, Order
from featward_ca.rotation.states import Progress, State, Step
from featward_ca.store import audit, authority_rows

UNIT = "prod.payments"
WORKLOAD = "prod.payments/pricing-api"
BY = By("admin", "test")
ORDER = Order(BY)
FORCED = Order(BY, force=True, reason="a test")


async def test_each_step_by_hand_waits_for_its_gate(core: Core, clock: FakeClock) -> None:
    client = await issue(core, WORKLOAD)
    first = core.authorities.active(UNIT).row
    prepared = await orders.prepare(core, UNIT, ORDER)
    assert prepared.changed
    assert prepared.authority
    assert prepared.authority.state is State.PREPARED
    blocked = await orders.take(core, ACTIVATE, UNIT, ORDER)
    assert not blocked.changed
    assert [one.who for one in blocked.blockers] == [client.row.spiffe_id]
    assert core.authorities.active(UNIT).row.id == first.id
    await acknowledge(core, client)
    assert (await orders.take(core, ACTIVATE, prepared.authority.id, ORDER)).changed
    assert (await orders.take(core, TAINT, first.id, ORDER)).changed
    early = await orders.take(core, REVOKE, first.id, ORDER)
    assert not early.changed
    assert "uses an SVID that it signed" in early.blockers[0].text
    assert early.blockers[0].until == client.row.not_after
    clock.advance(client.row.not_after - clock.now())
    done = await orders.take(core, REVOKE, first.id, ORDER)
    assert done.authority
    assert done.authority.state is State.REVOKED


async def test_what_is_asked_for_twice_is_done_once(core: Core) -> None:
    first = await orders.prepare(core, UNIT, Order(BY, generation=2))
    again = await orders.prepare(core, UNIT, Order(BY, generation=2))
    assert (first.changed, again.changed) == (True, False)
    assert first.authority
    assert again.authority
    assert first.authority.id == again.authority.id
    assert (await orders.take(core, ACTIVATE, UNIT, Order(BY, generation=2))).changed
    assert not (await orders.take(core, ACTIVATE, UNIT, Order(BY, generation=2))).changed
    assert not (await orders.rotate(core, UNIT, Order(BY, generation=2))).changed
    assert (await orders.rotate(core, UNIT, Order(BY, generation=3))).changed


@pytest.mark.parametrize("order", [orders.prepare, orders.rotate])
async def test_a_generation_that_is_not_the_next_is_refused(core: Core, order: Any) -> None:
    """Else each time that it is asked for another is made."""
    with pytest.raises(IllegalTransitionError, match=r"generation 99 .* that is 2;"):
        await order(core, UNIT, Order(BY, generation=99))
    rows = await core.store.read(lambda c: authority_rows.of_state(c, *State))
    assert {row.generation for row in rows if row.owner == UNIT} == {1}


async def test_force_says_what_breaks_in_the_answer_and_in_the_audit_table(core: Core) -> None:
    client = await issue(core, WORKLOAD)
    await orders.prepare(core, UNIT, ORDER)
    forced = await orders.take(core, ACTIVATE, UNIT, FORCED)
    assert forced.changed
    assert client.row.spiffe_id in forced.breaks[0]
    rows = await core.store.read(audit.entries)
    (row,) = [row for row in rows if row.kind == "activate-authority" and row.caller == "admin"]
    assert client.row.spiffe_id in (row.detail or "")


async def test_force_does_not_leave_an_owner_without_an_authority(core: Core) -> None:
    active = core.authorities.active(UNIT).row
    with pytest.raises(IllegalTransitionError, match="this one is active"):
        await orders.take(core, TAINT, active.id, FORCED)
    await orders.prepare(core, "root", ORDER)
    old = core.authorities.root.row
    await orders.take(core, ACTIVATE, "root", ORDER)
    with pytest.raises(IllegalTransitionError, match=r"can't be forced: .* no active authority"):
        await orders.take(core, TAINT, old.id, FORCED)


async def test_a_dry_run_lists_and_changes_nothing(core: Core) -> None:
    client = await issue(core, WORKLOAD)
    before = core.trust.current.sequence
    dry = Order(BY, dry_run=True)
    rotation = await orders.rotate(core, UNIT, dry)
    assert [one.who for one in rotation.blockers] == [client.row.spiffe_id]
    assert not (await orders.prepare(core, UNIT, dry)).changed
    assert core.trust.current.sequence == before
    assert not (await core.schedule.known()).rotations


async def test_a_rotation_is_paused_resumed_and_given_up(core: Core) -> None:
    client = await issue(core, WORKLOAD)
    begun = await orders.rotate(core, UNIT, ORDER)
    assert begun.rotation
    assert begun.rotation.step is Step.ACTIVATE
    assert [one.kind for one in begun.blockers] == [BlockerKind.CLIENT]
    await orders.steer(core, UNIT, Progress.PAUSED, ORDER)
    await acknowledge(core, client)
    await core.tend()
    (paused,) = (await core.schedule.known()).rotations
    assert (paused.step, paused.state) == (Step.ACTIVATE, Progress.PAUSED)
    given_up = await orders.steer(core, begun.rotation.id, Progress.CANCELLED, ORDER)
    assert given_up.authority
    assert given_up.authority.state is State.RETIRED
    assert given_up.rotation
    assert given_up.rotation.state is Progress.CANCELLED
    assert len(core.trust.current.scopes) == 3
    with pytest.raises(UnknownAuthorityError):
        await orders.steer(core, UNIT, Progress.RUNNING, ORDER)


async def test_a_blocked_step_is_forced_by_the_rotations_name(core: Core) -> None:
    client = await issue(core, WORKLOAD)
    begun = await orders.rotate(core, UNIT, ORDER)
    assert begun.rotation
    forced = await orders.steer(core, begun.rotation.id, None, FORCED)
    assert client.row.spiffe_id in forced.breaks[0]
    assert forced.rotation
    assert (forced.rotation.step, forced.rotation.forced) == (Step.REVOKE, True)


async def test_a_root_waits_for_its_part_rotations(core: Core) -> None:
    await issue(core, WORKLOAD)
    await orders.prepare(core, "root", ORDER)
    begun = await orders.rotate(core, "root", ORDER)
    assert begun.rotation
    assert begun.rotation.step is Step.ACTIVATE
    forced = await orders.steer(core, "root", None, FORCED)
    assert forced.rotation
    assert forced.rotation.step is Step.TAINT
    kinds = {one.kind for one in forced.blockers}
    assert BlockerKind.ROTATION in kinds
    given_up = await orders.steer(core, "root", Progress.CANCELLED, ORDER)
    assert not given_up.changed
    assert {one.kind for one in given_up.blockers} == {BlockerKind.ROTATION}


async def test_unknown_names_are_told(core: Core) -> None:
    with pytest.raises(UnknownAuthorityError, match="there are: root, platform"):
        await orders.prepare(core, "prod.nobody", ORDER)
    with pytest.raises(UnknownAuthorityError, match="no authority 'nothing'"):
        await orders.take(core, ACTIVATE, "nothing", ORDER)

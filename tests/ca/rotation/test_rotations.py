"""Whole rotations on a store: what waits for whom, what is taken away, what a root takes along."""

import asyncio
from dataclasses import replace

import pytest

from ca_kit import TRUST_DOMAIN, FakeClock, OpenCore, acknowledge, attested, issue
from featward.identity.spiffe import SpiffeId
from featward_ca.attest import Attested, Method
from featward_ca.core import Core
from featward_ca.directory import Workload
from featward_ca.issuer import IssuedSvid
from featward_ca.recorded import nothing
from featward_ca.rotation.actions import Begin, Request
from featward_ca.rotation.known import OPERATOR_RETURN, PLATFORM, ROOT, Rotation
from featward_ca.rotation.schedule import terms
from featward_ca.rotation.states import Kind, Progress, State, Step
from featward_ca.rotation.waiting import COMPROMISE_WAIT, blockers
from featward_ca.settings import DAY, HOUR, REFRESH_HINT
from featward_ca.store import audit, authority_rows, rotation_rows
from featward_ca.store.authority_rows import AuthorityRow

UNIT = "prod.payments"
WORKLOAD = "prod.payments/pricing-api"


async def begin(core: Core, owner: str, kind: Kind = Kind.MANUAL, wait: float = HOUR) -> None:
    wanted = Begin(
        owner, kind, "admin", "a test", wait, predecessor=core.authorities.active(owner).row.id
    )
    situation = core.situation
    await core.carry_out.do(wanted, terms(situation.directory, situation.lifetimes))
    await core.tend()


async def journal(core: Core, owner: str) -> Rotation:
    found = await core.store.read(lambda c: rotation_rows.latest(c, owner))
    assert found
    return found


async def find(core: Core, authority: str) -> AuthorityRow:
    found = await core.store.read(lambda c: authority_rows.find(c, authority))
    assert found
    return found


@pytest.mark.parametrize(("count", "milliseconds"), [(3, 1000), (400, 1600), (600, 2400)])
async def test_a_taint_tells_clients_to_renew_over_a_time_that_grows_with_their_number(
    core: Core, count: int, milliseconds: int
) -> None:
    clients = await asyncio.gather(*(issue(core, WORKLOAD) for _ in range(count)))

    async def all_acknowledge() -> None:
        await asyncio.gather(*(acknowledge(core, client) for client in clients))
        await core.tend()

    await all_acknowledge()
    await begin(core, UNIT)
    # Nothing has to be renewed yet.
    assert core.trust.current.message().reissue_within_ms == 0
    await all_acknowledge()
    told = core.trust.current.message()
    assert any(scope.tainted for scope in told.scopes)
    assert told.reissue_within_ms == milliseconds


async def test_a_rotation_takes_every_step_as_clients_acknowledge(
    core: Core, clock: FakeClock
) -> None:
    client = await issue(core, WORKLOAD)
    await acknowledge(core, client)
    first = core.authorities.active(UNIT).row
    await begin(core, UNIT)
    assert (await journal(core, UNIT)).step is Step.ACTIVATE
    assert core.authorities.active(UNIT).row.id == first.id
    await acknowledge(core, client)
    await core.tend()
    assert (await journal(core, UNIT)).step is Step.REVOKE
    tainted = await find(core, first.id)
    assert tainted.state is State.TAINTED
    assert core.trust.current.tainted == {first.spki_sha256}
    assert any(scope.tainted for scope in core.trust.current.message().scopes)
    # It has heard of the taint, and still uses what the tainted one signed.
    await acknowledge(core, client)
    clock.advance(1)
    await core.tend()
    waiting = await journal(core, UNIT)
    (blocker,) = blockers(waiting, await core.schedule.known())
    assert "uses an SVID that it signed" in blocker.text
    clock.advance(1)
    renewed = await renew(core, client)
    await acknowledge(core, renewed)
    await core.tend()
    done = await journal(core, UNIT)
    assert (done.step, done.state, done.target) == (
        Step.DONE,
        Progress.DONE,
        core.authorities.active(UNIT).row.id,
    )
    revoked = await find(core, first.id)
    assert (revoked.state, revoked.key) == (State.REVOKED, None)
    assert first.spki_sha256 not in [key for key, _ in core.trust.current.scopes]


async def renew(core: Core, issued: IssuedSvid) -> IssuedSvid:
    """A second SVID in the same lineage."""
    proof = replace(
        attested(core, WORKLOAD), lineage=issued.row.lineage, renewed_from=issued.row.serial
    )
    return await issue(core, proof)


async def test_a_step_that_waited_for_one_svid_lifetime_is_blocked_until_nothing_is_in_its_way(
    core: Core, clock: FakeClock
) -> None:
    client = await issue(core, WORKLOAD)
    await begin(core, UNIT, wait=60)
    clock.advance(60)
    await core.tend()
    stuck = await journal(core, UNIT)
    assert (stuck.step, stuck.state) == (Step.ACTIVATE, Progress.BLOCKED)
    await acknowledge(core, client)
    await core.tend()
    assert (await journal(core, UNIT)).step is Step.REVOKE
    events = await core.store.read(lambda c: rotation_rows.events(c, stuck.id))
    assert [one.what for one in events] == [
        "begun",
        "step done",
        "step done",
        "blocked",
        "unblocked",
        "step done",
        "step done",
    ]
    assert client.row.spiffe_id in (events[3].detail or "")


async def test_a_scheduled_activation_does_not_wait_until_nobody_has_an_authority(
    core: Core, clock: FakeClock
) -> None:
    old = core.authorities.active(UNIT).row
    clock.advance(old.not_after - HOUR - clock.now() - 1)
    await issue(core, WORKLOAD)
    await core.tend()
    assert core.authorities.active(UNIT).row.id == old.id
    clock.advance(1)
    await core.tend()
    assert core.authorities.active(UNIT).row.id != old.id
    assert (await journal(core, UNIT)).forced
    (row,) = [
        row
        for row in await core.store.read(audit.entries)
        if row.kind == "activate-authority"
        and (row.detail or "").startswith("forced")
        and (row.subject or "").endswith(UNIT)
    ]
    assert "does not know" in (row.detail or "")


async def test_a_unit_is_rotated_as_often_as_its_manifest_says(
    core: Core, clock: FakeClock
) -> None:
    first, other = (core.authorities.active(owner).row for owner in (UNIT, "prod.risk"))
    assert core.situation.lifetimes.of(UNIT) > 4 * DAY
    core.situation.replace(replace(core.situation.directory, rotate_every={UNIT: 2 * DAY}))
    clock.advance(2 * DAY - 1)
    await core.tend()
    assert core.authorities.active(UNIT).row.id == first.id
    clock.advance(1)
    await core.tend()
    second = core.authorities.active(UNIT).row
    assert second.id != first.id
    assert core.authorities.active("prod.risk").row.id == other.id
    rotation = await journal(core, UNIT)
    assert (rotation.kind, rotation.reason) == (Kind.SCHEDULED, "its rotateEvery is over")
    # And again, by itself; the first ends in its time, because what it signed is good until then.
    clock.advance(2 * DAY)
    await core.tend()
    assert core.authorities.active(UNIT).row.id not in (first.id, second.id)
    assert (await find(core, first.id)).state is State.OLD


async def test_a_dead_operator_replica_blocks_no_rotation(core: Core, clock: FakeClock) -> None:
    operator = Workload("featward/operator", PLATFORM, SpiffeId.operator(TRUST_DOMAIN))
    proof = Attested(operator, Method.KUBERNETES, nothing)
    dead, living = await issue(core, proof), await issue(core, proof)
    clock.advance(OPERATOR_RETURN)
    await acknowledge(core, living)
    first = core.authorities.active(UNIT).row
    await begin(core, UNIT)
    # The one that lives is waited for, the other is not.
    rotation, known = await journal(core, UNIT), await core.schedule.known()
    assert rotation.step is Step.ACTIVATE
    waited_for = [one.client.lineage for one in blockers(rotation, known) if one.client]
    assert waited_for == [living.row.lineage]
    assert dead.row.not_after > clock.now()
    for _ in range(3):
        await acknowledge(core, living)
        clock.advance(1)
        await core.tend()
    assert (await journal(core, UNIT)).state is Progress.DONE
    assert (await find(core, first.id)).state is State.REVOKED


async def test_no_manifest_makes_a_unit_rotate_before_everybody_can_have_learned(
    core: Core, clock: FakeClock
) -> None:
    first = core.authorities.active(UNIT).row
    core.situation.replace(replace(core.situation.directory, rotate_every={UNIT: HOUR}))
    least = 6 * core.situation.lifetimes.svid
    clock.advance(least - 1)
    await core.tend()
    assert core.authorities.active(UNIT).row.id == first.id
    clock.advance(1)
    await core.tend()
    assert core.authorities.active(UNIT).row.id != first.id


async def test_a_new_root_moves_every_owner_and_the_old_one_is_revoked_with_all_it_signed(
    core: Core, clock: FakeClock
) -> None:
    old, before = core.authorities.root.row, [row.id for row in core.authorities.rows]
    sequence = core.trust.current.sequence
    await begin(core, ROOT, Kind.ROOT)
    assert (await journal(core, ROOT)).step is Step.REVOKE
    root = core.authorities.root.row
    assert root.id != old.id
    for owner in (PLATFORM, UNIT, "prod.risk"):
        assert core.authorities.active(owner).row.issuer == root.id
        assert (await journal(core, owner)).parent == (await journal(core, ROOT)).id
    assert {row.state for row in core.authorities.rows if row.id in before} == {State.TAINTED}
    assert len(core.trust.current.roots) == 2
    clock.advance(5 * REFRESH_HINT + 1)
    await core.tend()
    assert (await journal(core, ROOT)).state is Progress.DONE
    assert [*core.trust.current.roots] == [root.der]
    assert core.trust.current.sequence > sequence
    for one in before:
        assert (await find(core, one)).state is State.REVOKED


async def test_a_compromise_waits_for_the_connected_alone_and_bans_the_key(
    core: Core, clock: FakeClock
) -> None:
    clock.advance(COMPROMISE_WAIT)  # Whoever is not connected by now is away.
    away = await issue(core, WORKLOAD)
    stolen = core.authorities.active(UNIT).row
    await begin(core, UNIT, Kind.COMPROMISE, wait=300)
    # Nobody is connected, so nobody is waited for.
    assert (await find(core, stolen.id)).state is State.TAINTED
    assert (await journal(core, UNIT)).step is Step.REVOKE
    clock.advance(300)
    await core.tend()
    assert (await find(core, stolen.id)).state is State.REVOKED
    done = await journal(core, UNIT)
    assert (done.state, done.forced) == (Progress.DONE, True)
    banned = await core.store.read(lambda c: c.exec_driver_sql("SELECT kind, value FROM ban").one())
    assert tuple(banned) == ("authority", stolen.spki_sha256.hex())
    assert away.row.authority == stolen.id


async def test_a_connected_client_gets_thirty_seconds_at_a_compromise(
    core: Core, clock: FakeClock
) -> None:
    client = await issue(core, WORKLOAD)
    await acknowledge(core, client)
    stolen = core.authorities.active(UNIT).row
    await begin(core, UNIT, Kind.COMPROMISE)
    clock.advance(29)
    await core.tend()
    assert core.authorities.active(UNIT).row.id == stolen.id
    clock.advance(1)
    await core.tend()
    assert (await find(core, stolen.id)).state is State.TAINTED


@pytest.mark.parametrize("state", [State.OLD, State.TAINTED])
async def test_a_journal_at_odds_with_the_states_is_given_up_and_the_states_win(
    open_core: OpenCore, state: State
) -> None:
    core = await open_core()
    await issue(core, WORKLOAD)
    await begin(core, UNIT)
    at = await journal(core, UNIT)
    assert at.step is Step.ACTIVATE
    await core.store.run(
        lambda c: authority_rows.change(c, at.target or "", state=state, tainted_sequence=1)
    )
    await core.close()
    again = await open_core()
    given_up = await journal(again, UNIT)
    assert given_up.state is Progress.CANCELLED
    events = await again.store.read(lambda c: rotation_rows.events(c, at.id))
    assert events[-1].what == "inconsistent"
    assert str(state) in (events[-1].detail or "")
    assert again.authorities.active(UNIT)


async def test_what_was_requested_before_a_stop_is_signed_with_the_same_key(
    open_core: OpenCore,
) -> None:
    core = await open_core()
    situation = core.situation
    wanted = terms(situation.directory, situation.lifetimes)
    first = core.authorities.active(UNIT).row
    begun = Begin(UNIT, Kind.SCHEDULED, "schedule", "a test", HOUR, predecessor=first.id)
    await core.carry_out.do(begun, wanted)
    await core.carry_out.do(Request(UNIT), wanted)
    requested = (await journal(core, UNIT)).target
    assert requested
    assert (await find(core, requested)).state is State.REQUESTED
    await core.close()
    again = await open_core()
    assert again.authorities.active(UNIT).row.id == requested
    assert (await find(again, requested)).generation == first.generation + 1

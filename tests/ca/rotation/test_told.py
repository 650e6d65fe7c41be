"""What people are told of a rotation: steps that were forced, and join tokens that a new root waits for."""

import re
from hashlib import sha256

import pytest

from ca_kit import FakeClock, OpenCore, a_directory, a_request, issue
from featward.authority.v1 import authority_pb2
from featward.identity.join_token import JoinToken
from featward.identity.v1 import identity_pb2
from featward_ca.rotation.states import State
from featward_ca.settings import DAY, HOUR
from service_kit import NAME, Served

SHOW = authority_pb2.ShowRequest()
UNIT = "prod.payments"


async def forced(served: Served) -> list[authority_pb2.Warning]:
    """The warnings of forced steps; what ends is warned of too."""
    shown = (await served.admin.Show(SHOW)).warnings
    return [one for one in shown if one.code == "rotation-forced"]


async def test_a_step_that_time_has_forced_is_logged_counted_and_shown_for_a_week(
    served: Served, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    core = served.core
    old = core.authorities.active(UNIT).row
    clock.advance(old.not_after - HOUR - clock.now() - 1)
    client = await issue(core, NAME)
    await core.tend()
    assert not await forced(served)
    clock.advance(1)
    await core.tend()
    assert core.authorities.active(UNIT).row.id != old.id
    counted = f'featward_ca_rotation_steps_forced_total{{owner="{UNIT}",step="activate"}} 1.0'
    assert counted in core.metrics.render().decode()
    # Every owner's authority ends at that time.
    (warning,) = [one for one in await forced(served) if f"of {UNIT} " in one.text]
    assert "ends within one SVID lifetime" in warning.text
    assert client.row.spiffe_id in warning.text
    assert "step of a rotation forced" in caplog.text
    clock.advance(7 * DAY)
    await core.tend()
    assert not await forced(served)


async def test_a_step_that_was_forced_by_hand_is_logged_counted_and_shown_for_a_week(
    served: Served, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where it is of no rotation."""
    core = served.core
    old, client = core.authorities.active(UNIT).row, await issue(core, NAME)
    await served.admin.Prepare(authority_pb2.StepRequest(authority=UNIT))
    step = authority_pb2.StepRequest(authority=UNIT, force=True, reason="no time")
    assert (await served.admin.Activate(step)).changed
    await served.admin.Taint(authority_pb2.StepRequest(authority=old.id))
    (warning,) = await forced(served)
    assert f"the rotation of {UNIT} did not wait at the step activate: " in warning.text
    assert re.search(r" signs forced \(by \S+: no time\): client ", warning.text)
    step = authority_pb2.StepRequest(authority=old.id, force=True)
    assert (await served.admin.Revoke(step)).changed
    _, warning = await forced(served)
    assert f"at the step revoke: {old.id} revoked forced (by " in warning.text
    assert "no reason given" in warning.text
    assert f"{client.row.spiffe_id} (not connected) loses its identity" in warning.text
    assert caplog.text.count("step of a rotation forced") == 2
    counted = f'featward_ca_rotation_steps_forced_total{{owner="{UNIT}",step="revoke"}} 1.0'
    assert counted in core.metrics.render().decode()
    shown = await served.admin.Show(SHOW)
    assert not shown.rotations
    clock.advance(7 * DAY)
    assert not await forced(served)


async def test_a_step_by_hand_that_waited_for_everybody_says_nothing(served: Served) -> None:
    await served.admin.Prepare(authority_pb2.StepRequest(authority=UNIT))
    await served.admin.Activate(authority_pb2.StepRequest(authority=UNIT, force=True))
    assert not await forced(served)


async def test_a_rotation_that_waited_for_everybody_says_nothing(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    await served.admin.Rotate(authority_pb2.RotateRequest(owner=UNIT))
    shown = await served.admin.Show(SHOW)
    assert not shown.rotations
    assert not shown.warnings
    assert "forced" not in caplog.text


async def test_a_new_root_waits_for_unused_tokens_and_new_ones_say_so(
    served: Served, clock: FakeClock
) -> None:
    core = served.core
    old = sha256(core.authorities.root.row.der).digest()
    asked = authority_pb2.CreateJoinTokenRequest(workload=NAME)
    before = await served.admin.CreateJoinToken(asked)
    assert not before.warnings
    rotated = await served.admin.Rotate(authority_pb2.RotateRequest(owner="root"))
    assert [(one.kind, one.who) for one in rotated.blockers] == [("join-token", NAME)]
    meanwhile = await served.admin.CreateJoinToken(asked)
    assert JoinToken.parse(meanwhile.token).root_sha256 == old
    (warning,) = meanwhile.warnings
    assert (warning.code, warning.due) == ("root-moves", int(meanwhile.expires_at))
    clock.advance(HOUR)
    await core.tend()
    assert core.authorities.root_sha256 != old
    fresh = await served.admin.CreateJoinToken(asked)
    assert JoinToken.parse(fresh.token).root_sha256 == core.authorities.root_sha256
    assert not fresh.warnings


async def test_the_platform_does_not_move_to_a_new_root_past_a_token(served: Served) -> None:
    core = served.core
    root = await served.admin.Prepare(authority_pb2.StepRequest(authority="root"))
    await served.admin.Activate(authority_pb2.StepRequest(authority=root.authority.id))
    answer = await served.admin.CreateJoinToken(authority_pb2.CreateJoinTokenRequest(workload=NAME))
    assert [one.code for one in answer.warnings] == ["root-moves"]
    platform = await served.admin.Prepare(authority_pb2.StepRequest(authority="platform"))
    step = authority_pb2.StepRequest(authority=platform.authority.id)
    blocked = await served.admin.Activate(step)
    assert [one.kind for one in blocked.blockers] == ["join-token"]
    assert not blocked.changed
    await _use(served, answer.token)
    step.force = (
        True  # The new client has not acknowledged anything yet, which is not the matter here.
    )
    await served.admin.Activate(step)
    assert core.authorities.root_sha256 == sha256(core.authorities.root.row.der).digest()


async def test_a_token_that_names_the_root_of_both_stops_no_platform_authority(
    served: Served,
) -> None:
    await served.admin.CreateJoinToken(authority_pb2.CreateJoinTokenRequest(workload=NAME))
    platform = await served.admin.Prepare(authority_pb2.StepRequest(authority="platform"))
    moved = await served.admin.Activate(authority_pb2.StepRequest(authority=platform.authority.id))
    assert not moved.blockers
    assert moved.changed


@pytest.mark.parametrize(("unsafe", "grace"), [(False, DAY), (True, 200.0)])
async def test_a_scope_row_is_kept_until_nothing_that_it_signed_may_be_renewed(
    open_core: OpenCore, clock: FakeClock, unsafe: bool, grace: float
) -> None:
    lives = {"svid_lifetime": 10.0, "business_units": {UNIT: 100.0}} if unsafe else {}
    core = await open_core(a_directory(**lives), unsafe=unsafe)
    old = core.authorities.active(UNIT).row
    clock.advance(old.not_after - clock.now())
    await core.tend()
    assert next(row for row in core.authorities.rows if row.id == old.id).state is State.EXPIRED
    clock.advance(grace - 1)
    await core.tend()
    assert old.spki_sha256 in dict(core.trust.current.scopes)
    clock.advance(1)
    await core.tend()
    assert old.spki_sha256 not in dict(core.trust.current.scopes)


async def _use(served: Served, token: str) -> None:
    evidence = identity_pb2.Evidence(join_token=JoinToken.parse(token).evidence)
    request = identity_pb2.AttestRequest(evidence=evidence, csr=a_request())
    answer: identity_pb2.AttestResponse = await served.stub.Attest(request)
    assert answer.svid.chain


async def test_show_says_what_a_step_waits_for_and_when_the_schedule_begins(
    served: Served, clock: FakeClock
) -> None:
    core = served.core
    clients = [await issue(core, NAME) for _ in range(18)]

    async def units() -> tuple[authority_pb2.Authority, list[authority_pb2.Rotation]]:
        shown = await served.admin.Show(SHOW)
        mine = [one for one in shown.authorities if (one.owner, one.state) == (UNIT, "active")]
        return mine[0], list(shown.rotations)

    before, _ = await units()
    life = before.not_after - before.not_before
    assert before.replace_at == int(before.not_after - life * 2 / 7)
    await served.admin.Rotate(authority_pb2.RotateRequest(owner=UNIT))
    during, (rotation,) = await units()
    # It has begun, and is not to begin.
    assert during.replace_at == 0
    assert {one.who for one in rotation.blockers} == {clients[0].row.spiffe_id}
    assert (len(rotation.blockers), rotation.blockers_left_out) == (16, 2)
    assert not rotation.blockers[0].client.connected
    clock.advance(HOUR)
    await core.tend()
    after, rotations = await units()
    assert not rotations
    assert after.replace_at > clock.now()

"""Authorities over time: made at the first start, replaced before their end, never outliving the root."""

import asyncio

import pytest
from cryptography import x509

from ca_kit import FakeClock, OpenCore, a_directory, acknowledge, issue
from featward_ca.core import Core
from featward_ca.errors import ConfigurationError, KeyEncryptionError, NoAuthorityError
from featward_ca.rotation.known import PLATFORM, ROOT
from featward_ca.rotation.plan import LOOK_SECONDS
from featward_ca.settings import DAY, HOUR, ROOT_LIFETIME, Lifetimes
from featward_ca.situation import Situation
from featward_ca.store.authority_rows import State

UNIT = "prod.payments"


def states(core: Core, owner: str = UNIT) -> list[str]:
    return [row.state for row in core.authorities.rows if row.owner == owner]


def names(certificate: x509.Certificate) -> list[str | bytes]:
    return [attribute.value for attribute in certificate.subject]


async def test_the_first_start_makes_a_root_a_platform_and_an_authority_per_business_unit(
    core: Core,
) -> None:
    prefixes = {row.owner: row.path_prefix for row in core.authorities.rows}
    assert prefixes == {
        ROOT: None,
        PLATFORM: "/featward/",
        "prod.payments": "/bu/payments/",
        "prod.risk": "/bu/risk/",
    }
    assert all(row.state is State.ACTIVE for row in core.authorities.rows)
    assert names(core.authorities.root.certificate) == ["featward", "root", "prod.acme.example"]
    payments = core.authorities.active(UNIT)
    assert names(payments.certificate) == ["featward", UNIT, payments.row.id]
    constraints = payments.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    with pytest.raises(x509.ExtensionNotFound):
        payments.certificate.extensions.get_extension_for_class(x509.NameConstraints)


async def test_a_restart_finds_the_same_authorities(open_core: OpenCore) -> None:
    core = await open_core()
    before = {row.id for row in core.authorities.rows}
    await core.close()
    again = await open_core()
    assert {row.id for row in again.authorities.rows} == before
    await issue(again, "prod.payments/pricing-api")


async def test_the_scope_table_names_every_authority_and_no_root(core: Core) -> None:
    trust = core.trust.current
    assert sorted(prefix for _, prefix in trust.scopes) == [
        "/bu/payments/",
        "/bu/risk/",
        "/featward/",
    ]
    assert len(trust.roots) == 1


async def test_a_new_business_unit_gets_its_authority_and_raises_the_sequence(core: Core) -> None:
    before = core.trust.current.sequence
    units = dict(a_directory().business_units) | {"prod.fraud": 7 * DAY}
    core.take_over(a_directory(business_units=units))
    await core.tend()
    assert core.authorities.active("prod.fraud").row.path_prefix == "/bu/fraud/"
    assert core.trust.current.sequence == before + 1


async def test_an_authority_is_used_when_every_live_client_has_heard_of_it(
    core: Core, clock: FakeClock
) -> None:
    old = core.authorities.active(UNIT).row
    clock.advance(5 * DAY + HOUR)
    client = await issue(core, "prod.payments/pricing-api")
    due = await core.tend()
    assert states(core) == ["active", "prepared"]
    assert len(core.trust.current.scopes) == 6
    assert due == clock.now() + LOOK_SECONDS
    clock.advance(LOOK_SECONDS)
    await core.tend()
    assert core.authorities.active(UNIT).row.id == old.id
    await acknowledge(core, client)
    await core.tend()
    assert states(core) == ["old", "active"]
    assert core.authorities.active(UNIT).row.id != old.id


async def test_nobody_is_waited_for_who_has_no_svid_any_more(core: Core, clock: FakeClock) -> None:
    clock.advance(5 * DAY + HOUR)
    await issue(core, "prod.payments/pricing-api")
    await core.tend()
    assert states(core) == ["active", "prepared"]
    clock.advance(HOUR + 1)
    await core.tend()
    assert states(core) == ["old", "active"]


async def test_an_old_authority_leaves_the_scope_table_when_nothing_of_it_may_be_renewed(
    core: Core, clock: FakeClock
) -> None:
    clock.advance(5 * DAY + HOUR)
    await core.tend()
    assert states(core) == ["old", "active"]
    clock.advance(2 * DAY)
    before = core.trust.current.sequence
    due = await core.tend()
    assert states(core) == ["expired", "active"]
    assert [row.key for row in core.authorities.rows if row.state is State.EXPIRED] == [None] * 3
    assert core.trust.current.sequence == before
    clock.advance(due - clock.now())
    await core.tend()
    assert states(core) == ["active"]
    assert len(core.trust.current.scopes) == 3
    assert core.trust.current.sequence > before


async def test_a_hundred_days_pass_without_a_moment_without_an_authority(
    core: Core, clock: FakeClock
) -> None:
    end = clock.now() + 100 * DAY
    while clock.now() < end:
        due = await core.tend()
        # The schedule may be late by some minutes and nothing must break.
        clock.advance(max(0.0, due - clock.now()) + 300)
        issued = await issue(core, "prod.payments/pricing-api")
        await acknowledge(core, issued)
        assert issued.row.not_after - clock.now() > HOUR / 2


async def test_a_ca_that_was_away_longer_than_its_authorities_live_starts_with_new_ones(
    open_core: OpenCore, clock: FakeClock
) -> None:
    core = await open_core()
    await core.close()
    clock.advance(30 * DAY)
    again = await open_core()
    assert states(again) == ["active"]
    await issue(again, "prod.payments/pricing-api")


async def test_the_schedule_runs_by_itself(core: Core, clock: FakeClock) -> None:
    task = asyncio.create_task(core.keep_tending())
    sequence = core.trust.current.sequence
    await asyncio.sleep(0)
    clock.advance(5 * DAY + HOUR)
    trust = await asyncio.wait_for(core.trust.after(sequence), 5)
    assert len(trust.scopes) > 3
    task.cancel()


async def test_a_root_that_would_end_before_an_authority_is_replaced_at_the_start(
    open_core: OpenCore, clock: FakeClock
) -> None:
    core = await open_core()
    first = core.authorities.root.row
    await core.close()
    clock.advance(ROOT_LIFETIME - 6 * DAY)
    again = await open_core()
    assert again.authorities.root.row.id != first.id
    assert again.authorities.root.row.not_after > clock.now() + ROOT_LIFETIME - DAY
    issued = await issue(again, "prod.payments/pricing-api")
    assert again.authorities.active(UNIT).row.issuer == again.authorities.root.row.id
    assert issued.row.not_after == int(clock.now() + HOUR)


async def test_a_root_that_has_ended_is_never_replaced_by_itself(
    open_core: OpenCore, clock: FakeClock
) -> None:
    core = await open_core()
    await core.close()
    for _ in range(2):  # the second finds nothing that is announced
        clock.advance(ROOT_LIFETIME + DAY)
        with pytest.raises(ConfigurationError, match="root has expired"):
            await open_core()


async def test_an_svid_never_outlives_its_authority(core: Core, clock: FakeClock) -> None:
    clock.advance(7 * DAY - HOUR / 2)
    issued = await issue(core, "prod.payments/pricing-api")
    assert issued.row.not_after == core.authorities.active(UNIT).row.not_after


async def test_no_svid_is_issued_from_an_expired_authority(core: Core, clock: FakeClock) -> None:
    clock.advance(7 * DAY)
    with pytest.raises(NoAuthorityError, match="no authority for prod"):
        await issue(core, "prod.payments/pricing-api")


async def test_a_wrong_key_encryption_key_is_told_in_one_sentence(open_core: OpenCore) -> None:
    core = await open_core()
    await core.close()
    with pytest.raises(KeyEncryptionError, match="does not open the keys"):
        await open_core(kek=b"w" * 44)


async def test_a_data_directory_of_another_environment_is_refused(open_core: OpenCore) -> None:
    core = await open_core()
    await core.close()
    with pytest.raises(ConfigurationError, match="belongs to environment prod"):
        await open_core(
            a_directory(environment="dev", trust_domain="dev.x", business_units={}, workloads={})
        )


@pytest.mark.parametrize(
    ("lifetimes", "said"),
    [
        (Lifetimes(HOUR, {UNIT: 5 * HOUR}), "6 x the SVID lifetime of 1h = 6h"),
        (Lifetimes(60, {}), "outside of 5m to 1d"),
        (Lifetimes(2 * DAY, {}), "outside of 5m to 1d"),
        (Lifetimes(HOUR, {UNIT: 6 * 365 * DAY}), "longer than the root"),
        (Lifetimes(60, {UNIT: 300}, unsafe_short=True), "6 x the SVID lifetime of 1m = 6m"),
    ],
)
def test_lifetimes_that_can_not_hold_are_refused_with_the_sum(
    lifetimes: Lifetimes, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        lifetimes.check()


async def test_unsafe_short_lives_shrink_the_back_dating_and_are_logged(
    open_core: OpenCore, caplog: pytest.LogCaptureFixture
) -> None:
    directory = a_directory(svid_lifetime=20.0)
    core = await open_core(directory, unsafe=True)
    issued = await issue(core, "prod.payments/pricing-api")
    assert issued.row.not_after - issued.row.not_before == 22
    assert "UNSAFE SHORT LIVES" in caplog.text


def test_an_edit_that_can_not_hold_changes_nothing() -> None:
    situation = Situation.of(a_directory(), unsafe_short_lives=False)
    before = situation.directory
    for edit in (a_directory(svid_lifetime=2 * DAY), a_directory(trust_domain="other.example")):
        with pytest.raises(ConfigurationError):
            situation.replace(edit)
    assert situation.directory is before

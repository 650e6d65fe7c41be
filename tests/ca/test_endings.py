"""What `featward ca status` says of what ends, by when to act, and the command for it."""

import asyncio
import contextlib
import io
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from rich.console import Console

from ca_kit import KEK, TRUST_DOMAIN, FakeClock, a_directory, issue
from featward.authority.v1 import authority_pb2
from featward_ca import ceremony, ceremony_steps
from featward_ca.attest.join_token import LONGEST_LIFETIME
from featward_ca.clock import readable
from featward_ca.core import Core
from featward_ca.federation.relations import Relation
from featward_ca.health import Health
from featward_ca.keys import EncryptedKeyStore
from featward_ca.own_identity import OwnIdentity
from featward_ca.report import show
from featward_ca.rotation import orders
from featward_ca.rotation.actions import By
from featward_ca.rotation.imports import take_in
from featward_ca.rotation.known import PLATFORM, ROOT
from featward_ca.rotation.orders import Order
from featward_ca.rotation.states import Progress
from featward_ca.settings import DAY, HOUR, MINUTE, PREPARE_AT_LEFT
from featward_ca.situation import Situation
from featward_ca.store import authority_rows
from featward_ca.store.engines import open_store
from featward_engine import Credentials
from service_kit import Served, serving

FEATWARD = Path(sys.executable).with_name("featward")
UNIT = "prod.payments"
ORDER = Order(By("admin", "test"))


async def warned(served: Served, code: str) -> list[str]:
    """The lines of the status that begin with this code."""
    answer = await served.admin.Show(authority_pb2.ShowRequest())
    with io.StringIO() as text:
        show(answer, Console(file=text, width=80, soft_wrap=True))
        return [line for line in text.getvalue().splitlines() if line.startswith(f"{code}: ")]


async def advance_to(served: Served, moment: float) -> None:
    clock: Any = served.core.clock
    clock.advance(moment - clock.now())


@pytest.fixture
async def offline(store_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    """A CA under a root whose key is elsewhere, whose owners still have to move to it."""
    clock = FakeClock(time.time())
    situation = Situation.of(a_directory(), unsafe_short_lives=False)
    core = await Core.open(open_store(store_url), EncryptedKeyStore(KEK), situation, clock)
    made = ceremony_steps.RootStep(
        kind="root",
        trust_domain=TRUST_DOMAIN,
        lifetime="3650d",
        key_encryption_key="root.kek",
        key="root.key",
        certificate="root.pem",
    )
    ceremony.make_root(made, tmp_path)
    root = ceremony.certificate_of(tmp_path / "root.pem")
    await take_in(core, [], root.public_bytes(Encoding.DER), ORDER.by)
    await orders.rotate(core, ROOT, ORDER)
    async with serving(core, clock, tmp_path) as running:
        yield running
    await core.close()


async def test_a_young_ca_warns_of_nothing_and_each_warning_is_printed_once(
    served: Served,
) -> None:
    core = served.core
    await OwnIdentity(core, Credentials(TRUST_DOMAIN)).renew()
    answer = await served.admin.Show(authority_pb2.ShowRequest())
    assert not answer.warnings
    domain = "partner.example"
    core.situation.directory.relations[domain] = Relation(domain, "https://127.0.0.1:1/")  # type: ignore[index]  # a Mapping to all but tests
    assert len(await warned(served, "foreign-bundle-missing")) == 1


async def test_an_authority_that_nothing_replaces_is_warned_of_with_date_and_command(
    served: Served,
) -> None:
    row = served.core.authorities.active(UNIT).row
    began = row.not_after - (row.not_after - row.not_before) * PREPARE_AT_LEFT
    await advance_to(served, began + HOUR - 1)
    assert not await warned(served, "authority-ending")
    await advance_to(served, began + HOUR)
    found = await warned(served, "authority-ending")
    assert len(found) == 3
    (line,) = [line for line in found if UNIT in line]
    assert line.startswith(
        f"authority-ending: the authority of {UNIT} ends {readable(row.not_after)} (in 1d 23h), and"
        f" nothing is about to replace it; featward ca authority rotate {UNIT} (by "
    )
    assert line.endswith("Z, in 1d 22h)")
    await served.core.tend()
    assert not await warned(served, "authority-ending")


async def test_a_rotation_that_stands_still_is_warned_of_with_what_moves_it(
    served: Served,
) -> None:
    row = served.core.authorities.active(UNIT).row
    await advance_to(served, row.not_after - 2 * DAY)
    # It acknowledges nothing, so it is waited for.
    await issue(served.core, "prod.payments/pricing-api")
    await served.core.tend()
    assert not await warned(served, "authority-ending")
    await orders.steer(served.core, UNIT, Progress.PAUSED, ORDER)
    (line,) = await warned(served, "authority-ending")
    assert "its rotation is paused at the step activate; featward ca authority resume" in line
    await orders.steer(served.core, UNIT, Progress.RUNNING, ORDER)
    assert not await warned(served, "authority-ending")
    await advance_to(served, row.not_after - 2 * DAY + HOUR - 5)
    await issue(served.core, "prod.payments/pricing-api")
    await advance_to(served, row.not_after - 2 * DAY + HOUR + 5)
    await served.core.tend()
    (line,) = [line for line in await warned(served, "authority-ending") if UNIT in line]
    assert "its rotation is blocked at the step activate" in line
    assert f"featward ca authority rotate {UNIT} --dry-run lists who is in the way" in line


@pytest.mark.parametrize("owner", [UNIT, ROOT])
async def test_a_pause_that_is_longer_than_a_step_may_wait_is_warned_of(
    served: Served, owner: str
) -> None:
    """Long before the end: nothing goes on by itself meanwhile, and the pause may be forgotten."""
    core = served.core
    await issue(core, "prod.payments/pricing-api")
    began = readable(core.clock.now())
    await orders.rotate(core, owner, ORDER)
    await orders.steer(core, owner, Progress.PAUSED, ORDER)
    await advance_to(served, core.clock.now() + HOUR - 1)
    assert not await warned(served, "rotation-paused")
    await advance_to(served, core.clock.now() + 1)
    (line,) = await warned(served, "rotation-paused")
    assert f"the rotation of {owner} is paused at the step activate, where it is since" in line
    assert f"since {began} (1h ago); the one that signs ends " in line
    assert f"; featward ca authority resume {owner} (by " in line
    row = core.authorities.root.row if owner == ROOT else core.authorities.active(owner).row
    code = "root-ending" if owner == ROOT else "authority-ending"
    assert not await warned(served, code)
    life = row.not_after - row.not_before
    await advance_to(served, row.not_after - life * PREPARE_AT_LEFT + 1)
    # Said once, by what is worse.
    assert [line for line in await warned(served, code) if "rotation is paused" in line]
    assert not await warned(served, "rotation-paused")
    await orders.steer(core, owner, Progress.RUNNING, ORDER)
    assert not await warned(served, "rotation-paused")


async def test_an_owner_without_an_authority_is_warned_of(served: Served) -> None:
    core = served.core
    await core.store.exclusive(lambda c: authority_rows.give_up(c, UNIT, core.clock.now()))
    await core.authorities.load()
    (line,) = await warned(served, "authority-ending")
    assert f"{UNIT} has no authority in force" in line
    assert f"featward ca authority prepare {UNIT} says what stands in the way" in line


async def test_a_root_that_nothing_replaces_is_warned_of(served: Served) -> None:
    row = served.core.authorities.root.row
    began = row.not_after - (row.not_after - row.not_before) * PREPARE_AT_LEFT
    await advance_to(served, began + LONGEST_LIFETIME - 1)
    assert not await warned(served, "root-ending")
    await advance_to(served, began + LONGEST_LIFETIME + 1)
    (line,) = await warned(served, "root-ending")
    last = row.not_after - 7 * DAY - 2 * MINUTE
    assert line.startswith(f"root-ending: the root ends {readable(row.not_after)} (in 514d 10h)")
    assert f"no authority can be made under it from {readable(last)} on, in 507d 10h" in line
    assert "; featward ca authority rotate root (by " in line


async def test_a_status_after_the_end_of_everything_says_what_to_do(served: Served) -> None:
    await advance_to(served, served.core.authorities.root.row.not_after + HOUR)
    (line,) = await warned(served, "root-ending")
    assert (
        "nothing that it signed is accepted; stop the CA, and run featward ca recover root" in line
    )
    await served.core.tend()
    assert len(await warned(served, "root-ending")) == 1


async def test_who_waits_for_the_offline_root_is_named_with_the_present_end(
    offline: Served,
) -> None:
    found = await warned(offline, "awaits-ceremony")
    assert len(found) == 3
    assert not await warned(offline, "authority-ending")
    (line,) = [line for line in found if UNIT in line]
    end = offline.core.authorities.active(UNIT).row.not_after
    assert f"the present one ends {readable(end)} (in 6d 23h)" in line
    assert "; featward ca ceremony run request.yaml writes the request; see docs/operations" in line
    assert line.endswith("Z, in 6d 22h)")
    # Nobody signs: it ends.
    await advance_to(offline, end + 60)
    await offline.core.tend()
    (line,) = [line for line in await warned(offline, "awaits-ceremony") if UNIT in line]
    assert "there is none, and nobody of it gets a certificate" in line


async def test_an_offline_root_is_warned_of_a_ceremony_ahead(offline: Served) -> None:
    core = offline.core
    found = await core.store.read(authority_rows.announced)
    row = next(one for one in found if one.owner == ROOT and one.state == "active")
    await advance_to(offline, row.not_after - 90 * DAY - 60)
    assert not await warned(offline, "root-ending")
    await advance_to(offline, row.not_after - 90 * DAY)
    (line,) = await warned(offline, "root-ending")
    assert f"the root ends {readable(row.not_after)} (in 90d)" in line


async def test_the_cas_own_certificate_follows_a_lifetime_that_is_shortened(
    served: Served, clock: FakeClock
) -> None:
    """The renewal of the longer one is awaited meanwhile."""
    core, health = served.core, Health(served.core)
    own = OwnIdentity(core, Credentials(TRUST_DOMAIN))
    await own.renew()
    keeping = asyncio.create_task(own.keep_renewing())
    await asyncio.sleep(0)
    core.take_over(a_directory(svid_lifetime=10 * MINUTE))
    # As a new platform authority makes it do.
    await own.renew()
    end = core.schedule.own_use.not_after
    assert end == pytest.approx(clock.now() + 10 * MINUTE, abs=1)
    for _ in range(3):
        await asyncio.sleep(0)
    clock.advance(6 * MINUTE)
    async with asyncio.timeout(10):
        while core.schedule.own_use.not_after == end:  # noqa: ASYNC110  # nothing else tells of it
            await asyncio.sleep(0.01)
    assert await health.problem() is None
    keeping.cancel()
    clock.advance(11 * MINUTE)
    assert "the CA's own certificate ended at" in (await health.problem() or "")


async def test_the_cas_own_certificate_is_warned_of_in_its_last_quarter(
    served: Served, clock: FakeClock
) -> None:
    core = served.core
    own = OwnIdentity(core, Credentials(TRUST_DOMAIN))
    await own.renew()
    exposed = core.metrics.render().decode()
    assert 'featward_certificate_expiry_timestamp_seconds{owner="featward/ca",purpose="svid"}' in (
        exposed
    )
    end = core.schedule.own_use.not_after
    await core.store.exclusive(lambda c: authority_rows.give_up(c, PLATFORM, core.clock.now()))
    await core.authorities.load()
    keeping = asyncio.create_task(own.keep_renewing())
    await asyncio.sleep(0)
    await advance_to(served, end - 15 * MINUTE - 1)
    async with asyncio.timeout(10):
        while not core.schedule.own_use.error:  # noqa: ASYNC110  # nothing else tells of it
            await asyncio.sleep(0.01)
    assert not await warned(served, "serving-ending")
    await advance_to(served, end - 15 * MINUTE + 1)
    (line,) = await warned(served, "serving-ending")
    assert f"the CA's own certificate ends {readable(end)} (in 14m 59s)" in line
    assert "was not renewed (there is no authority for platform at the moment)" in line
    assert (
        "; featward ca authority rotate platform; if that is refused, stop the CA and run" in line
    )
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping
    await core.tend()
    await own.renew()
    assert not await warned(served, "serving-ending")


async def test_the_command_prints_them_as_text_and_as_json(served: Served, tmp_path: Path) -> None:
    row = served.core.authorities.active(UNIT).row
    await advance_to(served, row.not_after - DAY)

    async def printed(*options: str) -> str:
        command = [str(FEATWARD), "ca", "status", "--admin-socket", f"{tmp_path}/a.sock", *options]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert printed_once(await printed(), f"authority-ending: the authority of {UNIT} ends ")
    told = json.loads(await printed("--output", "json"))["warnings"]
    (one,) = [one for one in told if one["code"] == "authority-ending" and UNIT in one["text"]]
    assert one["due"] == row.not_after - HOUR
    assert readable(row.not_after) in one["text"]
    assert one["remedy"] == f"featward ca authority rotate {UNIT}"


def printed_once(text: str, part: str) -> bool:
    return text.count(part) == 1

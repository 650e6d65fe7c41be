"""Recovery without a running CA: expired roots and authorities, lost keys, a lost store."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from ca_kit import KEK, FakeClock, OpenCore, a_directory, issue
from featward.identity.join_token import JoinToken
from featward_ca import recover, recover_store, recover_tokens
from featward_ca.core import Core
from featward_ca.errors import ConfigurationError, KeyEncryptionError, StoreError
from featward_ca.keys import EncryptedKeyStore
from featward_ca.rotation.imports import pending
from featward_ca.rotation.known import ROOT
from featward_ca.settings import DAY, HOUR, ROOT_LIFETIME, embedded_store
from featward_ca.situation import Situation
from featward_ca.stopped import Stopped, stopped
from featward_ca.store.authority_rows import AuthorityRow, State, of_state

NAME = "prod.payments/pricing-api"
NEW = b"n" * 44
Recover = Callable[[Callable[[Stopped], Awaitable[list[str]]]], Awaitable[list[str]]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def store_url(store_url: str, data: Path) -> str:
    """Both kinds; the embedded store lies where the commands look for it."""
    return embedded_store(data) if store_url.startswith("sqlite") else store_url


@pytest.fixture
def run(store_url: str, data: Path, clock: FakeClock) -> Recover:
    """Does something to the store of a stopped CA, as the commands do."""
    address = None if store_url.startswith("sqlite") else store_url

    async def on(work: Callable[[Stopped], Awaitable[list[str]]]) -> list[str]:
        async with stopped(data, address, clock) as at:
            return await work(at)

    return on


async def enrolled(core: Core) -> None:
    directory = core.situation.directory
    token, _ = await core.tokens.create(directory, NAME, HOUR, b"r" * 32)
    await issue(core, await core.tokens.attest(directory, token.evidence))


def new() -> bytes:
    """The key-encryption key that is made when it is needed."""
    return NEW


async def change(core: Core, statement: str) -> None:
    """Write past the CA, which is stopped afterwards."""
    await core.store.run(lambda c: c.execute(text(statement)).rowcount)
    await core.close()


# What the store of an environment under an offline root holds of it.
OFFLINE = "UPDATE authority SET key = NULL WHERE owner = 'root'"


def keys(kek: bytes = KEK) -> EncryptedKeyStore:
    return EncryptedKeyStore(kek)


async def test_an_expired_root_is_replaced_and_who_came_by_token_gets_another(
    open_core: OpenCore, run: Recover, clock: FakeClock, tmp_path: Path
) -> None:
    core = await open_core()
    await enrolled(core)
    old, sequence = core.authorities.root.row, core.trust.current.sequence
    await core.close()
    clock.advance(ROOT_LIFETIME + DAY)
    with pytest.raises(ConfigurationError, match="featward ca recover root"):
        await open_core()

    async def work(at: Stopped) -> list[str]:
        said = await recover.new_root(at, keys(), force=False)
        return said + await recover_tokens.write_tokens(at, tmp_path / "tokens")

    said = await run(work)
    assert "1 join tokens" in said[-1]
    again = await open_core()
    assert again.authorities.root.row.id != old.id
    assert again.trust.current.sequence > sequence
    (name,) = await asyncio.to_thread(os.listdir, tmp_path / "tokens")
    text_of = await asyncio.to_thread((tmp_path / "tokens" / name).read_text)
    token = JoinToken.parse(text_of)
    proof = await again.tokens.attest(again.situation.directory, token.evidence)
    assert proof.workload.name == NAME
    await issue(again, proof)


@pytest.mark.parametrize(
    ("life", "left_before", "tokens"),
    [(HOUR, 0.9 * DAY, 2), (HOUR, 1.1 * DAY, 1), (DAY, 2.9 * DAY, 2), (DAY, 3.1 * DAY, 1)],
)
async def test_who_left_before_the_grace_of_the_last_lives_gets_no_new_token(
    open_core: OpenCore,
    run: Recover,
    clock: FakeClock,
    tmp_path: Path,
    life: float,
    left_before: float,
    tokens: int,
) -> None:
    core = await open_core(a_directory(svid_lifetime=life))
    await enrolled(core)
    clock.advance(left_before)
    await enrolled(core)
    await core.close()
    clock.advance(life)
    said = await run(lambda at: recover_tokens.write_tokens(at, tmp_path / "tokens"))
    assert said[0].startswith(f"{tokens} join tokens")


async def test_a_root_in_force_is_replaced_by_force_alone(
    open_core: OpenCore, run: Recover
) -> None:
    core = await open_core()
    old = core.authorities.root.row.id
    await core.close()
    with pytest.raises(ConfigurationError, match="in force until"):
        await run(lambda at: recover.new_root(at, keys(), force=False))
    await run(lambda at: recover.new_root(at, keys(), force=True))
    again = await open_core()
    roots = {row.id: row.state for row in again.authorities.rows if row.owner == ROOT}
    assert roots == {old: State.OLD, again.authorities.root.row.id: State.ACTIVE}


async def test_a_lost_key_encryption_key_costs_the_root_and_nothing_that_lives(
    open_core: OpenCore, run: Recover
) -> None:
    core = await open_core()
    scopes = set(core.trust.current.scopes)
    await core.close()
    with pytest.raises(KeyEncryptionError, match="featward ca recover kek"):
        await open_core(kek=NEW)
    await run(lambda at: recover.lost_kek(at, {}, new, force=False))
    again = await open_core(kek=NEW)
    assert set(again.trust.current.scopes) > scopes
    assert len(again.trust.current.roots) == 2
    await issue(again, NAME)


async def test_a_key_encryption_key_is_changed_with_everything_else_as_it_was(
    open_core: OpenCore, run: Recover
) -> None:
    core = await open_core()
    before = {row.id for row in core.authorities.rows}
    await core.close()
    with pytest.raises(KeyEncryptionError):
        await run(lambda at: recover.change_kek(at, b"w" * 44, new))
    await run(lambda at: recover.change_kek(at, KEK, new))
    with pytest.raises(KeyEncryptionError):
        await open_core()
    again = await open_core(kek=NEW)
    assert {row.id for row in again.authorities.rows} == before
    await issue(again, NAME)


async def test_an_authority_whose_key_is_damaged_is_replaced_alone(
    open_core: OpenCore, run: Recover
) -> None:
    core = await open_core()
    before = {row.owner: row.id for row in core.authorities.rows}
    damage = text("UPDATE authority SET key = spki_sha256 WHERE owner = 'prod.risk'")
    await core.store.run(lambda c: c.execute(damage).rowcount)
    await core.close()
    with pytest.raises(KeyEncryptionError):
        await open_core()
    with pytest.raises(ConfigurationError, match=r"no authority of prod\.fraud"):
        await run(lambda at: recover.new_authority(at, keys(), "prod.fraud"))
    await run(lambda at: recover.new_authority(at, keys(), "prod.risk"))
    again = await open_core()
    active = {row.owner: row.id for row in again.authorities.rows if row.state is State.ACTIVE}
    assert {owner for owner in active if active[owner] != before[owner]} == {"prod.risk"}
    assert before["prod.risk"] in {row.id for row in again.authorities.rows}


async def test_the_authority_of_the_cas_own_certificate_is_replaced(
    open_core: OpenCore, run: Recover, clock: FakeClock
) -> None:
    core = await open_core()
    await core.close()
    clock.advance(8 * DAY)
    await run(lambda at: recover.serving(at, keys()))
    again = await open_core()
    assert again.authorities.active("platform").row.not_after > clock.now()


async def test_a_ca_that_runs_is_left_alone(open_core: OpenCore, run: Recover, data: Path) -> None:
    core = await open_core()
    if core.store.shared:
        with pytest.raises(
            ConfigurationError, match="1 replica of the CA ran within the last 15 s; stop"
        ):
            await run(lambda at: recover.new_root(at, keys(), force=True))


async def test_a_copy_is_kept_of_what_is_changed(
    open_core: OpenCore, run: Recover, data: Path
) -> None:
    core = await open_core()
    await core.close()
    await run(lambda at: recover.new_root(at, keys(), force=True))
    kept = [name for name in os.listdir(data) if "before-recovery" in name]
    assert len(kept) == (0 if core.store.shared else 1)


async def test_a_lost_store_begins_anew_with_tokens_for_who_needs_them(
    data: Path, tmp_path: Path, clock: FakeClock
) -> None:
    with pytest.raises(StoreError, match="featward ca recover store"):
        async with stopped(data, None, clock):
            pass
    await asyncio.to_thread((data / "ca.sqlite3").write_bytes, b"noise" * 1000)
    situation = Situation.of(a_directory(), unsafe_short_lives=False)
    said: list[str] = []
    await recover_store.new_store(
        data, None, lambda: KEK, situation, clock, tmp_path / "tokens", said, replace=False
    )
    assert "what was there is now" in said[0]
    assert sorted(os.listdir(tmp_path / "tokens")) == [
        "prod.payments.pricing-api.token",
        "prod.risk.scoring.token",
    ]


async def test_a_sound_store_is_moved_aside_by_replace_alone(data: Path, clock: FakeClock) -> None:
    situation = Situation.of(a_directory(), unsafe_short_lives=False)

    async def begin(*, replace: bool) -> list[str]:
        said: list[str] = []
        await recover_store.new_store(
            data, None, lambda: KEK, situation, clock, None, said, replace=replace
        )
        return said

    await begin(replace=False)
    before = (data / "ca.sqlite3").read_bytes()
    with pytest.raises(ConfigurationError, match=r"is sound.*--replace"):
        await begin(replace=False)
    assert (data / "ca.sqlite3").read_bytes() == before
    assert "what was there is now" in (await begin(replace=True))[0]


async def test_a_key_that_is_not_the_stores_makes_no_new_root_without_force(
    open_core: OpenCore, run: Recover
) -> None:
    core = await open_core()
    before = {row.id for row in core.authorities.rows}
    await core.close()
    with pytest.raises(ConfigurationError, match=r"does not open its key.*right one.*--force"):
        await run(lambda at: recover.new_root(at, keys(NEW), force=False))
    # It does not send anybody there either.
    with pytest.raises(ConfigurationError, match="does not open its key") as refused:
        await run(lambda at: recover.new_authority(at, keys(NEW), "prod.risk"))
    assert "recover root" not in str(refused.value)
    again = await open_core()
    assert {row.id for row in again.authorities.rows} == before


async def test_a_damaged_key_of_the_root_is_told_from_a_wrong_key_encryption_key(
    open_core: OpenCore, run: Recover
) -> None:
    core = await open_core()
    old = core.authorities.root.row.id
    await change(core, "UPDATE authority SET key = spki_sha256 WHERE owner = 'root'")
    with pytest.raises(ConfigurationError, match=r"its key is damaged.*--force"):
        await run(lambda at: recover.new_root(at, keys(), force=False))
    with pytest.raises(ConfigurationError, match=r"damaged.*featward ca recover root --force"):
        await run(lambda at: recover.new_authority(at, keys(), "prod.risk"))
    await run(lambda at: recover.new_root(at, keys(), force=True))
    assert (await at_root(run)).id != old


async def test_an_offline_root_is_replaced_by_force_alone(
    open_core: OpenCore, run: Recover
) -> None:
    core = await open_core()
    old = core.authorities.root.row.id
    await change(core, OFFLINE)
    with pytest.raises(ConfigurationError, match=r"on another machine.*--force"):
        await run(lambda at: recover.new_root(at, keys(), force=False))
    with pytest.raises(ConfigurationError, match=r"on another machine.*--force"):
        await run(lambda at: recover.lost_kek(at, {}, new, force=False))
    assert (await at_root(run)).id == old
    await run(lambda at: recover.lost_kek(at, {}, new, force=True))
    assert (await at_root(run)).id != old


async def at_root(run: Recover) -> AuthorityRow:
    """The one in use."""
    found: list[AuthorityRow] = []

    async def look(at: Stopped) -> list[str]:
        found.extend(await at.store.read(lambda c: of_state(c, State.ACTIVE)))
        return []

    await run(look)
    (root,) = [row for row in found if row.owner == ROOT]
    return root


async def test_an_authority_under_an_offline_root_waits_for_its_signature(
    open_core: OpenCore, run: Recover
) -> None:
    core = await open_core()
    await change(core, OFFLINE)
    with pytest.raises(ConfigurationError, match="the CA does not start"):
        await run(lambda at: recover.serving(at, keys()))
    said = await run(lambda at: recover.new_authority(at, keys(), "prod.risk"))
    assert "waits for the offline root's signature: featward ca ceremony" in said[0]
    again = await open_core()
    assert [row.owner for row, _ in await pending(again)] == ["prod.risk"]
    await issue(again, NAME)


async def test_a_key_encryption_key_that_opens_the_store_is_not_lost(
    open_core: OpenCore, run: Recover
) -> None:
    core = await open_core()
    before = {row.id for row in core.authorities.rows}
    await core.close()
    at_hand = {"other.kek": NEW, "FEATWARD_CA_KEK": KEK}
    with pytest.raises(ConfigurationError, match=r"FEATWARD_CA_KEK opens the keys.*--lost"):
        await run(lambda at: recover.lost_kek(at, at_hand, new, force=True))
    with pytest.raises(ConfigurationError, match="is the present one"):
        await run(lambda at: recover.change_kek(at, KEK, lambda: KEK))
    again = await open_core()
    assert {row.id for row in again.authorities.rows} == before


async def test_no_new_key_is_made_for_an_old_one_that_does_not_open_the_store(
    open_core: OpenCore, run: Recover
) -> None:
    core = await open_core()
    await core.close()
    made: list[bytes] = []

    def make() -> bytes:
        made.append(NEW)
        return NEW

    with pytest.raises(KeyEncryptionError):
        await run(lambda at: recover.change_kek(at, b"w" * 44, make))
    assert not made


def test_a_folder_that_takes_no_tokens_is_known_before_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "afile").write_text("")
    for folder in (tmp_path / "afile", tmp_path / "afile" / "tokens"):
        with pytest.raises(ConfigurationError, match=r"tokens can't be written.*Not a directory"):
            recover_tokens.check_folder(folder)
    recover_tokens.check_folder(tmp_path / "new" / "tokens")
    assert os.listdir(tmp_path) == ["afile"]

"""A store in PostgreSQL, read and restored by whoever is not a CA: check-issued beside it, and
PostgreSQL's own programs for its backups.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

import postgres_kit
from ca_kit import KEK, FakeClock, OpenCore, a_directory, issue
from featward_ca.check_issued import check
from featward_ca.cli.store import postgresqls_own
from featward_ca.core import Core
from featward_ca.errors import ConfigurationError, KeyEncryptionError, StoreError
from featward_ca.keys import EncryptedKeyStore
from featward_ca.replicas import BEAT_SECONDS, DEAD_LOOKS
from featward_ca.restore import Restored, adopt
from featward_ca.settings import HOUR
from featward_ca.situation import Situation
from featward_ca.store import audit, replica_rows
from featward_ca.store.engines import open_store
from featward_ca.store.read_only import read_only

NAME = "prod.payments/pricing-api"


@pytest.fixture
def store_url(postgresql_url: str) -> str:
    return postgresql_url


@pytest.fixture
def another(postgresql: postgres_kit.Server) -> Iterator[str]:
    """An empty database beside it."""
    with postgresql.database() as url:
        yield url


def libpq(url: str) -> str:
    return url.replace("+psycopg", "")


async def run(command: list[str | Path]) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0


async def dump(url: str, file: Path) -> None:
    await run(["pg_dump", "--format=custom", "--file", file, libpq(url)])


async def fill(url: str, file: Path) -> None:
    """As `featward ca backup --store` says it."""
    options = ["--no-owner", "--exit-on-error", "--single-transaction"]
    assert " ".join(options) in postgresqls_own(url, file)
    await run(["pg_restore", *options, "--dbname", libpq(url), file])


async def go_on(url: str, data: Path, clock: FakeClock, kek: bytes = KEK) -> Restored:
    return await asyncio.to_thread(adopt, url, data, kek, clock)


async def count(url: str, table: str) -> int:
    def look() -> int:
        with read_only(url) as connection:
            statement = text(f"SELECT count(*) FROM {table}")  # noqa: S608  # our own tables
            return int(connection.execute(statement).scalar_one())

    return await asyncio.to_thread(look)


async def test_everything_issued_is_checked_beside_the_ca(
    core: Core, store_url: str, clock: FakeClock
) -> None:
    await issue(core, NAME)
    with read_only(store_url) as connection:
        first = check(connection, now=clock.now())
        await issue(core, NAME)
        # One moment: what was issued since is not seen, nor waited for.
        assert check(connection, now=clock.now()).rows == first.rows
        with pytest.raises(StoreError, match="read-only"), read_only(store_url) as writing:
            writing.execute(text("DELETE FROM svid"))
    assert first.findings == []
    assert first.certificates == 1 + len(core.authorities.rows)
    later = text("UPDATE svid SET not_after = not_after + 1")
    await core.store.run(lambda connection: connection.execute(later).rowcount)
    with read_only(store_url) as connection:
        assert {finding.code for finding in check(connection).findings} == {"lint"}


def test_an_address_that_can_not_be_read_says_what_to_write(postgresql_url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"postgresql\+psycopg://"), read_only("mysql://x"):
        pass
    missing = postgresql_url.replace("/test_", "/none_")
    with pytest.raises(StoreError, match="no such database"), read_only(missing):
        pass


async def test_a_restored_dump_goes_on_above_all_that_was_announced(
    core: Core, store_url: str, another: str, tmp_path: Path, clock: FakeClock
) -> None:
    svid = await issue(core, NAME)
    await core.tokens.create(core.situation.directory, NAME, HOUR, b"r" * 32)
    await dump(store_url, tmp_path / "ca.dump")
    raised = text("UPDATE trust SET sequence = sequence + 3")
    await core.store.run(lambda connection: connection.execute(raised).rowcount)
    seen = core.trust.current.sequence + 3
    await core.close()
    await fill(another, tmp_path / "ca.dump")
    # The dump knows a replica that was alive then.
    clock.advance(DEAD_LOOKS * BEAT_SECONDS + 1)
    done = await go_on(another, tmp_path / "data", clock)
    assert done.sequence == int(clock.now()) > seen
    assert await count(another, "join_token") == await count(another, "replica") == 0
    situation = Situation.of(a_directory(), unsafe_short_lives=False)
    again = await Core.open(open_store(another), EncryptedKeyStore(KEK), situation, clock)
    assert again.trust.current.sequence >= done.sequence
    assert {row.id for row in again.authorities.rows} == {row.id for row in core.authorities.rows}
    assert (await issue(again, NAME)).row.authority == svid.row.authority
    entries = await again.store.read(audit.entries)
    assert "restore" in {entry.kind for entry in entries}
    await again.close()


async def test_a_database_that_replicas_use_or_that_holds_no_store_is_left_alone(
    open_core: OpenCore, store_url: str, another: str, tmp_path: Path, clock: FakeClock
) -> None:
    core = await open_core()
    await core.replicas.beat()
    with pytest.raises(ConfigurationError, match="stop all of them first"):
        await go_on(store_url, tmp_path / "data", clock)
    assert [row.id for row in await core.store.read(replica_rows.everybody)] == [core.store.replica]
    with pytest.raises(StoreError, match="let pg_restore fill it first"):
        await go_on(another, tmp_path / "data", clock)
    await dump(store_url, tmp_path / "ca.dump")
    # Which it still can, because nothing was made in it.
    await fill(another, tmp_path / "ca.dump")
    clock.advance(DEAD_LOOKS * BEAT_SECONDS + 1)
    rows = await count(another, "audit")
    with pytest.raises(KeyEncryptionError, match="does not open"):
        await go_on(another, tmp_path / "data", clock, b"w" * 44)
    assert await count(another, "audit") == rows
    assert (await go_on(another, tmp_path / "data", clock)).sequence == int(clock.now())

"""What goes wrong with a store is said in a sentence that tells what to do, and loses no record."""

import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

import postgres_kit
from ca_kit import OpenCore, issue
from featward_ca.core import Core
from featward_ca.errors import StoreError
from featward_ca.health import Health
from featward_ca.settings import embedded_file, embedded_store
from featward_ca.store import audit
from featward_ca.store.audit import Outcome
from featward_ca.store.engines import open_store

NAME = "prod.payments/pricing-api"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def store_url(data: Path) -> str:
    return embedded_store(data)


@pytest.fixture
def locked(core: Core, data: Path) -> Iterator[sqlite3.Connection]:
    """Another process that keeps the file for itself."""
    holding = sqlite3.connect(embedded_file(data), isolation_level=None)
    holding.execute("BEGIN EXCLUSIVE")
    yield holding
    holding.close()


async def test_a_locked_store_says_who_to_look_for_and_goes_on_after(
    core: Core, locked: sqlite3.Connection
) -> None:
    with pytest.raises(StoreError, match="locked for 5 s; end it"):
        await issue(core, NAME)
    problem = await Health(core).problem()
    assert problem is not None
    assert "locked" in problem
    locked.execute("ROLLBACK")
    await issue(core, NAME)
    outcomes = [row.outcome for row in await core.store.read(audit.entries) if row.kind == "attest"]
    assert outcomes == [Outcome.INTENT, Outcome.SIGNED]


async def test_a_damaged_page_says_which_command_helps(open_core: OpenCore, data: Path) -> None:
    core = await open_core()
    for _ in range(50):
        await issue(core, NAME)
    await core.close()
    damage(embedded_file(data))
    with pytest.raises(StoreError, match="featward ca restore"):
        await open_core()


def damage(file: Path) -> None:
    """Overwrite all but the first two pages."""
    content = file.read_bytes()
    file.write_bytes(content[:8192] + b"\xa5" * (len(content) - 8192))


def test_a_file_that_is_no_store_is_told_apart(data: Path, store_url: str) -> None:
    embedded_file(data).write_bytes(b"noise" * 1000)
    with pytest.raises(StoreError, match=r"no store, or its beginning is damaged.*ca restore"):
        open_store(store_url)


async def test_a_server_that_is_gone_fails_what_waits_and_is_found_again(tmp_path: Path) -> None:
    with postgres_kit.running() as server, server.database() as url:
        store = open_store(url)
        look = text("SELECT sequence FROM trust")
        raised = text("UPDATE trust SET sequence = sequence + 1")
        server.process.send_signal(signal.SIGQUIT)
        server.process.wait(30)
        for attempt in (store.read, store.run, store.exclusive):
            with pytest.raises(StoreError, match="PostgreSQL"):
                await attempt(lambda c: c.execute(look).scalar_one())
        server.restart()
        assert await store.read(lambda c: c.execute(look).scalar_one()) == 0
        assert await store.run(lambda c: c.execute(raised).rowcount) == 1
        store.close()


async def test_a_replica_that_hangs_in_a_rotation_is_named_and_holds_up_nothing_else(
    postgresql: postgres_kit.Server, postgresql_url: str
) -> None:
    # Ours comes first, so that a test, or a user, may wait for less.
    store = open_store(f"{postgresql_url}&options=-c%20lock_timeout%3D300ms")
    plain = postgresql_url.replace("+psycopg", "")
    raised = text("UPDATE trust SET sequence = sequence + 1")
    counted = text("UPDATE issuance SET clock_high = clock_high + 1")
    with psycopg.connect(plain) as hanging:
        hanging.execute("SELECT sequence FROM trust FOR UPDATE")
        with pytest.raises(
            StoreError, match="another replica has held the rotation's lock for 10 s"
        ):
            await store.exclusive(lambda c: c.execute(raised).rowcount)
        assert await store.run(lambda c: c.execute(counted).rowcount) == 1
        hanging.rollback()
    assert await store.exclusive(lambda c: c.execute(raised).rowcount) == 1
    store.close()


async def test_that_lock_is_waited_for_ten_seconds(postgresql_url: str) -> None:
    store = open_store(postgresql_url)
    shown = await store.read(lambda c: c.execute(text("SHOW lock_timeout")).scalar_one())
    assert shown == "10s"
    store.close()

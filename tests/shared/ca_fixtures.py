"""Fixtures of a CA on a store of its own, with a clock that only moves when a test says so; a conftest
takes them by importing them.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import postgres_kit
from ca_kit import KEK, FakeClock, OpenCore, a_directory
from featward_ca.core import Core
from featward_ca.directory import Directory
from featward_ca.keys import EncryptedKeyStore
from featward_ca.situation import Situation
from featward_ca.store.engines import open_store
from service_kit import Served, serving


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres_kit.Server]:
    """One server for all tests; every test has a database of its own."""
    with postgres_kit.running() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql: postgres_kit.Server) -> Iterator[str]:
    """An empty database of the one server."""
    with postgresql.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path}/ca.sqlite3"


@pytest.fixture
async def open_core(store_url: str, clock: FakeClock) -> AsyncIterator[OpenCore]:
    """Opens a CA on one store, as often as a test restarts it."""
    opened: list[Core] = []

    async def open_one(
        given: Directory | None = None, *, kek: bytes = KEK, unsafe: bool = False
    ) -> Core:
        situation = Situation.of(given or a_directory(), unsafe_short_lives=unsafe)
        core = await Core.open(open_store(store_url), EncryptedKeyStore(kek), situation, clock)
        opened.append(core)
        return core

    yield open_one
    for core in opened:
        await core.close()


@pytest.fixture
async def core(open_core: OpenCore) -> Core:
    return await open_core()


@pytest.fixture
async def served(core: Core, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Served]:
    """That CA behind its sockets."""
    async with serving(core, clock, tmp_path) as running:
        yield running

"""A CA on a data directory of its own, with a clock that only moves when a test says so."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ca_kit import KEK, FakeClock, OpenCore, a_directory
from featward_ca.core import Core
from featward_ca.directory import Directory
from featward_ca.keys import EncryptedKeyStore
from featward_ca.situation import Situation


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def open_core(tmp_path: Path, clock: FakeClock) -> AsyncIterator[OpenCore]:
    """Opens a CA on one data directory, as often as a test restarts it."""
    opened: list[Core] = []

    async def open_one(
        given: Directory | None = None, *, kek: bytes = KEK, unsafe: bool = False
    ) -> Core:
        situation = Situation.of(given or a_directory(), unsafe_short_lives=unsafe)
        core = await Core.open(tmp_path / "ca.sqlite3", EncryptedKeyStore(kek), situation, clock)
        opened.append(core)
        return core

    yield open_one
    for core in opened:
        await core.close()


@pytest.fixture
async def core(open_core: OpenCore) -> Core:
    return await open_core()

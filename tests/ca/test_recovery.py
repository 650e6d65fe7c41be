"""What a sudden end of the process leaves behind: everything readable, nothing half done."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path

import pytest
from sqlalchemy import event, text

from ca_kit import OpenCore, a_request, issue, outlive_the_dead
from featward_ca.attest import Attested
from featward_ca.core import Core, lock_data
from featward_ca.errors import ConfigurationError, KeyEncryptionError, StoreError
from featward_ca.keys import key_encryption_key
from featward_ca.requests import keys_of
from featward_ca.store import audit, svids
from featward_ca.store.audit import Outcome
from featward_ca.store.engines import open_store
from featward_ca.store.threaded import ThreadStore
from featward_ca.store.writer import LoopStore

# Issues one SVID by token, renews it, and is killed by the kernel between the renewal's intent and
# its outcome.
KILLED = """
import asyncio, os, signal, sys
from ca_kit import KEK, FakeClock, a_directory, a_request, issue
from featward_ca.attest import Attested
from featward_ca.core import Core
from featward_ca.keys import EncryptedKeyStore
from featward_ca.requests import keys_of
from featward_ca.situation import Situation
from featward_ca.store.engines import open_store

async def main():
    situation = Situation.of(a_directory(), unsafe_short_lives=False)
    store = open_store(sys.argv[1])
    core = await Core.open(store, EncryptedKeyStore(KEK), situation, FakeClock())
    directory = situation.directory
    token, _ = await core.tokens.create(directory, "prod.payments/pricing-api", 3600, b"r" * 32)
    first = await issue(core, await core.tokens.attest(directory, token.evidence))
    print(first.row.serial, flush=True)
    proof = await core.renewals.attest(
        directory, first.row.held, keys_of([a_request()])[0]
    )
    EncryptedKeyStore.sign_leaves = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    await issue(core, proof)

asyncio.run(main())
"""


@pytest.fixture
def killed(store_url: str) -> str:
    """A store whose CA was killed; the serial that it was renewing."""
    kit = Path(__file__).parent / "kit"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(kit), *sys.path])}
    command = [sys.executable, "-c", KILLED, store_url]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.strip()


async def test_a_kill_between_intent_and_outcome_leaves_both_readable(
    killed: str, open_core: OpenCore
) -> None:
    core = await open_core()
    await outlive_the_dead(core)
    rows = await core.store.read(audit.entries)
    by_serial = [row for row in rows if row.serial == rows[-1].serial]
    assert [row.outcome for row in by_serial] == [Outcome.INTENT, Outcome.INTERRUPTED]
    assert [row.outcome for row in rows if row.serial == killed] == [Outcome.INTENT, Outcome.SIGNED]


async def test_a_renewal_that_was_cut_off_is_not_taken_for_a_clone(
    killed: str, open_core: OpenCore
) -> None:
    core = await open_core()
    await outlive_the_dead(core)
    key = keys_of([csr := a_request()])[0]
    row = await core.store.read(lambda connection: svids.find(connection, killed))
    assert row
    proof = await core.renewals.attest(core.situation.directory, row.held, key)
    assert isinstance(proof, Attested)
    await issue(core, proof, csr)


async def test_interrupted_is_said_once(killed: str, open_core: OpenCore) -> None:
    await (await open_core()).close()
    core = await open_core()
    await outlive_the_dead(core)
    outcomes = [row.outcome for row in await core.store.read(audit.entries)]
    assert outcomes.count(Outcome.INTERRUPTED) == 1


async def test_work_that_fails_undoes_itself_and_nothing_else(open_core: OpenCore) -> None:
    core = await open_core()

    def insert(number: int, table: str = "trust") -> Awaitable[int]:
        statement = text(f"INSERT INTO {table} VALUES (:n)")  # noqa: S608  # the table is ours
        return core.store.run(lambda c: c.execute(statement, {"n": number}).rowcount)

    outcomes = await asyncio.gather(
        insert(101),
        insert(102, "nowhere"),
        insert(103),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [int, StoreError, int]
    stored = await core.store.read(
        lambda c: c.execute(text("SELECT sequence FROM trust")).scalars().all()
    )
    assert list(stored)[1:] == [101, 103]


async def test_work_that_comes_in_turn_after_turn_shares_one_transaction(store_url: str) -> None:
    commits: list[object] = []
    store = open_store(store_url)
    assert isinstance(store, LoopStore | ThreadStore)
    event.listen(store._engine, "commit", commits.append)

    async def write_in_turn(turn: int) -> None:
        for _ in range(turn):
            await asyncio.sleep(0)
        await store.run(lambda connection: connection.execute(text("SELECT 1")).scalar())

    await asyncio.gather(*(write_in_turn(turn) for turn in range(10)))
    assert len(commits) == 1
    store.close()


def test_a_second_ca_on_one_data_directory_is_refused(tmp_path: Path) -> None:
    held = lock_data(tmp_path)
    with pytest.raises(ConfigurationError, match="another CA is running"):
        lock_data(tmp_path)
    os.close(held)


def test_the_key_encryption_key_is_made_at_the_first_start_alone(tmp_path: Path) -> None:
    file, data = tmp_path / "keys" / "kek", tmp_path / "data"
    with pytest.raises(KeyEncryptionError, match=r"no folder .*/keys for .*mkdir"):
        key_encryption_key(file, data, first_start=True)
    file.parent.mkdir()
    made, fresh = key_encryption_key(file, data, first_start=True)
    assert fresh
    assert file.stat().st_mode & 0o777 == 0o600
    assert key_encryption_key(file, data, first_start=True) == (made, False)
    file.unlink()
    with pytest.raises(KeyEncryptionError, match="stay shut"):
        key_encryption_key(file, data, first_start=False)


def test_a_key_encryption_key_that_protects_nothing_is_refused(tmp_path: Path) -> None:
    file, data = tmp_path / "kek", tmp_path / "data"
    file.write_text("k" * 44)
    file.chmod(0o640)
    with pytest.raises(KeyEncryptionError, match="chmod 600"):
        key_encryption_key(file, data, first_start=False)
    file.chmod(0o600)
    file.write_text("short")
    with pytest.raises(KeyEncryptionError, match="fewer than 32"):
        key_encryption_key(file, data, first_start=False)
    with pytest.raises(KeyEncryptionError, match="inside of the data directory"):
        key_encryption_key(data / "kek", data, first_start=True)


def test_the_key_encryption_key_may_come_from_the_environment(tmp_path: Path) -> None:
    given = key_encryption_key(
        None, tmp_path, first_start=True, environ={"FEATWARD_CA_KEK": "e" * 40}
    )
    assert given == (b"e" * 40, False)
    with pytest.raises(KeyEncryptionError, match="--kek-file"):
        key_encryption_key(None, tmp_path, first_start=True, environ={})


async def test_every_stored_key_is_encrypted(core: Core) -> None:
    rows = core.authorities.rows
    assert all(
        row.key and b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d" in row.key for row in rows
    )

"""Backups made under load, and what a restored store remembers and forgets."""

import asyncio
import errno
import os
import sqlite3
from pathlib import Path

import pytest

from ca_kit import KEK, FakeClock, a_directory, issue
from featward_ca.core import Core
from featward_ca.errors import KeyEncryptionError, StoreError
from featward_ca.keys import EncryptedKeyStore
from featward_ca.restore import Restored, restore
from featward_ca.settings import HOUR, embedded_file, embedded_store
from featward_ca.situation import Situation
from featward_ca.store import audit
from featward_ca.store.copy import Copy, copy
from featward_ca.store.engines import open_store

NAME = "prod.payments/pricing-api"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store_url(data: Path) -> str:
    """PostgreSQL has programs of its own for this."""
    data.mkdir()
    return embedded_store(data)


async def backup(core: Core, target: Path) -> Copy:
    assert core.store.file is not None
    return await asyncio.to_thread(copy, core.store.file, target)


async def put_back(
    file: Path, data: Path, clock: FakeClock, *, kek: bytes = KEK, replace: bool = False
) -> Restored:
    return await asyncio.to_thread(restore, file, data, kek, clock, replace=replace)


async def reopen(data: Path, clock: FakeClock) -> Core:
    situation = Situation.of(a_directory(), unsafe_short_lives=False)
    return await Core.open(
        open_store(embedded_store(data)), EncryptedKeyStore(KEK), situation, clock
    )


async def test_a_backup_under_load_is_one_moment_of_the_store(
    core: Core, tmp_path: Path, clock: FakeClock
) -> None:
    before = [await issue(core, NAME) for _ in range(20)]
    stop = asyncio.Event()

    async def load() -> int:
        count = 0
        while not stop.is_set():
            await issue(core, NAME)
            count += 1
        return count

    loads = [asyncio.create_task(load()) for _ in range(8)]
    copies = [await backup(core, tmp_path / f"{number}.backup") for number in range(5)]
    stop.set()
    assert sum(await asyncio.gather(*loads)) > 0
    assert all(made.sequence == core.trust.current.sequence for made in copies)
    for number in range(5):
        stored = sqlite3.connect(tmp_path / f"{number}.backup")
        assert stored.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        known = {serial for (serial,) in stored.execute("SELECT serial FROM svid")}
        assert known >= {svid.row.serial for svid in before}
        # Each SVID came with its intent, and each certificate with its outcome.
        rows = "SELECT count(*) FROM audit WHERE outcome = ? AND profile = 'svid'"
        assert stored.execute(rows, ("intent",)).fetchone() == (len(known),)
        signed = stored.execute("SELECT count(*) FROM svid WHERE certificate NOT NULL").fetchone()
        assert stored.execute(rows, ("signed",)).fetchone() == signed
        stored.close()
    await put_back(tmp_path / "4.backup", tmp_path / "elsewhere", clock)
    again = await reopen(tmp_path / "elsewhere", clock)
    await issue(again, NAME)
    entries = await again.store.read(audit.entries)
    assert "restore" in {entry.kind for entry in entries}
    await again.close()


async def test_the_sequence_goes_on_above_all_that_was_announced(
    core: Core, tmp_path: Path, data: Path, clock: FakeClock
) -> None:
    await backup(core, tmp_path / "backup")
    for _ in range(3):
        await core.store.run(
            lambda c: c.exec_driver_sql("UPDATE trust SET sequence = sequence + 1")
        )
    seen = core.trust.current.sequence + 3
    await core.close()
    done = await put_back(tmp_path / "backup", data, clock, replace=True)
    assert done.sequence > seen
    clock.advance(HOUR)
    assert (await put_back(tmp_path / "backup", tmp_path / "new", clock)).sequence == clock.now()


async def test_what_was_revoked_or_banned_since_stays_so(
    core: Core, tmp_path: Path, data: Path, clock: FakeClock
) -> None:
    await backup(core, tmp_path / "backup")
    stolen = core.authorities.active("prod.risk").row.id
    await core.store.run(
        lambda c: c.exec_driver_sql(
            "UPDATE authority SET state = 'revoked', key = NULL WHERE id = ?", (stolen,)
        )
    )
    await core.store.run(
        lambda c: c.exec_driver_sql("INSERT INTO ban VALUES ('b','serial','5e','r','me',0,NULL)")
    )
    await core.close()
    await put_back(tmp_path / "backup", data, clock, replace=True)
    again = await reopen(data, clock)
    assert stolen not in {row.id for row in again.authorities.rows}
    stored = sqlite3.connect(embedded_file(data))
    assert stored.execute(
        "SELECT state, key FROM authority WHERE id = ?", (stolen,)
    ).fetchall() == [("revoked", None)]
    assert stored.execute("SELECT value FROM ban").fetchall() == [("5e",)]
    stored.close()
    await again.close()


async def test_no_join_token_of_a_backup_is_good_again(
    core: Core, tmp_path: Path, clock: FakeClock
) -> None:
    directory = core.situation.directory
    await core.tokens.create(directory, NAME, HOUR, b"r" * 32)
    await backup(core, tmp_path / "backup")
    await put_back(tmp_path / "backup", tmp_path / "new", clock)
    stored = sqlite3.connect(embedded_file(tmp_path / "new"))
    assert stored.execute("SELECT count(*) FROM join_token").fetchone() == (0,)
    stored.close()


async def test_a_damaged_store_is_moved_aside_and_its_loss_is_said(
    core: Core, tmp_path: Path, data: Path, clock: FakeClock
) -> None:
    await backup(core, tmp_path / "backup")
    await core.close()
    embedded_file(data).write_bytes(b"noise" * 1000)
    done = await put_back(tmp_path / "backup", data, clock, replace=True)
    assert done.lost is not None
    assert done.aside is not None
    assert done.aside.read_bytes().startswith(b"noise")
    await (await reopen(data, clock)).close()


async def test_a_restore_that_is_refused_changes_nothing(
    core: Core, tmp_path: Path, data: Path, clock: FakeClock
) -> None:
    file = tmp_path / "backup"
    await backup(core, file)
    with pytest.raises(StoreError, match="overwrites nothing"):
        await backup(core, file)
    await core.close()
    broken = tmp_path / "broken"
    broken.write_bytes(file.read_bytes()[: 4096 * 9])
    before = embedded_file(data).read_bytes()
    for given, kek, replace, said in (
        (file, KEK, False, "--replace"),
        (file, b"w" * 44, True, "does not open"),
        (broken, KEK, True, "damaged"),
        (tmp_path / "none", KEK, True, "no file"),
    ):
        with pytest.raises((StoreError, KeyEncryptionError), match=said):
            await put_back(given, data, clock, kek=kek, replace=replace)
    assert embedded_file(data).read_bytes() == before
    assert set(os.listdir(data)) == {"ca.sqlite3", "lock"}


async def test_a_place_that_can_not_be_written_is_said_and_nothing_else_is_touched(
    core: Core, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for place, why in {
        "file/one.backup": "Not a directory",
        "none/one.backup": "No such file",
        "x" * 300: "File name too long",
    }.items():
        with pytest.raises(StoreError, match=f"can't be written: {why}"):
            await backup(core, tmp_path / place)
    # Another one's, which is under way.
    (tmp_path / ".one.backup.partial").write_text("half")
    with pytest.raises(StoreError, match=r"under way, or was killed.*\.one\.backup\.partial"):
        await backup(core, tmp_path / "one.backup")
    assert (tmp_path / ".one.backup.partial").read_text() == "half"


async def test_what_hinders_the_clearing_away_hides_nothing(
    core: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that turned read-only."""

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", read_only)
    monkeypatch.setattr(Path, "rename", read_only)
    with pytest.raises(StoreError, match="can't be written: Read-only file system"):
        await backup(core, tmp_path / "one.backup")

"""A full disk stops issuing in a sentence that says what to do, until there is room, and loses no record."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

import full_disk
import postgres_kit
from ca_kit import OpenCore, issue
from featward_ca.core import Core
from featward_ca.errors import StoreError
from featward_ca.settings import embedded_file, embedded_store
from featward_ca.store import audit, svids
from featward_ca.store.audit import Outcome

NAME = "prod.payments/pricing-api"
FULL = "the store could not write: the disk is full; make room, nothing that was answered is lost"
REFUSED = "the store could not write: the disk failed or refused to let the file grow"
POSTGRESQL = "PostgreSQL's disk is full; make room, nothing that was answered is lost"


def issued_on(data: Path, way: str, start: list[str]) -> tuple[str, list[str]]:
    """What a program said that met the end of the disk, and the serials that it has answered."""
    data.mkdir(exist_ok=True)
    issuing = [sys.executable, full_disk.__file__, embedded_store(data), way]
    # The file system ends with the program, so what is on it is copied before.
    copying = f'"$@" && cp {data}/ca.sqlite3* "$0"'
    command = [*start, "sh", "-c", copying, str(data.parent), *issuing]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, serials = done.stdout.strip().splitlines()
    return said, serials.split()


def assert_all_there(data: Path, serials: list[str]) -> None:
    with contextlib.closing(sqlite3.connect(data.parent / embedded_file(data).name)) as stored:
        known = dict(stored.execute("SELECT serial, certificate FROM svid"))
        assert all(known[serial] for serial in serials)
        signed = {
            row[0] for row in stored.execute("SELECT serial FROM audit WHERE outcome='signed'")
        }
        assert signed >= set(serials)
        assert stored.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_full_disk_stops_issuing_until_there_is_room_and_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    start = full_disk.mounted(tmp_path / "data", "8m")
    way = "pages" if start is None else "disk"
    said, serials = issued_on(tmp_path / "data", way, start or [])
    assert said.startswith(FULL), said
    assert len(serials) > 1
    assert_all_there(tmp_path / "data", serials)


@pytest.mark.parametrize(("way", "sentence"), [("limit", REFUSED), ("pages", FULL)])
def test_a_file_that_may_not_grow_stops_issuing_in_the_same_way(
    tmp_path: Path, way: str, sentence: str
) -> None:
    said, serials = issued_on(tmp_path / "data", way, [])
    assert said.startswith(sentence), said
    assert_all_there(tmp_path / "data", serials)


@dataclass(frozen=True)
class SmallDisk:
    """Where a database lies; superusers may write files and run programs as the server."""

    server: postgres_kit.Server
    url: str

    def fill(self) -> None:
        ballast = (
            f"COPY (SELECT repeat('x', 8000) FROM generate_series(1, 100000)) TO '{self._file}'"  # noqa: S608
        )
        with contextlib.suppress(psycopg.errors.DiskFull):
            self.server.execute(ballast)

    def make_room(self) -> None:
        self.server.execute(f"COPY (SELECT 1) TO PROGRAM 'cat && rm {self._file}'")

    @property
    def _file(self) -> str:
        return f"{self.server.folder}/disk/ballast"


class SaidToBeFull(SmallDisk):
    """For where nothing may be mounted: the server itself says what it says of a full disk."""

    def fill(self) -> None:
        self._execute(
            "CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full; END $$"
        )
        self._execute("CREATE TRIGGER say BEFORE INSERT ON svid EXECUTE FUNCTION say()")

    def make_room(self) -> None:
        self._execute("DROP FUNCTION say CASCADE")

    def _execute(self, statement: str) -> None:
        self.server.execute(statement, self.url.split("@/")[1].split("?")[0])


@pytest.fixture
def small_disk() -> Iterator[SmallDisk]:
    """With a database on it, and not the server's own files, which it would not survive."""
    with postgres_kit.running(disk="16m") as server:
        if not server.has_disk:
            with server.database() as url:
                yield SaidToBeFull(server, url)
            return
        place = f"{server.folder}/disk/space"
        server.execute(f"COPY (SELECT 1) TO PROGRAM 'cat && mkdir -m 700 {place}'")
        server.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        # It ends with its server: to drop it is a checkpoint, which may yet meet the full disk.
        server.execute("CREATE DATABASE small TABLESPACE small")
        yield SmallDisk(server, server.address("small"))


@pytest.fixture
def store_url(small_disk: SmallDisk) -> str:
    return small_disk.url


async def issue_for_ever(core: Core, answered: list[str]) -> None:
    while True:
        answered.append((await issue(core, NAME)).row.serial)


async def test_a_full_disk_of_postgresql_says_whose_disk_it_is_and_loses_nothing(
    open_core: OpenCore, small_disk: SmallDisk
) -> None:
    core = await open_core()
    answered = [(await issue(core, NAME)).row.serial]
    small_disk.fill()
    with pytest.raises(StoreError, match=POSTGRESQL):
        await issue_for_ever(core, answered)
    small_disk.make_room()
    answered.append((await issue(core, NAME)).row.serial)
    known = {row.serial: row.certificate for row in await core.store.read(svids.every)}
    assert all(known[serial] for serial in answered)
    entries = await core.store.read(audit.entries)
    assert {one.serial for one in entries if one.outcome is Outcome.SIGNED} >= set(answered)

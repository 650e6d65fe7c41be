"""A disk of a few megabytes that can be filled: a tmpfs that only the program on it sees.

Run as a program it issues on such a disk until the store fails, says what was said, makes room, goes on, and
prints the serials that were answered:

    python full_disk.py STORE disk|pages|limit

`disk` fills the file system that the store lies on. `pages` is for where nothing may be mounted: SQLite is
told that its file may not grow, which it reports as the same failure. `limit` is a quota: the kernel refuses
to let a file of the process grow.
"""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, event, make_url

from ca_kit import KEK, FakeClock, a_directory, issue
from featward_ca.core import Core
from featward_ca.errors import StoreError
from featward_ca.keys import EncryptedKeyStore
from featward_ca.situation import Situation
from featward_ca.store.engines import open_store

__all__ = ["mounted"]

_WITH_ROOM = 2_000_000_000
_LIMIT_BYTES = 3_000_000
_BALLAST = "ballast"
_MOUNT = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'
NAME = "prod.payments/pricing-api"
Room = Callable[[bool], None]


def mounted(folder: Path, size: str, *options: str) -> list[str] | None:
    """What starts a program, written after it, that has a file system of this size in `folder`; None where
    this machine lets us mount nothing.
    """
    unshare = ["unshare", "--mount"]
    if os.geteuid():
        unshare += ["--map-root-user"]
    told = ",".join([f"size={size}", *options])
    command = [*unshare, "sh", "-c", _MOUNT, "sh", told, str(folder)]
    done = subprocess.run([*command, "true"], capture_output=True, check=False)
    return None if done.returncode else command


def _disk(folder: Path) -> Room:
    def room(there: bool) -> None:
        if there:
            (folder / _BALLAST).unlink()
            return
        with (folder / _BALLAST).open("wb", buffering=0) as ballast:
            left = os.statvfs(folder)
            # Enough is left for some SVIDs, so that it is they who fill it.
            ballast.write(bytes(left.f_bavail * left.f_frsize - 500_000))

    return room


def _pages(_folder: Path) -> Room:
    most = _WITH_ROOM

    @event.listens_for(Engine, "begin")
    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {most}")

    def room(there: bool) -> None:
        nonlocal most
        most = _WITH_ROOM if there else 1

    return room


def _limit(_folder: Path) -> Room:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)

    def room(there: bool) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most if there else _LIMIT_BYTES, most))

    return room


WAYS: dict[str, Callable[[Path], Room]] = {"disk": _disk, "pages": _pages, "limit": _limit}


async def main(url: str, way: str) -> None:
    room = WAYS[way](Path(make_url(url).database or "").parent)
    situation = Situation.of(a_directory(), unsafe_short_lives=False)
    core = await Core.open(open_store(url), EncryptedKeyStore(KEK), situation, FakeClock())
    room(False)
    answered = []
    try:
        while True:
            answered.append((await issue(core, NAME)).row.serial)
    except StoreError as error:
        print(error)
    room(True)
    answered.append((await issue(core, NAME)).row.serial)
    await core.close()
    print(*answered)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

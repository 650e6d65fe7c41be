"""kill -9 at every commit of a start that finds a rotation due by its age, or authorities that are over."""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from clocked_ca import Ca
from featward.authority.v1 import authority_pb2, authority_pb2_grpc
from featward_ca.store.read_only import read_only
from mortal_ca import COUNTED

AdminStub: Any = authority_pb2_grpc.AuthorityServiceStub
PROGRAM = Path(__file__).parents[2] / "shared" / "mortal_ca.py"
MANIFESTS = """
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec: {trustDomain: prod.acme.example, svidTTL: 30s}
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.payments}
"""
DAY = 86_400
# What begins by the schedule two days before the end of a week, and what is over after it.
DUE, OVER = 11 * DAY // 2, 8 * DAY
OWNERS = ["platform", "prod.default", "prod.payments", "root"]
# Commits of such a start: its own SVID, and for three owners the journal, the key, the certificate, and what
# ends. Every second one is killed; test_kills.py does it at each of a single rotation.
DUE_COMMITS, OVER_COMMITS = 19, 22
OVER_CASE = (OVER, OVER_COMMITS, "retired")
CASES = [
    *((DUE, fatal, "old") for fatal in range(2, DUE_COMMITS, 2)),
    *((OVER, fatal, "retired") for fatal in range(1, OVER_COMMITS, 2)),
]
HALVES = (
    "SELECT count(*) FROM audit a WHERE outcome IN ('intent', 'asked') AND NOT EXISTS"
    " (SELECT 1 FROM audit b WHERE b.request = a.request AND b.outcome NOT IN ('intent', 'asked')"
    " AND coalesce(b.serial, '') = coalesce(a.serial, ''))"
)


@pytest.fixture(scope="module")
def founded() -> Iterator[Path]:
    """The folder of a CA that ran once, today."""
    with tempfile.TemporaryDirectory(prefix="founded-") as name:
        folder = Path(name)
        (folder / "manifests").mkdir()
        (folder / "manifests" / "all.yaml").write_text(MANIFESTS)
        with running(folder, 0):
            pass
        yield folder


@pytest.fixture
def folder(founded: Path) -> Iterator[Path]:
    """A copy of it, with a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="away-") as name:
        shutil.copytree(founded, name, dirs_exist_ok=True)
        (Path(name) / "data" / "armed").touch()
        yield Path(name)


def start(folder: Path, later: int, fatal: int = 0) -> subprocess.Popen[str]:
    """A CA whose clock is so many seconds ahead, that dies before this commit."""
    away = Ca(folder)
    away.set_clock(later)
    command = [sys.executable, str(PROGRAM), *(str(folder / one) for one in ("data", "manifests"))]
    command += [str(folder / "kek"), str(fatal), "before", "127.0.0.1:0", ""]
    with (folder / "log").open("a") as log:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=away.environment
        )


@contextmanager
def running(folder: Path, later: int) -> Iterator[None]:
    with start(folder, later) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n", (folder / "log").read_text()[-2000:]
            yield
        finally:
            process.send_signal(signal.SIGTERM)


def settled(folder: Path) -> dict[str, str]:
    """The active authority of each owner, when nothing is under way any more."""
    end = time.monotonic() + 30
    with grpc.insecure_channel(f"unix:{folder}/data/admin.sock") as channel:
        stub = AdminStub(channel)
        while time.monotonic() < end:
            shown = stub.Show(authority_pb2.ShowRequest(), timeout=10, wait_for_ready=True)
            active = {one.owner: one.id for one in shown.authorities if one.state == "active"}
            if not shown.rotations and sorted(active) == OWNERS:
                return active
            time.sleep(0.1)
    raise AssertionError(f"still under way: {shown.rotations}")


def states(folder: Path) -> dict[object, object]:
    """Of the generations of the business unit."""
    query = "SELECT generation, state FROM authority WHERE owner = 'prod.payments'"
    return {row[0]: row[1] for row in stored(folder, query)}


def stored(folder: Path, query: str) -> list[tuple[object, ...]]:
    with read_only(folder / "data" / "ca.sqlite3") as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


@pytest.mark.parametrize(("later", "commits", "before"), [(DUE, DUE_COMMITS, "old"), OVER_CASE])
def test_the_cases_cover_a_start_that_nobody_kills(
    folder: Path, later: int, commits: int, before: str
) -> None:
    with running(folder, later):
        settled(folder)
        counted = int((folder / "data" / COUNTED).read_text())
    assert states(folder) == {1: before, 2: "active"}
    assert commits - 1 <= counted <= commits


@pytest.mark.parametrize(("later", "fatal", "before"), CASES)
def test_a_kill_at_a_commit_of_a_start_is_recovered_from(
    folder: Path, later: int, fatal: int, before: str
) -> None:
    with start(folder, later, fatal) as process:
        assert process.wait(20) == -signal.SIGKILL
    with running(folder, later):
        settled(folder)
    assert states(folder) == {1: before, 2: "active"}
    assert stored(folder, HALVES) == [(0,)]

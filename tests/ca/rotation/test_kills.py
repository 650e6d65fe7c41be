"""kill -9 before and after every commit of a whole rotation: the next start goes on from there."""

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from featward.authority.v1 import authority_pb2, authority_pb2_grpc
from featward_ca.store.read_only import read_only
from mortal_ca import COUNTED

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
UNIT = "prod.payments"
# Rows of the audit table around the call, the journal, T1, T2's two, T3, T4 and T5: each as one commit. The
# test below holds the matrix to the count of a rotation that nobody kills.
LAST = 10
COMMITS = range(1, LAST + 1)
# What is stored after one commit is stored before the next, so a database, which takes longer, has every state
# with half of the kills.
CASES = [
    *(("sqlite", fatal, when) for fatal in COMMITS for when in ("before", "after")),
    *(("postgresql", fatal, "before") for fatal in COMMITS),
    ("postgresql", LAST, "after"),
]
HALVES = (
    "SELECT count(*) FROM audit a WHERE outcome IN ('intent', 'asked') AND NOT EXISTS"
    " (SELECT 1 FROM audit b WHERE b.request = a.request AND b.outcome IN"
    " ('signed', 'done', 'failed', 'refused', 'interrupted')"
    " AND coalesce(b.serial, '') = coalesce(a.serial, ''))"
)
AdminStub: Any = authority_pb2_grpc.AuthorityServiceStub


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, for the sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mortal-") as name:
        folder = Path(name)
        (folder / "manifests").mkdir()
        (folder / "manifests" / "all.yaml").write_text(MANIFESTS)
        yield folder


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, folder: Path) -> Path | str:
    """Where the state of the CA is: in a file of its data folder, or in a database."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return folder / "data" / "ca.sqlite3"


@contextlib.contextmanager
def ca(
    folder: Path, store: Path | str, fatal: int = 0, when: str = "before"
) -> Iterator[subprocess.Popen[str]]:
    """A CA that is ready."""
    command = [sys.executable, str(PROGRAM), str(folder / "data"), str(folder / "manifests")]
    command += [str(folder / "kek"), str(fatal), when, "127.0.0.1:0", ""]
    command += [store] if isinstance(store, str) else []
    with (
        (folder / "log").open("a") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n", (folder / "log").read_text()[-2000:]
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def admin(folder: Path) -> Iterator[Any]:
    with grpc.insecure_channel(f"unix:{folder}/data/admin.sock") as channel:
        yield AdminStub(channel)


def rotate(folder: Path) -> None:
    """Ask for a rotation; the CA may die of it."""
    (folder / "data" / "armed").touch()
    with admin(folder) as stub, contextlib.suppress(grpc.RpcError):
        stub.Rotate(authority_pb2.RotateRequest(owner=UNIT, generation=2), timeout=20)


def settled(folder: Path) -> authority_pb2.ShowResponse:
    """What the CA shows when nothing is under way any more."""
    end = time.monotonic() + 20
    with admin(folder) as stub:
        while time.monotonic() < end:
            shown: authority_pb2.ShowResponse = stub.Show(
                authority_pb2.ShowRequest(), timeout=10, wait_for_ready=True
            )
            if not shown.rotations:
                return shown
            time.sleep(0.1)
    raise AssertionError(f"still under way: {shown.rotations}")


def generations(store: Path | str) -> dict[int, str]:
    query = f"SELECT generation, state FROM authority WHERE owner = '{UNIT}' ORDER BY 1"  # noqa: S608  # ours
    with read_only(store) as connection:
        return {row[0]: row[1] for row in connection.exec_driver_sql(query)}


def halves(store: Path | str) -> int:
    """Rows of the audit table that begin something whose outcome is in none."""
    with read_only(store) as connection:
        count: int = connection.exec_driver_sql(HALVES).scalar_one()
        return count


def test_the_matrix_covers_every_commit_of_a_rotation(folder: Path, store: Path | str) -> None:
    with ca(folder, store):
        rotate(folder)
        settled(folder)
        counted = int((folder / "data" / COUNTED).read_text())
    assert generations(store) == {1: "revoked", 2: "active"}
    assert LAST - 1 <= counted <= LAST


@pytest.mark.parametrize(("store", "fatal", "when"), CASES, indirect=["store"])
def test_a_kill_at_any_commit_is_recovered_from(
    folder: Path, store: Path | str, fatal: int, when: str
) -> None:
    with ca(folder, store, fatal, when) as process:
        with admin(folder) as stub:
            before = stub.Show(authority_pb2.ShowRequest(), timeout=10).sequence
        rotate(folder)
        process.wait(20)
        assert process.returncode == -signal.SIGKILL
    # A key that was made is the one that is signed, and there is never a second one.
    at_the_kill = generations(store)
    (folder / "data" / "armed").unlink()
    with ca(folder, store):
        shown = settled(folder)
        assert shown.sequence >= before
        # Asked for again with the same generation it is done once.
        rotate(folder)
        shown = settled(folder)
        # Beside replicas it takes some looks until who was killed is taken for dead.
        end = time.monotonic() + 10
        while halves(store) and time.monotonic() < end:
            time.sleep(0.2)
    assert generations(store) == {1: "revoked", 2: "active"}, at_the_kill
    active = [one for one in shown.authorities if one.state == "active"]
    assert sorted(one.owner for one in active) == ["platform", "prod.default", UNIT, "root"]
    assert halves(store) == 0

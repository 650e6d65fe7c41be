"""kill -9 before and after every commit of a whole rotation: the next start goes on from there."""

import contextlib
import signal
import sqlite3
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
AdminStub: Any = authority_pb2_grpc.AuthorityServiceStub


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, for the sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mortal-") as name:
        folder = Path(name)
        (folder / "manifests").mkdir()
        (folder / "manifests" / "all.yaml").write_text(MANIFESTS)
        yield folder


@contextlib.contextmanager
def ca(folder: Path, fatal: int = 0, when: str = "before") -> Iterator[subprocess.Popen[str]]:
    """A CA that is ready."""
    command = [sys.executable, str(PROGRAM), str(folder / "data"), str(folder / "manifests")]
    command += [str(folder / "kek"), str(fatal), when]
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


def generations(folder: Path) -> dict[int, str]:
    with sqlite3.connect(folder / "data" / "ca.sqlite3") as store:
        rows = store.execute(
            "SELECT generation, state FROM authority WHERE owner = ? ORDER BY 1", (UNIT,)
        )
        return dict(rows.fetchall())


def test_the_matrix_covers_every_commit_of_a_rotation(folder: Path) -> None:
    with ca(folder):
        rotate(folder)
        settled(folder)
        counted = int((folder / "data" / COUNTED).read_text())
    assert generations(folder) == {1: "revoked", 2: "active"}
    assert LAST - 1 <= counted <= LAST


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fatal", range(1, LAST + 1))
def test_a_kill_at_any_commit_is_recovered_from(folder: Path, fatal: int, when: str) -> None:
    with ca(folder, fatal, when) as process:
        with admin(folder) as stub:
            before = stub.Show(authority_pb2.ShowRequest(), timeout=10).sequence
        rotate(folder)
        process.wait(20)
        assert process.returncode == -signal.SIGKILL
    # A key that was made is the one that is signed, and there is never a second one.
    at_the_kill = generations(folder)
    (folder / "data" / "armed").unlink()
    with ca(folder):
        shown = settled(folder)
        assert shown.sequence >= before
        # Asked for again with the same generation it is done once.
        rotate(folder)
        shown = settled(folder)
    assert generations(folder) == {1: "revoked", 2: "active"}, at_the_kill
    active = [one for one in shown.authorities if one.state == "active"]
    assert sorted(one.owner for one in active) == ["platform", "prod.default", UNIT, "root"]
    with sqlite3.connect(folder / "data" / "ca.sqlite3") as store:
        (halves,) = store.execute(
            "SELECT count(*) FROM audit a WHERE outcome IN ('intent', 'asked') AND NOT EXISTS"
            " (SELECT 1 FROM audit b WHERE b.request = a.request AND b.outcome IN"
            " ('signed', 'done', 'failed', 'refused', 'interrupted')"
            " AND coalesce(b.serial, '') = coalesce(a.serial, ''))"
        ).fetchone()
    assert halves == 0

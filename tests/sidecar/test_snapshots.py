"""Snapshots kept on disk, and reading the first fields of one."""

import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featward.policy.v1 import snapshot_pb2
from featward_sidecar.errors import SnapshotError
from featward_sidecar.snapshots import OLDEST_SECONDS, Header, SnapshotFolder, read_header

WORKLOAD = "spiffe://prod.acme.example/bu/payments/svc/feast"


def snapshot(**values: object) -> bytes:
    message = snapshot_pb2.Snapshot(
        format=1,
        engine_version="0.1.0",
        environment="prod",
        trust_domain="prod.acme.example",
        workload=WORKLOAD,
    )
    message.feature_sets.add(namespace="ml", name="driver-stats")
    message.MergeFrom(snapshot_pb2.Snapshot(**values))  # type: ignore[arg-type]
    return message.SerializeToString(deterministic=True)


class Clock:
    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path, clock: Clock) -> SnapshotFolder:
    return SnapshotFolder(tmp_path / "snapshots", clock)


def put(folder: SnapshotFolder, digest: str, data: bytes = b"x") -> None:
    folder.incoming.write_bytes(data)
    folder.keep(digest)


def test_the_newest_comes_back_under_its_digest(folder: SnapshotFolder, clock: Clock) -> None:
    put(folder, "aa", b"old")
    clock.now += 1
    put(folder, "bb", b"new")
    assert folder.newest() == ("bb", b"new")


def test_the_current_and_the_previous_one_are_kept_and_no_more(
    folder: SnapshotFolder, clock: Clock, tmp_path: Path
) -> None:
    for digest in ("aa", "bb", "cc"):
        clock.now += 1
        put(folder, digest)
    assert sorted(os.listdir(tmp_path / "snapshots")) == ["bb.snapshot", "cc.snapshot"]


def test_never_more_than_two_lie_there_while_one_is_written(
    folder: SnapshotFolder, clock: Clock, tmp_path: Path
) -> None:
    for digest in ("aa", "bb"):
        clock.now += 1
        put(folder, digest)
    folder.write(b"whole")
    assert sorted(os.listdir(tmp_path / "snapshots")) == ["bb.snapshot", "incoming"]
    folder.keep("cc")
    assert sorted(os.listdir(tmp_path / "snapshots")) == ["bb.snapshot", "cc.snapshot"]
    assert folder.newest() == ("cc", b"whole")


def test_what_could_not_be_written_leaves_nothing_half(
    folder: SnapshotFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, "aa", b"good")

    def half(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space"):
        folder.write(b"whole")
    assert not folder.incoming.exists()
    assert folder.newest() == ("aa", b"good")


def test_what_is_kept_is_for_our_user_only(folder: SnapshotFolder, tmp_path: Path) -> None:
    put(folder, "aa")
    assert (tmp_path / "snapshots" / "aa.snapshot").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "snapshots").stat().st_mode & 0o777 == 0o700


def test_one_that_is_too_old_is_refused(folder: SnapshotFolder, clock: Clock) -> None:
    put(folder, "aa")
    clock.now += OLDEST_SECONDS + 60
    with pytest.raises(SnapshotError, match=r"7\.0 days ago, more than 7"):
        folder.newest()


def test_one_that_was_in_use_meanwhile_is_not_old(folder: SnapshotFolder, clock: Clock) -> None:
    put(folder, "aa")
    clock.now += OLDEST_SECONDS
    folder.confirm("aa")
    clock.now += OLDEST_SECONDS
    assert folder.newest()[0] == "aa"


def test_none_kept_says_so(folder: SnapshotFolder) -> None:
    with pytest.raises(SnapshotError, match="no snapshot was kept"):
        folder.newest()


def test_a_compilation_that_was_cut_off_leaves_the_last_one(folder: SnapshotFolder) -> None:
    put(folder, "aa", b"good")
    folder.incoming.write_bytes(b"half")
    assert folder.newest() == ("aa", b"good")


def test_the_header_is_read_without_the_rest() -> None:
    assert read_header(snapshot()) == Header("prod", "prod.acme.example", WORKLOAD)


@given(st.text(max_size=200), st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_every_header_is_read_as_protobuf_reads_it(
    environment: str, domain: str, workload: str
) -> None:
    data = snapshot(environment=environment, trust_domain=domain, workload=workload)
    expected = snapshot_pb2.Snapshot.FromString(data)
    assert read_header(data) == Header(
        expected.environment, expected.trust_domain, expected.workload
    )


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_and_nothing_else(data: bytes) -> None:
    with suppress(SnapshotError):
        read_header(data)

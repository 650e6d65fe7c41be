"""Policy from a folder, with the real compiler in its own process and the engine's real snapshot reader."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from featward_engine import Policy
from featward_sidecar.agent_status import AgentStatus
from featward_sidecar.compiler import Compiler
from featward_sidecar.errors import ManifestsError, SidecarError
from featward_sidecar.folder import FolderWatch
from featward_sidecar.policy import PolicyKeeper
from featward_sidecar.snapshots import SnapshotFolder

WORKLOAD = "prod.payments/feast"


class Sink:
    """Takes what the Proxy takes, and lets a test wait for it."""

    def __init__(self) -> None:
        self.applied: list[Policy] = []
        self.news = threading.Condition()

    def set_policy(self, snapshot: bytes) -> str:
        with self.news:
            self.applied.append(Policy(snapshot))
            self.news.notify_all()
        return self.applied[-1].digest

    def wait(self, count: int) -> Policy:
        with self.news:
            assert self.news.wait_for(lambda: len(self.applied) >= count, timeout=30)
        return self.applied[count - 1]


class Published:
    """The agent's status as it was published last."""

    def __init__(self, status: AgentStatus) -> None:
        self.now: dict[str, Any] = {}
        self.news = threading.Condition()
        status.publish_to(self._take)

    def _take(self, document: bytes) -> None:
        with self.news:
            self.now = json.loads(document)
            self.news.notify_all()

    def wait(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        with self.news:
            assert self.news.wait_for(lambda: condition(self.now["policy"]), timeout=30)
        policy: dict[str, Any] = self.now["policy"]
        return policy


class Watch(FolderWatch):
    """Lets a test wait for looks at the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.looks = 0
        self.news = threading.Condition()

    def changed(self) -> bool:
        found = super().changed()
        with self.news:
            self.looks += 1
            self.news.notify_all()
        return found

    def wait(self, looks: int) -> None:
        """Wait for so many more; what follows from all but the last has then been done."""
        with self.news:
            enough = self.looks + looks
            assert self.news.wait_for(lambda: self.looks >= enough, timeout=30)


class Setup:
    """A keeper with its folders."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.status = AgentStatus(WORKLOAD, "ca:1", str(folder))
        self.published = Published(self.status)
        self.kept = SnapshotFolder(state)
        self.watch = Watch(folder)
        self.keeper = PolicyKeeper(Compiler(folder, WORKLOAD), self.watch, self.kept, self.status)
        self.sink = Sink()
        self.thread = threading.Thread(
            target=self.keeper.run, args=(self.sink, "prod.acme.example"), daemon=True
        )


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[Path], Setup]]:
    made: list[Setup] = []

    def make(folder: Path) -> Setup:
        made.append(Setup(folder, tmp_path / "snapshots"))
        return made[-1]

    yield make
    for setup in made:
        setup.keeper.stop()
        if setup.thread.is_alive():
            setup.thread.join(10)


Make = Callable[[Path], Setup]
Manifests = Callable[..., Path]


def may_read(policy: Policy, feature: str) -> bool:
    request = {
        "identity": "spiffe://prod.acme.example/bu/payments/svc/pricing-api",
        "features": [feature],
        "service": None,
        "rows": 1,
        "now": time.time(),
    }
    decision: dict[str, Any] = json.loads(policy.decide(json.dumps(request).encode()))
    return bool(decision["outcome"] == "allow")


def test_the_folder_is_compiled_for_the_workload_of_the_configuration(
    manifests: Manifests, make: Make
) -> None:
    found = make(manifests()).keeper.find()
    assert found.header.workload == "spiffe://prod.acme.example/bu/payments/svc/feast"
    assert found.header.trust_domain == "prod.acme.example"
    assert may_read(Policy(found.snapshot), "driver_hourly_stats:conv_rate")


def test_an_edit_is_applied_and_kept(manifests: Manifests, make: Make) -> None:
    setup = make(manifests())
    setup.thread.start()
    assert not may_read(setup.sink.wait(1), "driver_hourly_stats:acc_rate")
    manifests(features='"driver_hourly_stats:acc_rate"')
    edited = setup.sink.wait(2)
    assert may_read(edited, "driver_hourly_stats:acc_rate")
    setup.published.wait(lambda policy: policy["source"] == "manifests")
    setup.keeper.stop()
    setup.thread.join(10)
    assert setup.kept.newest()[0] == edited.digest


def test_a_bad_edit_is_refused_counted_and_explained_and_the_next_good_one_applies(
    manifests: Manifests, make: Make
) -> None:
    setup = make(manifests())
    setup.thread.start()
    good = setup.sink.wait(1)
    manifests(features='"driver_hourly_stats:conv_rat"')
    status = setup.published.wait(lambda policy: policy["refused_edits"] == 1)
    status = setup.published.wait(lambda policy: policy["last_error"] is not None)
    assert "sets.yaml:" in status["last_error"]["message"]
    assert "conv_rat" in status["last_error"]["message"]
    assert setup.sink.applied == [good]
    refused_at = status["last_error"]["time"]
    assert setup.published.now["policy"]["confirmed_at"] <= refused_at
    manifests(features='"driver_hourly_stats:acc_rate"')
    setup.sink.wait(2)
    status = setup.published.wait(lambda policy: policy["last_error"] is None)
    assert status["refused_edits"] == 1
    assert status["confirmed_at"] > refused_at


def test_a_policy_is_confirmed_while_the_folder_says_the_same_and_not_after_a_bad_edit(
    manifests: Manifests, make: Make
) -> None:
    setup = make(manifests())
    setup.thread.start()
    first = setup.published.wait(lambda policy: policy["confirmed_at"])["confirmed_at"]
    setup.published.wait(lambda policy: policy["confirmed_at"] > first)
    manifests(features="broken")
    last = setup.published.wait(lambda policy: policy["last_error"])["confirmed_at"]
    setup.watch.wait(looks=2)
    assert setup.published.now["policy"]["confirmed_at"] == last


def test_a_restart_with_broken_manifests_uses_what_was_kept(
    manifests: Manifests, make: Make, tmp_path: Path
) -> None:
    first = make(manifests())
    first.keeper.use(first.sink, first.keeper.find())
    manifests(features="broken")
    second = make(manifests(features="broken"))
    current = time.time() - 7200
    (path,) = (tmp_path / "snapshots").glob("*.snapshot")
    os.utime(path, (current, current))
    found = second.keeper.find()
    assert found.source == "kept"
    assert found.confirmed_at == pytest.approx(current)
    assert Policy(found.snapshot).digest == first.sink.applied[0].digest


def test_a_damaged_kept_snapshot_is_not_used(
    manifests: Manifests, make: Make, tmp_path: Path
) -> None:
    first = make(manifests())
    first.keeper.use(first.sink, first.keeper.find())
    (path,) = (tmp_path / "snapshots").glob("*.snapshot")
    path.write_bytes(path.read_bytes().replace(b"conv_rate", b"acc_rate\x20"))
    with pytest.raises(SidecarError, match="damaged"):
        make(manifests(features="broken")).keeper.find()


def test_without_manifests_or_a_kept_snapshot_both_reasons_are_given(
    manifests: Manifests, make: Make
) -> None:
    with pytest.raises(SidecarError, match=r"sets\.yaml.*no snapshot was kept"):
        make(manifests(features="broken")).keeper.find()


def test_an_unknown_workload_is_told_which_there_are(manifests: Manifests, tmp_path: Path) -> None:
    compiler = Compiler(manifests(), "prod.payments/fest")
    with pytest.raises(
        ManifestsError, match=r"no Workload 'prod.payments/fest'; they have .*/feast"
    ):
        compiler.compile(tmp_path / "out")


def test_reread_compiles_without_an_edit(manifests: Manifests, make: Make) -> None:
    setup = make(manifests())
    setup.thread.start()
    setup.sink.wait(1)
    setup.keeper.reread()
    assert setup.sink.wait(2).digest == setup.sink.applied[0].digest


def test_stopping_ends_a_compilation_under_way(manifests: Manifests, tmp_path: Path) -> None:
    compiler = Compiler(manifests(), WORKLOAD)
    compiler.stop()
    with pytest.raises(ManifestsError, match="stopping"):
        compiler.compile(tmp_path / "out")


def test_manifests_of_another_trust_domain_than_the_identitys_are_refused(
    manifests: Manifests, make: Make
) -> None:
    setup = make(manifests())
    thread = threading.Thread(target=setup.keeper.run, args=(setup.sink, "dev.acme.example"))
    thread.start()
    setup.published.wait(lambda policy: policy["last_error"] is not None)
    setup.keeper.stop()
    thread.join(10)
    assert (
        "our identity is of dev.acme.example"
        in setup.published.now["policy"]["last_error"]["message"]
    )
    assert setup.sink.applied == []

"""The leader of the operators is killed, again and again, while it rotates and everything changes."""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chart_kit import NAMESPACE
from cluster.fakes import ON_A_FAKE_NODE, add_fake_node
from cluster.leaders import holder, kill_leader, leader_after, operators
from cluster.pods import is_ready, state_of, template
from cluster.probing import probing
from cluster.quick import UNIT, Quick
from cluster.records import records
from cluster.release import QUICK, Release
from cluster.rotating import ask_rotation, follow_rotation, status_of
from cluster.running import Cluster
from cluster.traffic import no_request_lost
from cluster.waiting import wait_until

pytestmark = pytest.mark.timeout(600)

# After a request was written: before, while and after the leader acts on it, and then in its rotation.
_KILLED_AFTER = (0.0, 0.4, 3.0)
_TAKEN_OVER_SECONDS = 20.0
_GAP_SECONDS = 1.0
_CHURN_SECONDS = 0.5
_SLEEPER = {"name": "app", "image": "localhost/busybox:1", "imagePullPolicy": "IfNotPresent"}


def _pod(name: str, namespace: str) -> dict[str, Any]:
    """One that asks for a sidecar, on a node that is none."""
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    made = template(
        "default",
        {**_SLEEPER, "securityContext": restricted},
        labels={"featward.dev/inject": "client"},
        **ON_A_FAKE_NODE,
    )
    about = {"name": name, "namespace": namespace, **made["metadata"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": made["spec"]}


class Churn:
    """Pods that come and go, and a binding that is edited: what it said last is `purpose`."""

    def __init__(self, cluster: Cluster, quick: Quick) -> None:
        self._kubernetes = cluster.kubernetes
        self._pods = f"/api/v1/namespaces/{quick.clients}/pods"
        self._namespace = quick.clients
        kind = f"/apis/featward.dev/v1alpha1/namespaces/{quick.servers}/featurebindings"
        self.binding = f"{kind}/{quick.binding}"
        self.purpose = ""
        self.rounds = 0
        self.refused = 0

    def run(self, stopped: threading.Event) -> None:
        """Until then. A pod may be refused in the moment in which a replica dies; nothing else may."""
        known: list[str] = []
        while not stopped.wait(_CHURN_SECONDS):
            self.rounds += 1
            name = f"churn-{secrets.token_hex(3)}"
            status, _ = self._kubernetes.ask("POST", self._pods, _pod(name, self._namespace))
            self.refused += status >= 400
            known += [name] if status < 400 else []
            self.purpose = f"churn {self.rounds}"
            patch = {"spec": {"purpose": self.purpose}}
            self._kubernetes.call("PATCH", self.binding, patch, "merge-patch+json")
            while len(known) > 5:
                self._delete(known.pop(0))
        for name in known:
            self._delete(name)

    def _delete(self, name: str) -> None:
        self._kubernetes.ask("DELETE", f"{self._pods}/{name}", {"gracePeriodSeconds": 0})


@contextmanager
def _churning(cluster: Cluster, quick: Quick) -> Iterator[Churn]:
    churn, stopped = Churn(cluster, quick), threading.Event()
    thread = threading.Thread(target=churn.run, args=(stopped,), daemon=True)
    thread.start()
    try:
        yield churn
    finally:
        stopped.set()
        thread.join(30)


def _all_ready(cluster: Cluster) -> bool:
    found = operators(cluster)
    return len(found) == 2 and all(map(is_ready, found))


def test_a_leader_killed_again_and_again_acts_once_and_is_followed_within_20_s(
    release: Release, quick: Quick, fakes: Cluster
) -> None:
    """And the webhook answers again within a second of each kill; no request between pods is lost by any."""
    cluster = release.cluster
    add_fake_node(fakes.kubernetes, "churned")
    probe = _pod("probe", quick.clients)
    before = records(release, QUICK)
    took: list[float] = []
    with (
        no_request_lost(*quick.apps),
        _churning(cluster, quick) as churn,
        probing(cluster, quick.clients, probe) as prober,
    ):
        wait_until(lambda: len(prober.admitted) > 20, "the webhook answers", 30)
        for seconds in _KILLED_AFTER:
            wait_until(lambda: _all_ready(cluster), "two replicas are ready", 60)
            asked = ask_rotation(cluster, "businessunit", UNIT)
            time.sleep(seconds)
            took.append(_killed(cluster))
            follow_rotation(cluster, "businessunit", UNIT, asked, 90)
        # Who follows dies as well, as soon as it leads.
        wait_until(lambda: _all_ready(cluster), "two replicas are ready", 60)
        asked = ask_rotation(cluster, "businessunit", UNIT)
        took += [_killed(cluster), _killed(cluster)]
        follow_rotation(cluster, "businessunit", UNIT, asked, 90)
    print(f"seconds until another led: {[round(one, 1) for one in took]}")
    print(
        f"webhook: {len(prober.admitted)} admissions, {len(prober.failed)} failed, longest gap"
        f" {prober.gap():.2f} s; churn: {churn.rounds} rounds, {churn.refused} refused"
    )
    assert max(took) < _TAKEN_OVER_SECONDS
    assert prober.gap() <= _GAP_SECONDS, prober.failed[-10:]
    assert prober.unprotected == 0
    _acted_once(release, before.made(UNIT), len(_KILLED_AFTER) + 1)
    _status_follows(cluster, churn)
    wait_until(lambda: _all_ready(cluster), "two replicas are ready", 60)


def _killed(cluster: Cluster) -> float:
    """Seconds until another one leads."""
    who, killed_at = kill_leader(cluster)
    try:
        _, followed_at = leader_after(cluster, who)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{state_of(cluster, NAMESPACE)}") from error
    assert holder(cluster) != who
    return followed_at - killed_at


def _acted_once(release: Release, made: int, requests: int) -> None:
    """One more generation for each request, and each of its changes once."""
    found = records(release, QUICK)
    print(f"{requests} rotations, asked of the CA {found.asked()} times")
    assert found.made(UNIT) - made == requests
    twice = {key: times for key, times in found.changes(UNIT).items() if times != 1}
    assert not twice, twice
    assert len(found.signers("/bu/payments/", time.time() - 5)) <= 1


def _status_follows(cluster: Cluster, churn: Churn) -> None:
    """Whoever leads at the end has seen the last edit."""

    def is_seen() -> bool:
        found = cluster.kubernetes.call("GET", churn.binding)
        assert found["spec"]["purpose"] == churn.purpose
        status = found.get("status") or {}
        return bool(status.get("observedGeneration") == found["metadata"]["generation"])

    wait_until(is_seen, "the binding's status is of its last edit", 30)
    assert status_of(cluster, "businessunit", UNIT)["rotation"]["state"] == "done"

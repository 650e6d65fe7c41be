"""Policy from an operator: a real Listener and gRPC service, the engine's real Dialer and proxy."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from certificates import CA, DOMAIN, Environment
from featward.policy.v1 import policy_pb2, snapshot_pb2
from featward_engine import Credentials, Proxy
from featward_sidecar import operator_policy
from featward_sidecar.agent_status import AgentStatus
from featward_sidecar.backoff import Backoff
from featward_sidecar.expected import ServiceAccountIds
from featward_sidecar.operator_policy import OperatorPolicy
from featward_sidecar.operator_way import OperatorWay
from featward_sidecar.policy_use import PolicyUse
from featward_sidecar.reports import Reports
from featward_sidecar.snapshots import OLDEST_SECONDS, SnapshotFolder
from featward_sidecar.sockets_table import SocketsTable
from policy_kit import Operator, a_snapshot, digest_of, running_operator

FEAST = f"spiffe://{DOMAIN}/bu/payments/ns/ml/sa/feast"
MOVED = f"spiffe://{DOMAIN}/bu/risk/ns/ml/sa/feast"
OPERATOR = f"spiffe://{DOMAIN}/featward/operator"


class Sidecar:
    """The follower in its thread, a proxy that takes its policy, and what both say."""

    def __init__(self, folder: Path, address: str, credentials: Credentials) -> None:
        self.credentials = credentials
        self.state = folder / "state"
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.published: dict[str, Any] = {}
        self.news = threading.Condition()
        status = AgentStatus("ml/feast", "ca:1", None, address)
        status.publish_to(self._take)
        self.proxy = Proxy(credentials, b'{"serve": {"listen": "127.0.0.1:0"}}')
        self.proxy.start()
        self.kept = SnapshotFolder(self.state / "snapshots")
        self.policy = OperatorPolicy(
            OperatorWay(address, DOMAIN, credentials, self.state),
            policy_pb2.Hello(version="0.2.0", outbound=["drivers"], serves=True),
            ServiceAccountIds(DOMAIN, "ml/feast"),
            credentials,
            PolicyUse(self.kept, status),
            Reports(self.proxy.status, SocketsTable(())),
            status,
        )
        self.thread = threading.Thread(
            target=self.policy.run, args=(self.proxy, DOMAIN), daemon=True
        )

    def _take(self, document: bytes) -> None:
        with self.news:
            self.published = json.loads(document)
            self.news.notify_all()

    def wait(self, section: str, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        with self.news:
            found = self.news.wait_for(lambda: condition(self.published[section]), 30)
            assert found, self.published
        told: dict[str, Any] = self.published[section]
        return told

    def digest(self) -> str | None:
        """Of the policy that the engine decides by."""
        policy = json.loads(self.proxy.status())["policy"]
        return policy and str(policy["digest"])

    def uses(self, digest: str) -> None:
        deadline = time.monotonic() + 30
        while self.digest() != digest:
            assert time.monotonic() < deadline, self.published
            time.sleep(0.02)

    def start(self) -> "Sidecar":
        self.thread.start()
        return self

    def stop(self) -> None:
        self.policy.stop()
        if self.thread.is_alive():
            self.thread.join(10)
            assert not self.thread.is_alive()
        self.proxy.stop(0.0)


@pytest.fixture
def environment() -> Environment:
    return Environment()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_policy, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(operator_policy, "LIFE", 2.0)


@pytest.fixture
def operator(tmp_path: Path, environment: Environment) -> Iterator[Operator]:
    (tmp_path / "op").mkdir()
    credentials = environment.process(environment.platform, OPERATOR)
    with running_operator(tmp_path / "op", credentials) as operator:
        yield operator


Make = Callable[..., Sidecar]


@pytest.fixture
def make(tmp_path: Path, environment: Environment, operator: Operator) -> Iterator[Make]:
    """Makes a sidecar that is of `feast`; again, it is the next run on the same state folder."""
    with ExitStack() as made:

        def make(credentials: Credentials | None = None, address: str = "") -> Sidecar:
            told = credentials or environment.process(environment.payments, FEAST)
            sidecar = Sidecar(tmp_path, address or operator.address, told)
            made.callback(sidecar.stop)
            return sidecar

        yield make


def test_policy_arrives_in_parts_and_is_used_whole(operator: Operator, make: Make) -> None:
    operator.part_bytes = 1000
    snapshot = a_snapshot(FEAST, bindings=100)
    digest = operator.publish(FEAST, snapshot)
    sidecar = make().start()
    sidecar.uses(digest)
    operator.wait(lambda told: bool(told.applied))
    assert [(one.digest, one.error) for one in operator.applied] == [(digest, "")]
    assert len(snapshot) > 10 * operator.part_bytes
    assert sidecar.wait("policy", lambda policy: policy["source"])["source"] == "operator"
    assert sidecar.kept.newest() == (digest, snapshot)
    ((caller, hello),) = operator.hellos
    assert (caller, hello.digest, list(hello.outbound)) == (FEAST, "", ["drivers"])


def test_an_edit_goes_over_the_open_stream(operator: Operator, make: Make) -> None:
    sidecar = make().start()
    sidecar.uses(operator.publish(FEAST, a_snapshot(FEAST)))
    began = time.monotonic()
    sidecar.uses(operator.publish(FEAST, a_snapshot(FEAST, "view:two")))
    assert time.monotonic() - began < 5
    assert len(operator.hellos) == 1


def test_a_silent_operator_changes_nothing(
    operator: Operator, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator_policy, "SILENCE_SECONDS", 1.2)
    sidecar = make().start()
    digest = operator.publish(FEAST, a_snapshot(FEAST))
    sidecar.uses(digest)
    confirmed = sidecar.wait("policy", lambda policy: policy["confirmed_at"])["confirmed_at"]
    operator.silent = True
    error = sidecar.wait("operator", lambda told: told["last_error"])["last_error"]
    assert "has said nothing for" in error["message"]
    assert sidecar.digest() == digest
    operator.wait(lambda told: len(told.hellos) >= 2)
    assert operator.hellos[1][1].digest == digest, "another replica may not hang, so it asks again"
    silent_since = sidecar.published["policy"]["confirmed_at"]
    assert silent_since >= confirmed
    operator.wait(lambda told: len(told.hellos) >= 3)
    assert sidecar.published["policy"]["confirmed_at"] == silent_since, "so its age grows"
    operator.silent = False
    sidecar.wait("policy", lambda policy: policy["confirmed_at"] > silent_since)
    assert sidecar.digest() == digest


def test_an_operator_that_goes_away_is_found_again_and_the_policy_stays(
    operator: Operator, make: Make
) -> None:
    sidecar = make().start()
    digest = operator.publish(FEAST, a_snapshot(FEAST))
    sidecar.uses(digest)
    operator.drop()
    operator.wait(lambda told: len(told.hellos) >= 2)
    assert sidecar.digest() == digest
    sidecar.uses(operator.publish(FEAST, a_snapshot(FEAST, "view:two")))


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (a_snapshot(MOVED), f"the policy of {MOVED}, and we are {FEAST}"),
        (a_snapshot(FEAST, trust_domain="dev.acme.example"), "of trust domain dev.acme.example"),
        (a_snapshot(FEAST).replace(b"0.1.0", b"9.1.0"), "9.1.0"),
        (b"no snapshot", "names no trust domain or no workload"),
    ],
)
def test_a_snapshot_for_somebody_else_is_refused(
    operator: Operator, make: Make, snapshot: bytes, said: str
) -> None:
    sidecar = make().start()
    good = operator.publish(FEAST, a_snapshot(FEAST))
    sidecar.uses(good)
    bad = operator.publish(FEAST, snapshot)
    operator.wait(lambda told: len(told.applied) == 2)
    assert operator.applied[1].digest == bad
    assert said in operator.applied[1].error
    told = sidecar.wait("policy", lambda policy: policy["refused_edits"] == 1)
    assert said in told["last_error"]["message"]
    assert sidecar.digest() == good
    assert sidecar.kept.newest()[0] == good
    confirmed = told["confirmed_at"]
    time.sleep(1.2)  # it says meanwhile that the refused one is the newest
    assert sidecar.published["policy"]["confirmed_at"] == confirmed
    sidecar.uses(operator.publish(FEAST, a_snapshot(FEAST, "view:two")))
    sidecar.wait("policy", lambda policy: policy["last_error"] is None)


def test_what_is_not_the_operator_is_told_nothing(
    tmp_path: Path, environment: Environment, operator: Operator, make: Make
) -> None:
    (tmp_path / "false").mkdir()
    credentials = environment.process(environment.platform, CA)
    with running_operator(tmp_path / "false", credentials) as other:
        other.publish(FEAST, a_snapshot(FEAST))
        sidecar = make(address=other.address).start()
        error = sidecar.wait("operator", lambda told: told["last_error"])["last_error"]["message"]
        assert CA in error
        assert (other.hellos, sidecar.digest()) == ([], None)


def test_a_kept_snapshot_stands_in_until_the_operator_speaks(
    operator: Operator, make: Make, environment: Environment
) -> None:
    first = make().start()
    digest = operator.publish(FEAST, a_snapshot(FEAST))
    first.uses(digest)
    operator.wait(lambda told: bool(told.applied))
    first.stop()
    operator.silent = True
    second = make(credentials=(nobody := environment.credentials())).start()
    second.uses(digest)
    told = second.wait("policy", lambda policy: policy["source"])
    assert (told["source"], second.published["operator"]["connected"]) == ("kept", False)
    environment.payments.identify(nobody, FEAST)
    operator.wait(lambda told: len(told.hellos) == 2)
    assert operator.hellos[1][1].digest == digest
    assert second.published["policy"]["source"] == "kept"
    operator.silent = False
    second.wait("policy", lambda policy: policy["source"] == "operator")
    assert len(operator.applied) == 1, "what it has was not sent again"


@pytest.mark.parametrize(("age", "used"), [(0.9, True), (1.1, False)])
def test_a_kept_snapshot_older_than_a_week_is_not_used_at_start(
    operator: Operator, make: Make, age: float, used: bool
) -> None:
    first = make().start()
    digest = operator.publish(FEAST, a_snapshot(FEAST))
    first.uses(digest)
    operator.wait(lambda told: bool(told.applied))
    first.stop()
    operator.silent = True
    (path,) = first.kept.incoming.parent.glob("*.snapshot")
    then = time.time() - age * OLDEST_SECONDS
    os.utime(path, (then, then))
    second = make().start()
    operator.wait(lambda told: len(told.hellos) == 2)
    assert second.digest() == (digest if used else None)
    assert operator.hellos[1][1].digest == (digest if used else "")


def test_what_was_kept_for_another_service_account_is_not_used(
    operator: Operator, make: Make
) -> None:
    sidecar = make()
    snapshot = a_snapshot(f"spiffe://{DOMAIN}/bu/payments/ns/ml/sa/other")
    sidecar.kept.write(snapshot)
    sidecar.kept.keep(digest_of(snapshot))
    sidecar.start()
    operator.wait(lambda told: bool(told.hellos))
    assert (sidecar.digest(), operator.hellos[0][1].digest) == (None, "")


def test_a_moved_namespace_brings_the_policy_of_the_new_identity(
    operator: Operator, make: Make, environment: Environment
) -> None:
    sidecar = make().start()
    before = operator.publish(FEAST, a_snapshot(FEAST))
    after = operator.publish(MOVED, a_snapshot(MOVED))
    sidecar.uses(before)
    environment.risk.identify(sidecar.credentials, MOVED)
    sidecar.uses(after)
    assert [caller for caller, _ in operator.hellos] == [FEAST, MOVED]
    assert operator.hellos[1][1].digest == before


def test_a_renewed_certificate_is_shown_soon_and_the_connection_of_the_old_one_ends(
    operator: Operator, make: Make, environment: Environment
) -> None:
    sidecar = make().start()
    sidecar.uses(operator.publish(FEAST, a_snapshot(FEAST)))
    environment.payments.identify(sidecar.credentials, FEAST)
    operator.wait(lambda told: len(told.hellos) == 2 and told.streams == 1)
    serial = json.loads(sidecar.credentials.identity() or b"")["serial"]
    deadline = time.monotonic() + 10
    while sidecar.credentials.serial_in_use() != serial:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION]
)
def test_a_refusal_is_shown_in_the_operators_words_and_tried_again(
    operator: Operator, make: Make, code: grpc.StatusCode
) -> None:
    sidecar = make().start()
    digest = operator.publish(FEAST, a_snapshot(FEAST))
    sidecar.uses(digest)
    operator.refusal = (code, "namespace ml is of no business unit")
    operator.drop()
    error = sidecar.wait(
        "operator", lambda told: told["last_error"] and "ml" in told["last_error"]["message"]
    )
    assert error["last_error"]["message"] == "namespace ml is of no business unit"
    assert sidecar.digest() == digest
    operator.refusal = None
    sidecar.wait("operator", lambda told: told["connected"])


def test_who_is_refused_after_the_first_word_comes_back_ever_more_slowly(
    operator: Operator, make: Make
) -> None:
    operator.report_ms = 1000
    operator.refusal = (grpc.StatusCode.FAILED_PRECONDITION, "the set ml/drivers holds an error")
    sidecar = make().start()
    sidecar.wait("operator", lambda told: told["failures"] >= 3)


def test_an_operator_that_asks_to_be_left_alone_is(
    operator: Operator, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator_policy, "Backoff", lambda: Backoff(dice=lambda low, high: low))
    operator.refusal = (grpc.StatusCode.UNAVAILABLE, "the operator does not know its cluster yet")
    operator.retry_after_ms = 1500
    make().start()
    operator.wait(lambda told: len(told.hellos) == 1)
    began = time.monotonic()
    operator.wait(lambda told: len(told.hellos) == 2)
    assert time.monotonic() - began >= 1.4


def test_reports_come_by_themselves_as_the_operator_asks_and_one_says_goodbye(
    operator: Operator, make: Make
) -> None:
    operator.report_ms = 1000
    sidecar = make().start()
    digest = operator.publish(FEAST, a_snapshot(FEAST, mode=snapshot_pb2.MODE_OBSERVE))
    report = operator.report(lambda report: report.digest == digest)
    assert [(one.feature_set, one.mode) for one in report.sets] == [("ml/drivers", "observe")]
    until = json.loads(sidecar.credentials.identity() or b"")["not_after"]
    assert (report.identity_not_after, report.draining) == (until, False)
    began, other = time.monotonic(), operator.publish(FEAST, a_snapshot(FEAST, "view:two"))
    operator.report(lambda report: report.digest == other)
    assert time.monotonic() - began < 4, "5 s is what a sidecar does unasked"
    sidecar.policy.stop()
    operator.report(lambda report: report.draining)


def test_a_full_disk_costs_the_next_start_its_policy_and_not_this_one(
    operator: Operator, make: Make
) -> None:
    sidecar = make()
    sidecar.kept.incoming.mkdir()  # nothing can be written there
    sidecar.start()
    sidecar.uses(operator.publish(FEAST, a_snapshot(FEAST)))
    sidecar.uses(operator.publish(FEAST, a_snapshot(FEAST, "view:two")))
    operator.wait(lambda told: len(told.applied) == 2)
    assert [one.error for one in operator.applied] == ["", ""]


def test_sighup_asks_again(operator: Operator, make: Make) -> None:
    sidecar = make().start()
    sidecar.uses(operator.publish(FEAST, a_snapshot(FEAST)))
    sidecar.policy.reread()
    operator.wait(lambda told: len(told.hellos) == 2)

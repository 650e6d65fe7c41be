"""What the operator is told: by documents as the engine writes them, and by a real proxy."""

import json
from pathlib import Path
from typing import Any

import pytest

from certificates import DOMAIN, PRICING, Environment
from featward.policy.v1 import policy_pb2 as v1
from featward_engine import Proxy
from featward_sidecar.errors import SnapshotError
from featward_sidecar.reports import Reports, report_of
from featward_sidecar.snapshots import read_upstreams
from featward_sidecar.sockets_table import SocketsTable
from policy_kit import a_snapshot, digest_of

NOW = 1_800_000_000
FEAST = f"spiffe://{DOMAIN}/bu/payments/ns/ml/sa/feast"


def trouble(reason: str, *, stands: bool, decision: str = "would-deny") -> dict[str, Any]:
    return {
        "decision": decision,
        "reason": reason,
        "feature_set": "ml/drivers",
        "missing": ["view:two"],
        "time": NOW,
        "stands": stands,
    }


def caller(standing: str | None, *troubles: dict[str, Any], **told: Any) -> dict[str, Any]:
    row = {"first_seen": NOW, "last_seen": NOW, "requests": 9, "would_refuse": 3}
    newest = troubles[0] if troubles else None
    return row | {"standing": standing, "troubles": troubles, "newest_trouble": newest} | told


def status(**told: Any) -> dict[str, Any]:
    """As `Proxy.status` before anything happened."""
    empty: dict[str, Any] = {"policy": None, "identity": None, "draining": False}
    return empty | dict.fromkeys(("sets", "outbound", "would_refuse", "unidentified"), ()) | told


def no_sockets(folder: Path) -> SocketsTable:
    return SocketsTable((), folder)


def test_callers_that_enforcing_would_refuse_have_a_row_for_each_reason_that_stands(
    tmp_path: Path,
) -> None:
    stands = trouble("not-granted", stands=True), trouble("unknown-feature", stands=True)
    over = trouble("limited", stands=False, decision="limited")
    row = caller("would-be-refused", *stands, over, identity=PRICING)
    report = report_of(status(would_refuse=[row]), no_sockets(tmp_path))
    assert [(one.spiffe_id, one.reason, one.standing) for one in report.callers] == [
        (PRICING, "not-granted", "would-be-refused"),
        (PRICING, "unknown-feature", "would-be-refused"),
    ]
    assert report.callers[0].missing == ["view:two"]
    assert (report.callers[0].count, report.callers[0].last_seen) == (3, NOW)


def test_a_caller_not_seen_since_the_edit_is_told_with_what_it_was_refused_for(
    tmp_path: Path,
) -> None:
    open_, over = trouble("not-granted", stands=False), trouble("x", stands=False, decision="deny")
    row = caller("not-seen-since-the-edit", over, open_, identity=PRICING)
    (one,) = report_of(status(would_refuse=[row]), no_sockets(tmp_path)).callers
    assert (one.reason, one.standing) == ("not-granted", "not-seen-since-the-edit")


def test_all_callers_without_identity_are_told_once_whatever_became_of_them(tmp_path: Path) -> None:
    refused = caller("would-be-refused", trouble("unidentified", stands=True), source="10.0.0.9")
    passed = caller(None, source="10.0.0.8")
    document = status(would_refuse=[refused], unidentified=[refused, passed])
    report = report_of(document, no_sockets(tmp_path))
    assert [(one.address, one.standing, one.count) for one in report.callers] == [
        ("10.0.0.8", "unidentified", 9),
        ("10.0.0.9", "would-be-refused", 3),
    ]


def test_a_crowd_is_cut_to_the_newest_and_counted(tmp_path: Path) -> None:
    rows = [
        caller(None, source=f"10.0.{n // 250}.{n % 250}", last_seen=NOW + n) for n in range(1000)
    ]
    report = report_of(status(unidentified=rows), no_sockets(tmp_path))
    assert (len(report.callers), report.callers_left_out) == (64, 936)
    assert report.callers[0].last_seen == NOW + 999
    assert len(report.SerializeToString()) < 10_000


def test_outbound_sets_and_their_servers(tmp_path: Path) -> None:
    failed = {"time": NOW, "reason": "server-unreachable", "detail": "connection refused"}
    rows = [
        {"feature_set": "drivers", "server": None, "last_answer": None, "last_failure": failed},
        {
            "feature_set": "rides",
            "server": {"address": "h:1", "spiffe_id": PRICING},
            "last_answer": NOW,
            "last_failure": None,
        },
    ]
    first, second = report_of(status(outbound=rows), no_sockets(tmp_path)).outbound
    assert first == v1.OutboundReport(
        feature_set="drivers", last_failure="server-unreachable: connection refused"
    )
    assert second == v1.OutboundReport(feature_set="rides", server=PRICING, last_answer=NOW)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Said:
    """A proxy's document that a test changes."""

    def __init__(self, folder: Path) -> None:
        self.document = status()
        self.clock = Clock()
        self.reports = Reports(
            lambda: json.dumps(self.document).encode(), no_sockets(folder), self.clock
        )
        self.reports.begin()

    def after(self, seconds: float) -> bool:
        """Whether a report is due then."""
        self.clock.now += seconds
        return self.reports.due() is not None


def counted(answered: int) -> list[dict[str, object]]:
    counts = {"answered": answered, "refused": 0, "would_refuse": 0, "unidentified": 0}
    return [{"name": "ml/drivers", **counts}]


def test_what_changes_is_told_every_five_seconds_and_what_does_not_every_minute(
    tmp_path: Path,
) -> None:
    said = Said(tmp_path)
    assert said.after(0)
    said.document["sets"] = counted(1)
    assert not said.after(4.9)
    assert said.after(0.1)
    assert [said.after(5) for _ in range(12)] == [False] * 11 + [True]
    said.reports.begin()
    assert said.after(0), "another replica knows nothing"


def test_the_operator_says_how_often_within_bounds(tmp_path: Path) -> None:
    said = Said(tmp_path)
    assert said.after(0)
    said.reports.every(30)
    said.document["sets"] = counted(1)
    assert said.after(5), "that one was due before"
    said.document["sets"] = counted(2)
    assert [said.after(15), said.after(15)] == [False, True]
    said.reports.every(0.001)
    said.document["sets"] = counted(3)
    assert [said.after(0.9), said.after(0.1)] == [False, True]
    said.reports.every(0)
    said.document["sets"] = counted(4)
    assert said.after(1), "that one was due before"
    said.document["sets"] = counted(5)
    assert [said.after(4.9), said.after(0.1)] == [False, True]


def test_a_real_proxys_document_is_read_to_the_last_member(tmp_path: Path) -> None:
    environment = Environment()
    credentials = environment.process(environment.payments, FEAST)
    outbound = {"feature_set": "rides", "listen": "127.0.0.1:0"}
    config = {"serve": {"listen": "127.0.0.1:0"}, "outbound": [outbound]}
    proxy = Proxy(credentials, json.dumps(config).encode())
    proxy.start()
    try:
        snapshot = a_snapshot(FEAST)
        proxy.set_policy(snapshot)
        report = Reports(proxy.status, no_sockets(tmp_path)).make(draining=True)
    finally:
        proxy.stop(0.0)
    told = v1.SetReport(feature_set="ml/drivers", mode="enforce")
    assert report == v1.Report(
        digest=digest_of(snapshot),
        sets=[told],
        draining=True,
        identity_not_after=json.loads(credentials.identity() or b"")["not_after"],
        outbound=[v1.OutboundReport(feature_set="rides")],
    )


def test_the_feature_servers_of_a_snapshot_are_found_without_reading_all_of_it() -> None:
    snapshot = a_snapshot(FEAST, port=8080, bindings=1000)
    assert read_upstreams(snapshot) == (("127.0.0.1", 8080),)
    assert read_upstreams(b"") == ()
    with pytest.raises(SnapshotError, match="endpoints can't be read"):
        read_upstreams(b"\x32")

"""Snapshots: the same documents give the same bytes, and what the rules settle is settled in them."""

import hashlib
import json
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featward.errors import CompileError
from featward.identity.spiffe import SpiffeId
from featward.manifests import Loaded, load, load_texts
from featward.policy import compile as compile_snapshot
from featward.policy.v1.snapshot_pb2 import MODE_SHADOW, Snapshot
from featward_engine import Policy

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "driver-stats"
GOLDEN = ROOT / "tests" / "vectors" / "snapshots" / "driver-stats.json"
FEAST = SpiffeId.parse("spiffe://prod.acme.example/bu/payments/svc/feast")
CLIENT = SpiffeId.parse("spiffe://prod.acme.example/bu/payments/svc/pricing-api")
NOW = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())
PLATFORM, SET, BINDINGS = (
    (EXAMPLE / name).read_text() for name in ("platform.yaml", "feature-set.yaml", "bindings.yaml")
)


def snapshot_of(*texts: str, workload: SpiffeId = FEAST) -> Snapshot:
    loaded = load_texts([(f"{number}.yaml", text) for number, text in enumerate(texts)])
    return Snapshot.FromString(compile_snapshot(loaded, workload, NOW).snapshot_bytes)


def test_the_example_has_the_digest_that_it_always_had() -> None:
    compiled = compile_snapshot(load(EXAMPLE), FEAST, NOW)
    golden = json.loads(GOLDEN.read_text())
    assert compiled.digest == golden["digest"]
    assert compiled.snapshot_bytes.hex() == golden["snapshot"]


def test_the_engine_reads_the_snapshot_and_agrees_on_its_digest() -> None:
    compiled = compile_snapshot(load(EXAMPLE), FEAST, NOW)
    assert Policy(compiled.snapshot_bytes).digest == compiled.digest
    assert hashlib.sha256(compiled.snapshot_bytes).hexdigest() == compiled.digest


@given(st.randoms(use_true_random=False))
def test_the_order_of_documents_changes_nothing(order: random.Random) -> None:
    documents = list(load(EXAMPLE).documents)
    order.shuffle(documents)
    shuffled = compile_snapshot(Loaded(tuple(documents), ()), FEAST, NOW)
    assert shuffled.digest == json.loads(GOLDEN.read_text())["digest"]


def test_a_pure_client_gets_addresses_only() -> None:
    snapshot = snapshot_of(PLATFORM, SET, BINDINGS, workload=CLIENT)
    assert not snapshot.feature_sets
    assert not snapshot.bindings
    (remote,) = snapshot.remotes
    assert (remote.address, remote.spiffe_id) == ("127.0.0.1:15443", str(FEAST))


def test_dates_hold_through_their_day() -> None:
    snapshot = snapshot_of(PLATFORM, SET, BINDINGS)
    expires = datetime.fromtimestamp(snapshot.bindings[0].expires, UTC)
    assert expires == datetime(2097, 4, 1, tzinfo=UTC)
    until = datetime.fromtimestamp(snapshot.feature_sets[0].unidentified_until, UTC)
    assert until == datetime(2097, 2, 1, tzinfo=UTC)
    assert snapshot.feature_sets[0].mode == MODE_SHADOW


def test_services_are_expanded_and_subjects_spelt_out() -> None:
    binding = snapshot_of(PLATFORM, SET, BINDINGS).bindings[0]
    assert list(binding.features) == [
        "driver_hourly_stats:acc_rate",
        "driver_hourly_stats:conv_rate",
        "transformed:conv_plus",
    ]
    assert [subject.value for subject in binding.subjects] == [str(CLIENT)]


def test_a_binding_for_another_version_is_left_out() -> None:
    names = [binding.name for binding in snapshot_of(PLATFORM, SET, BINDINGS).bindings]
    assert names == ["pricing-api", "report"]


def test_a_ceiling_narrows_a_binding_and_can_take_all_of_it() -> None:
    wider = BINDINGS.replace('"driver_hourly_stats:acc_rate"', '"driver_hourly_stats:home"', 1)
    loaded = load_texts([("p", PLATFORM), ("s", SET), ("b", wider)])
    compiled = compile_snapshot(loaded, FEAST, NOW)
    assert "above-ceiling" in {finding.code for finding in compiled.findings}
    features = Snapshot.FromString(compiled.snapshot_bytes).bindings[0].features
    assert "driver_hourly_stats:home" not in features
    lower = PLATFORM.replace("maxSensitivity: 2", "maxSensitivity: 0")
    assert not snapshot_of(lower, SET, BINDINGS).bindings


def test_an_expired_binding_stays_for_the_engine_to_refuse() -> None:
    old = BINDINGS.replace("2097-03-31", "2026-11-22")
    loaded = load_texts([("p", PLATFORM), ("s", SET), ("b", old)])
    compiled = compile_snapshot(loaded, FEAST, NOW)
    assert "expired" in {finding.code for finding in compiled.findings}
    question = {
        "identity": str(CLIENT),
        "features": ["driver_hourly_stats:acc_rate"],
        "service": None,
        "rows": 1,
        "now": float(NOW),
    }
    decision = json.loads(Policy(compiled.snapshot_bytes).decide(json.dumps(question).encode()))
    assert (decision["outcome"], decision["reason"]) == ("deny", "binding-expired")


def test_the_first_set_by_name_keeps_a_feature_and_a_service() -> None:
    second = SET.replace("name: driver-stats", "name: another", 1).replace("acc_rate", "new_rate")
    snapshot = snapshot_of(PLATFORM, SET, second, BINDINGS)
    first, loser = snapshot.feature_sets
    assert (first.name, loser.name) == ("another", "driver-stats")
    assert [feature.name for feature in loser.features] == ["driver_hourly_stats:acc_rate"]
    assert [service.name for service in first.services] == ["driver_activity_v1"]
    assert not loser.services
    assert Policy(snapshot.SerializeToString(deterministic=True))


def test_a_service_falls_with_a_feature_that_its_set_has_lost() -> None:
    second = SET.replace("name: driver-stats", "name: another", 1).replace(
        "driver_activity_v1", "mine"
    )
    second = second.replace("home", "house")
    first, loser = snapshot_of(PLATFORM, SET, second, BINDINGS).feature_sets
    assert [feature.name for feature in loser.features] == ["driver_hourly_stats:home"]
    assert [service.name for service in first.services] == ["mine"]
    assert not loser.services


def test_what_blocks_makes_no_snapshot_and_says_why() -> None:
    loaded = load_texts([("p", PLATFORM), ("s", SET.replace("mode: shadow", "mode: none"))])
    with pytest.raises(CompileError, match=r"s:14:11: invalid-value") as caught:
        compile_snapshot(loaded, FEAST, NOW)
    assert [finding.code for finding in caught.value.findings] == ["invalid-value"]


@pytest.mark.parametrize(
    "workload",
    [
        "spiffe://dev.acme.example/bu/payments/svc/feast",
        "spiffe://prod.acme.example/bu/risk/svc/feast",
        "spiffe://prod.acme.example/bu/payments/svc/nobody",
        "spiffe://prod.acme.example/bu/payments/ns/nowhere/sa/feast",
        "spiffe://prod.acme.example/featward/ca",
    ],
)
def test_a_workload_that_is_not_declared_gets_no_snapshot(workload: str) -> None:
    with pytest.raises(CompileError):
        snapshot_of(PLATFORM, SET, BINDINGS, workload=SpiffeId.parse(workload))


def run_module(folder: Path, workload: str = str(FEAST)) -> subprocess.CompletedProcess[bytes]:
    command = [
        sys.executable,
        "-m",
        "featward.policy",
        "--manifests",
        str(folder),
        "--workload",
        workload,
    ]
    return subprocess.run(command, capture_output=True, check=False)


def test_the_module_writes_the_bytes_and_the_findings_apart() -> None:
    done = run_module(EXAMPLE)
    assert done.returncode == 0
    assert hashlib.sha256(done.stdout).hexdigest() == json.loads(GOLDEN.read_text())["digest"]
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["code"] == "version-mismatch"


def test_the_module_fails_with_findings_and_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Nothing\n")
    done = run_module(tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    finding, error = map(json.loads, done.stderr.splitlines())
    assert finding["code"] == "unknown-kind"
    assert "unknown-kind" in error["error"]


@pytest.mark.parametrize(
    ("workload", "path"),
    [
        ("prod.payments/nightly", "/bu/payments/ci/nightly"),
        ("pricing/pricing-api", "/bu/payments/ns/pricing/sa/pricing-api"),
    ],
)
def test_the_module_knows_jobs_and_service_accounts_by_their_names(
    workload: str, path: str
) -> None:
    snapshot = Snapshot.FromString(run_module(EXAMPLE, workload).stdout)
    assert snapshot.workload == f"spiffe://prod.acme.example{path}"
    unknown = run_module(EXAMPLE, "nowhere/api")
    error = json.loads(unknown.stderr.splitlines()[-1])["error"]
    assert "no Namespace of 'nowhere/api'; they have pricing" in error


def test_reading_snapshots_needs_no_models() -> None:
    code = "import sys, featward.policy.v1.snapshot_pb2; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_namespace_without_label_is_the_default_units_where_one_environment_is_declared() -> None:
    label = "  labels: {featward.dev/business-unit: prod.payments}\n"
    unit = next(
        document for document in PLATFORM.split("---\n") if "kind: BusinessUnit" in document
    )
    platform = (
        PLATFORM.replace(label, "")
        .replace(unit + "---\n", "")
        .replace("prod.payments", "prod.default")
    )
    bindings = BINDINGS.replace("prod.payments", "prod.default").replace(
        "/bu/payments/", "/bu/default/"
    )
    feast = SpiffeId.parse("spiffe://prod.acme.example/bu/default/svc/feast")
    snapshot = snapshot_of(platform, SET, bindings, workload=feast)
    assert snapshot.feature_sets[0].business_unit == "prod.default"
    assert snapshot.bindings[0].subjects[0].value.endswith("/bu/default/svc/pricing-api")

"""Consent and recertification: what a team alone may not grant, and what it has to look at again."""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from featward.cli import root
from featward.identity.spiffe import SpiffeId
from featward.manifests import dump, load_texts, validate
from featward.manifests.digest import binding_digest
from featward.manifests.feature_binding import FeatureBinding
from featward.policy import compile as compile_snapshot
from featward.policy.v1.snapshot_pb2 import Snapshot
from featward_engine import Policy

BASE = (Path(__file__).parents[1] / "vectors" / "manifests" / "base.yaml").read_text()
NOW = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())
FEAST = SpiffeId.parse("spiffe://prod.acme.example/bu/payments/svc/feast")
OURS = "spiffe://prod.acme.example/bu/payments/svc/pricing-api"
THEIRS = "spiffe://prod.acme.example/bu/risk/svc/risk-api"
LOW, HIGH = "driver_hourly_stats:conv_rate", "driver_hourly_stats:home"
SPEC: dict[str, Any] = {
    "purpose": "scoring",
    "subjects": [
        {"workload": {"businessUnit": "prod.payments", "name": "pricing-api"}},
        {"workload": {"businessUnit": "prod.risk", "name": "risk-api"}},
    ],
    "featureSet": {"name": "driver-stats"},
    "features": [LOW, HIGH],
    "expires": "2027-01-31",
}

Run = Callable[..., Any]


def binding(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "FeatureBinding",
        "metadata": {"name": "scoring", "namespace": "pricing"},
        "spec": spec,
    }


def approval(
    of: dict[str, Any], expires: str = "2027-01-31", unit: str = "prod.payments"
) -> dict[str, Any]:
    return {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "GrantApproval",
        "metadata": {"name": f"scoring-{expires}"},
        "spec": {
            "binding": {"namespace": "pricing", "name": "scoring"},
            "bindingDigest": digest(of),
            "businessUnit": unit,
            "reason": "scoring needs it",
            "expires": expires,
        },
    }


def digest(spec: dict[str, Any]) -> str:
    return binding_digest(FeatureBinding.model_validate(binding(spec)))


def compiled(*documents: dict[str, Any], base: str = BASE) -> tuple[bytes, set[str]]:
    texts = [("base", base), *((str(n), json.dumps(one)) for n, one in enumerate(documents))]
    snapshot = compile_snapshot(load_texts(texts), FEAST, NOW)
    return snapshot.snapshot_bytes, {finding.code for finding in snapshot.findings}


def outcome(snapshot: bytes, identity: str, feature: str, now: float = NOW) -> tuple[str, str]:
    question = {"identity": identity, "features": [feature], "rows": 1, "now": now}
    decision = json.loads(Policy(snapshot).decide(json.dumps(question).encode()))
    return decision["outcome"], decision["reason"]


def end_of(day: str) -> float:
    """The first second after the day."""
    return datetime.fromisoformat(f"{day}T23:59:59+00:00").timestamp() + 1


def test_what_needs_consent_and_has_none_is_left_out_and_the_rest_holds() -> None:
    snapshot, codes = compiled(binding(SPEC))
    assert codes == {"grant-across-business-units", "above-ceiling"}
    assert outcome(snapshot, OURS, LOW) == ("allow", "granted")
    assert outcome(snapshot, OURS, HIGH) == ("deny", "not-granted")
    assert outcome(snapshot, THEIRS, LOW) == ("deny", "not-granted")


@pytest.mark.parametrize(
    ("change", "identity", "feature"),
    [({"subjects": SPEC["subjects"][:1]}, OURS, HIGH), ({"features": [LOW]}, THEIRS, LOW)],
    ids=["above the ceiling", "across units"],
)
def test_each_need_alone_is_enough_to_be_left_out_and_to_be_approved(
    change: dict[str, Any], identity: str, feature: str
) -> None:
    spec = SPEC | change
    assert outcome(compiled(binding(spec))[0], identity, feature) == ("deny", "not-granted")
    approved, codes = compiled(binding(spec), approval(spec))
    assert codes == set()
    assert outcome(approved, identity, feature) == ("allow", "granted")


def test_a_binding_of_which_all_needs_consent_is_not_there() -> None:
    for change in ({"subjects": SPEC["subjects"][1:]}, {"features": [HIGH]}):
        snapshot, _ = compiled(binding(SPEC | change))
        assert not Snapshot.FromString(snapshot).bindings


def test_an_approved_binding_grants_all_of_it_until_the_last_second_of_the_consent() -> None:
    snapshot, codes = compiled(binding(SPEC), approval(SPEC, "2026-12-31"))
    assert codes == set()
    for identity in (OURS, THEIRS):
        for feature in (LOW, HIGH):
            last = end_of("2026-12-31") - 1
            assert outcome(snapshot, identity, feature, last) == ("allow", "granted")
            expired = outcome(snapshot, identity, feature, last + 1)
            assert expired == ("deny", "binding-expired")


def test_an_approval_lengthens_nothing() -> None:
    snapshot, _ = compiled(binding(SPEC), approval(SPEC, "2027-06-30"))
    assert outcome(snapshot, THEIRS, LOW, end_of("2027-01-31"))[1] == "binding-expired"


def test_of_two_approvals_the_longer_one_counts() -> None:
    both = (approval(SPEC, "2026-11-22"), approval(SPEC, "2027-01-15"))
    snapshot, codes = compiled(binding(SPEC), *both)
    assert codes == set()
    assert outcome(snapshot, THEIRS, HIGH, end_of("2027-01-15") - 1) == ("allow", "granted")


@pytest.mark.parametrize(
    "edit",
    [
        {"purpose": "something else"},
        {"expires": "2027-01-30"},
        {"recertifyBy": "2027-01-30"},
        {"onExcess": "deny"},
        {"features": [HIGH, LOW]},
        {"limits": {"rowsPerRequest": 5}},
    ],
    ids=str,
)
def test_an_approval_of_another_digest_approves_nothing(edit: dict[str, Any]) -> None:
    snapshot, codes = compiled(binding(SPEC | edit), approval(SPEC))
    assert "approval-void" in codes
    assert "grant-across-business-units" in codes
    assert outcome(snapshot, THEIRS, LOW) == ("deny", "not-granted")
    assert outcome(snapshot, OURS, HIGH) == ("deny", "not-granted")


def test_only_the_granting_unit_can_consent() -> None:
    snapshot, codes = compiled(binding(SPEC), approval(SPEC, unit="prod.risk"))
    assert "approval-void" in codes
    assert outcome(snapshot, THEIRS, LOW) == ("deny", "not-granted")


def test_an_approval_that_nothing_needs_changes_no_byte() -> None:
    inside = SPEC | {"subjects": SPEC["subjects"][:1], "features": [LOW]}
    assert compiled(binding(inside), approval(inside, "2026-11-30")) == compiled(binding(inside))


def test_what_needs_consent_needs_it_though_another_set_serves_the_feature() -> None:
    """Or the last day of a binding would depend on who else lists a feature, and check would not know."""
    first = BASE[BASE.rindex("---\n") + 4 :].replace("name: driver-stats", "name: a-first", 1)
    spec = SPEC | {"subjects": SPEC["subjects"][:1]}
    documents = (binding(spec), approval(spec, "2026-12-31"))
    # The first set by name takes the sensitive feature and no other.
    first = re.sub(r"    - \{name: \"driver_\w+:conv_rate\".*\n", "", first)
    first = re.sub(r"  services:.*\n", "", first)
    snapshot, codes = compiled(*documents, base=f"{BASE}---\n{first}")
    assert "feature-claimed-twice" in codes
    (kept,) = Snapshot.FromString(snapshot).bindings
    assert list(kept.features) == [LOW]
    assert kept.expires == end_of("2026-12-31")


def test_no_approval_leads_into_another_environment() -> None:
    dev = (
        "---\napiVersion: featward.dev/v1alpha1\nkind: Environment\n"
        "metadata: {name: dev}\nspec: {trustDomain: dev.acme.example}\n"
    )
    abroad = SPEC | {"subjects": [{"businessUnit": "dev.default"}]}
    documents = (binding(abroad), approval(abroad))
    texts = [("b", BASE + dev), *((str(n), json.dumps(one)) for n, one in enumerate(documents))]
    (finding,) = (one for one in validate(load_texts(texts), NOW) if one.blocks)
    assert finding.code == "foreign-trust-domain"


def test_the_digest_of_a_binding_ignores_fields_that_nobody_wrote() -> None:
    written = json.dumps(SPEC, sort_keys=True, separators=(",", ":"))
    assert digest(SPEC) == f"sha256:{hashlib.sha256(written.encode()).hexdigest()}"


def test_a_null_is_as_if_it_were_not_there() -> None:
    absent = SPEC | {"recertifyBy": None, "limits": {}}
    assert digest(absent) == digest(SPEC | {"limits": {}})


def test_an_overdue_binding_is_suspended_only_where_the_unit_says_so() -> None:
    spec = SPEC | {"subjects": SPEC["subjects"][:1], "features": [LOW], "recertifyBy": "2026-12-31"}
    ceiling = "ceiling: {maxSensitivity: 2,"
    asked = BASE.replace(ceiling, f"{ceiling} suspendOverdue: true,")
    assert asked != BASE
    last = end_of("2026-12-31") - 1
    for base, after in ((BASE, ("allow", "granted")), (asked, ("deny", "binding-expired"))):
        snapshot, codes = compiled(binding(spec), base=base)
        assert codes == set()
        assert outcome(snapshot, OURS, LOW, last) == ("allow", "granted")
        assert outcome(snapshot, OURS, LOW, last + 1) == after


def test_due_and_overdue_come_at_their_second() -> None:
    spec = SPEC | {"subjects": SPEC["subjects"][:1], "features": [LOW], "recertifyBy": "2026-12-31"}
    loaded = load_texts([("base", BASE), ("b", json.dumps(binding(spec)))])
    over = int(end_of("2026-12-31"))
    due = over - 30 * 86_400
    found = [[one.code for one in validate(loaded, now)] for now in (due - 1, due, over - 1, over)]
    assert found == [[], *[["recertification-due"]] * 2, ["recertification-overdue"]]


def test_a_malformed_identity_in_an_approved_binding_is_reported_and_no_error() -> None:
    spec = SPEC | {"subjects": [{"spiffeId": "spiffe://prod.acme.example/bu//svc/x"}]}
    texts = [
        ("base", BASE),
        *(
            (name, json.dumps(one))
            for name, one in (("b", binding(spec)), ("a", approval(spec, "2026-11-01")))
        ),
    ]
    found = validate(load_texts(texts), NOW)
    assert {one.code for one in found} == {"invalid-value", "approval-expired"}


@pytest.fixture
def run() -> Run:
    app = root.build()
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    spec = SPEC | {"expires": "2097-01-31"}
    text = BASE.replace(", maxBindingLife: 90d", "")
    (tmp_path / "base.yaml").write_text(text)
    (tmp_path / "scoring.yaml").write_text(dump(FeatureBinding.model_validate(binding(spec))))
    return tmp_path


def test_approve_prints_what_check_and_explain_then_take(run: Run, folder: Path) -> None:
    caller = ("explain", "--manifests", folder, "--identity", "prod.risk/risk-api")
    ask = (*caller, "--feature-set", "driver-stats", "--features", HIGH, "--output", "json")
    before = json.loads(run(*ask).stdout)
    assert (before["outcome"], before["request"]) == ("deny", None)
    assert before["without_approval"] == ["pricing/scoring"]
    assert run("check", folder).exit_code == 1
    options = ("--manifests", folder, "--reason", "agreed", "--expires", "2096-12-31")
    done = run("approve", "pricing/scoring", *options)
    assert done.exit_code == 0
    assert "prod.payments consents to pricing/scoring" in done.stderr
    assert HIGH in done.stderr
    (folder / "approval.yaml").write_text(done.stdout)
    assert run("check", folder).exit_code == 0
    after = json.loads(run(*ask).stdout)
    assert (after["outcome"], after["without_approval"]) == ("allow", [])


def test_the_terminal_says_who_has_to_consent(run: Run, folder: Path) -> None:
    ask = ("explain", "--manifests", folder, "--identity", "prod.risk/risk-api")
    shown = " ".join(run(*ask, "--feature-set", "driver-stats", "--features", LOW).stdout.split())
    assert "pricing/scoring grants it, and its business unit has not consented" in shown
    assert "featward approve pricing/scoring" in shown


@pytest.mark.parametrize(
    ("change", "consent", "ends_by", "said"),
    [
        ({"recertifyBy": "2025-01-31"}, "2096-12-31", "recertifyBy", "it was to be recertified"),
        ({}, "2025-01-31", "approval", "the last day of its approval"),
        ({"expires": "2025-01-31"}, "2025-01-31", "expires", "until 2025-01-31 policy"),
    ],
    ids=["recertifyBy", "approval", "expires"],
)
def test_explain_says_what_ended_a_binding(
    run: Run, folder: Path, change: dict[str, Any], consent: str, ends_by: str, said: str
) -> None:
    spec = SPEC | {"expires": "2097-01-31"} | change
    base = (folder / "base.yaml").read_text()
    base = base.replace("maxSensitivity: 2", "maxSensitivity: 2, suspendOverdue: true")
    (folder / "base.yaml").write_text(base)
    (folder / "scoring.yaml").write_text(json.dumps(binding(spec)))
    (folder / "approval.yaml").write_text(json.dumps(approval(spec, consent)))
    ask = ["explain", "--manifests", folder, "--identity", "prod.risk/risk-api"]
    ask += ["--feature-set", "driver-stats", "--features", LOW]
    decision = json.loads(run(*ask, "--output", "json").stdout)
    assert decision["reason"] == "binding-expired"
    assert decision["nearest_binding"]["ends_by"] == ends_by
    assert said in " ".join(run(*ask).stdout.split())


def test_approve_says_what_it_cannot_do(run: Run, folder: Path) -> None:
    options = ("--manifests", folder, "--reason", "agreed", "--expires")
    mistyped = run("approve", "pricing/scorin", *options, "2096-12-31")
    assert "did you mean pricing/scoring?" in mistyped.stderr
    assert 'spec.expires is "soon"' in run("approve", "pricing/scoring", *options, "soon").stderr
    spec = SPEC | {"subjects": SPEC["subjects"][:1], "features": [LOW]}
    (folder / "scoring.yaml").write_text(json.dumps(binding(spec)))
    needless = run("approve", "pricing/scoring", *options, "2096-12-31")
    assert needless.exit_code == 1
    assert "needs no consent" in needless.stderr


@pytest.mark.parametrize(
    ("who", "feature"), [("prod.risk/risk-api", LOW), ("prod.payments/pricing-api", HIGH)]
)
def test_a_request_for_what_needs_consent_says_whose(
    run: Run, folder: Path, who: str, feature: str
) -> None:
    (folder / "scoring.yaml").unlink()
    asked = ("--feature-set", "driver-stats", "--identity", who, "--features", feature)
    done = run("request", "--manifests", folder, *asked)
    assert done.exit_code == 0, done.stderr
    assert "kind: FeatureBinding" in done.stdout
    assert "ask prod.payments for its consent" in " ".join(done.stderr.split())

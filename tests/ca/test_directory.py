"""From manifests to what the CA acts on: who may attest whom, and how often SVIDs are renewed."""

from pathlib import Path

import pytest

from ca_kit import OpenCore, a_directory, issue
from featward_ca.clock import SystemClock
from featward_ca.directory import Cluster, JwtIssuer, JwtRule
from featward_ca.errors import ConfigurationError
from featward_ca.manifests import read_directory
from featward_ca.server import running
from featward_ca.settings import DAY, HOUR, ServeSettings
from featward_ca.situation import Situation

UNITS = """
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.payments}
---
apiVersion: v1
kind: Namespace
metadata: {name: pricing, labels: {featward.dev/business-unit: prod.payments}}
---
apiVersion: v1
kind: Namespace
metadata: {name: misc}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: nightly}
spec:
  businessUnit: prod.payments
  name: nightly
  role: ci
  attest: {jwt: {issuer: ci, claims: {sub: "a", ref: main}}}
"""
ENVIRONMENT = """
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: %s}
spec: {trustDomain: %s.acme.example, %s}
"""
FULL = (
    'clusters: [{name: eu1, issuer: "https://eu1.acme.example", businessUnits: [prod.payments]}],'
    ' jwtIssuers: [{name: ci, issuer: "https://ci.acme.example", maxKeyAge: 5m, caFile: /ca.pem}],'
    " svidTTL: 24h, renewEvery: 1h"
)


def folder(path: Path, spec: str = FULL, more: str = "") -> Path:
    (path / "all.yaml").write_text(ENVIRONMENT % ("prod", "prod", spec) + UNITS + more)
    return path


def test_the_manifests_say_whose_word_counts(tmp_path: Path) -> None:
    directory = read_directory(folder(tmp_path), "prod")
    assert directory.clusters == (
        Cluster("eu1", "https://eu1.acme.example", frozenset({"prod.payments"})),
    )
    assert directory.jwt_issuers == (JwtIssuer("ci", "https://ci.acme.example", "/ca.pem", 300.0),)
    assert directory.namespaces == {"pricing": "prod.payments", "misc": "prod.default"}
    assert (directory.default_unit, directory.renew_every) == ("prod.default", HOUR)
    job = directory.workload("prod.payments/nightly")
    assert job.jwt == JwtRule("ci", (("ref", "main"), ("sub", "a")))
    assert job.spiffe_id.path == "/bu/payments/ci/nightly"


def test_a_unit_says_how_often_its_authority_is_replaced(tmp_path: Path) -> None:
    unit = (
        "---\napiVersion: featward.dev/v1alpha1\nkind: BusinessUnit\nmetadata: {name: prod.often}\n"
        "spec: {authority: {lifetime: 30d, rotateEvery: 7d}}\n"
    )
    directory = read_directory(folder(tmp_path, more=unit), "prod")
    assert directory.rotate_every == {"prod.often": 7 * DAY}
    assert directory.business_units["prod.often"] == 30 * DAY
    situation = Situation.of(directory, unsafe_short_lives=False)
    assert situation.lifetimes.rotate_every == directory.rotate_every


def test_with_several_environments_nobody_is_anybodys_by_default(tmp_path: Path) -> None:
    second = "---" + ENVIRONMENT % ("dev", "dev", "svidTTL: 1h")
    directory = read_directory(folder(tmp_path, more=second), "prod")
    assert directory.namespaces == {"pricing": "prod.payments", "misc": None}
    assert directory.default_unit is None


@pytest.mark.parametrize("key", ["clusters", "jwtIssuers"])
@pytest.mark.parametrize(
    ("second", "what"),
    [
        ('name: a, issuer: "https://b.acme.example"', "the name a"),
        ('name: b, issuer: "https://a.acme.example"', "the issuer https://a.acme.example"),
    ],
)
def test_a_token_that_would_lead_to_two_places_stops_the_start(
    tmp_path: Path, key: str, second: str, what: str
) -> None:
    first = '{name: a, issuer: "https://a.acme.example"}'
    with pytest.raises(ConfigurationError, match=f"2 {key} of the Environment have {what}"):
        read_directory(folder(tmp_path, f"{key}: [{first}, {{{second}}}]"), "prod")


@pytest.mark.parametrize(("every", "due"), [(None, HOUR / 2), (600.0, 600.0), (1700.0, 1700.0)])
async def test_renewal_is_due_at_half_or_after_renew_every(
    open_core: OpenCore, every: float | None, due: float
) -> None:
    core = await open_core(a_directory(renew_every=every))
    row = (await issue(core, "prod.payments/feast")).row
    assert 0.89 * due <= row.renew_at - row.issued_at <= 1.11 * due
    assert row.not_after - row.issued_at == HOUR


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clusters": {"us1": "in-cluster"}}, "has no cluster us1; it has: eu1"),
        ({"clusters": {"eu1": "in-cluster"}}, "not in a pod"),
        ({"clusters": {"eu1": "/nowhere/kubeconfig"}}, "/nowhere/kubeconfig can't be read"),
        ({"operator": "eu1/featward"}, "is no operator"),
        ({"operator": "eu1/featward/operator"}, "there is no --cluster eu1=KUBECONFIG"),
    ],
)
async def test_a_cluster_that_can_not_be_asked_stops_the_start(
    tmp_path: Path,
    changes: dict[str, object],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    values: dict[str, object] = {
        "environment": "prod",
        "data": tmp_path / "data",
        "manifests": folder(tmp_path),
        "kek_file": tmp_path / "kek",
        "listen": "127.0.0.1:0",
        "workload_socket": None,
        "admin_socket": tmp_path / "a.sock",
        "health": None,
    }
    settings = ServeSettings(**(values | changes))  # type: ignore[arg-type]  # by name
    with pytest.raises(ConfigurationError, match=said):
        async with running(settings, SystemClock()):
            pass

"""`relax`, `approve` and `rotate` on a real API server."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from crd_kit import collection
from featward.manifests.text import second_of
from kubectl_kit import Place
from kubernetes_programs import BUILD_SECONDS

pytestmark = pytest.mark.timeout(BUILD_SECONDS)


def overrides(place: Place) -> list[dict[str, Any]]:
    """Those of the place's feature sets."""
    listed = place.kubernetes.call("GET", collection("Override"))["items"]
    return [
        one["spec"] | {"name": one["metadata"]["name"]}
        for one in listed
        if (one["spec"]["target"].get("featureSet") or {}).get("namespace") == place.ml
    ]


@pytest.mark.parametrize("close", [False, True])
def test_a_set_is_relaxed_or_closed_for_as_long_as_is_said(place: Place, close: bool) -> None:
    place.apply_set()
    more = ["--close"] if close else []
    began = time.time()
    done = place.run("relax", "drivers", "-n", place.ml, "--for", "1h", "--reason", "broken", *more)
    assert done.status == 0, done.err
    (made,) = overrides(place)
    assert made["action"] == ("close" if close else "relax")
    assert made["target"] == {"featureSet": {"namespace": place.ml, "name": "drivers"}}
    assert made["reason"] == "broken"
    assert abs(second_of(made["expires"]) - began - 3600) < 30
    assert made["expires"] in done.out
    assert f"kubectl delete override {made['name']}" in done.out


def test_relax_longer_than_allowed_is_refused_before_the_server(place: Place) -> None:
    place.apply_set()
    told = ["relax", f"{place.ml}/drivers", "--reason", "broken", "--for"]
    done = place.run(*told, "4h1m")
    assert done.status == 1
    assert f"4h1m is longer than 4h, the maxOverride of environment {place.environment}" in done.err
    place.apply_environment()
    done = place.run(*told, "1m")
    assert done.status == 1
    assert f"environment {place.environment} has no maxOverride" in done.err
    done = place.run(*told, "an hour")
    assert done.status == 1
    assert "'an hour' is no duration" in done.err
    done = place.run("relax", "drivres", "-n", place.ml, "--for", "1m", "--reason", "x")
    assert done.status == 1
    assert "did you mean" in done.err
    # The server was not asked for any of them.
    assert overrides(place) == []


def test_who_may_not_is_told_so_by_the_server(place: Place) -> None:
    place.apply_set()
    nobody = place.kubernetes.kubeconfig(f"reader-{place.environment}")
    allow(place, f"reader-{place.environment}", ["get", "list"])
    done = place.run(
        "relax", f"{place.ml}/drivers", "--for", "1m", "--reason", "x", kubeconfig=nobody
    )
    assert done.status == 1
    assert "403 Forbidden" in done.err
    assert "overrides.featward.dev is forbidden" in done.err
    # And who may not even read is told what is missing, without a traceback.
    stranger = place.kubernetes.kubeconfig(f"stranger-{place.environment}")
    done = place.run("relax", "drivers", "--for", "1m", "--reason", "x", kubeconfig=stranger)
    assert done.status == 1
    assert "no Environment can be read" in done.err
    assert "you may not list environments.featward.dev" in done.err
    assert "Traceback" not in done.err


def allow(place: Place, user: str, verbs: list[str]) -> None:
    """Let a user do this with all that is ours, and with namespaces."""
    base = "/apis/rbac.authorization.k8s.io/v1"
    rule = {"apiGroups": ["featward.dev", ""], "resources": ["*"], "verbs": verbs}
    role = {"metadata": {"name": user}, "rules": [rule]}
    place.kubernetes.call("POST", f"{base}/clusterroles", role)
    binding = {
        "metadata": {"name": user},
        "subjects": [{"kind": "User", "name": user}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user},
    }
    place.kubernetes.call("POST", f"{base}/clusterrolebindings", binding)


def test_an_approval_is_of_the_binding_as_it_stands(place: Place) -> None:
    place.apply("BusinessUnit", place.unit, {"ceiling": {"maxSensitivity": 0}})
    place.apply_set()
    place.apply_binding()
    told = ["approve", "api", "-n", place.ml, "--reason", "agreed", "--expires"]
    done = place.run(*told, "2097-01-31", "--output", "json")
    made = done.json
    assert made["spec"]["businessUnit"] == place.unit
    first = made["spec"]["bindingDigest"]
    assert f"above the ceiling: {'hourly:a'}" in place.run(*told, "2097-01-31").out
    # The binding was edited: the same command consents to what it is now.
    place.apply_binding(features=["hourly:b"])
    again = place.run(*told, "2097-02-28", "-o", "json").json
    assert again["metadata"]["name"] == made["metadata"]["name"]
    assert again["spec"]["bindingDigest"] != first
    assert again["spec"]["expires"] == "2097-02-28"
    done = place.run(*told, "tomorrow")
    assert done.status == 1
    assert "tomorrow" in done.err
    place.apply("BusinessUnit", place.unit, {"ceiling": {"maxSensitivity": 3}})
    done = place.run(*told, "2097-01-31")
    assert "needs no consent" in done.err
    place.kubernetes.ask("DELETE", f"{collection('GrantApproval')}/{made['metadata']['name']}")


def annotations(place: Place, kind: str, name: str) -> dict[str, str]:
    found = place.kubernetes.call("GET", f"{collection(kind)}/{name}")
    return {
        key.partition("/")[2]: value
        for key, value in (found["metadata"].get("annotations") or {}).items()
    }


def test_a_rotation_is_asked_for_paused_and_resumed(place: Place) -> None:
    began = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert place.run("rotate", place.unit).status == 0
    asked = annotations(place, "BusinessUnit", place.unit)["rotate-requested-at"]
    assert began <= asked <= datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert place.run("rotate", place.environment, "--pause").status == 0
    assert annotations(place, "Environment", place.environment)["rotation"] == "paused"
    assert place.run("rotate", place.environment, "--resume").status == 0
    assert "rotation" not in annotations(place, "Environment", place.environment)
    done = place.run("rotate", f"{place.unit}s")
    assert done.status == 1
    assert f"there is no BusinessUnit {place.unit}s: did you mean {place.unit}?" in done.err
    done = place.run("rotate", place.unit, "--pause", "--resume")
    assert done.status == 1
    assert "give --pause alone" in done.err


def test_the_namespace_is_that_of_the_context(place: Place, tmp_path: Path) -> None:
    place.apply_set()
    # Elsewhere there is one of the same name.
    place.apply_set(namespace=place.shop)
    config = yaml.safe_load(place.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = place.ml
    mine = tmp_path / "mine"
    mine.write_text(yaml.safe_dump(config))
    done = place.run("relax", "drivers", "--for", "1m", "--reason", "x", kubeconfig=mine)
    assert done.status == 0, done.err
    assert len(overrides(place)) == 1


def test_without_a_way_in_it_says_which(place: Place, tmp_path: Path) -> None:
    done = place.run("status", kubeconfig=tmp_path / "none")
    assert done.status == 1
    assert "there is no kubeconfig" in done.err
    assert "Traceback" not in done.err

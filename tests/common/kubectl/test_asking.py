"""`status`, `explain`, `unprotected` and `exposure` on a real API server."""

from typing import Any

import pytest
import yaml

from featward.kubectl.screen import Row, Section, fitted, height
from kubectl_kit import FEATURES, Place, a_sidecar
from kubernetes_programs import BUILD_SECONDS

pytestmark = pytest.mark.timeout(BUILD_SECONDS)
WHEN = "2026-11-23T11:00:00Z"


def condition(question: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": question,
        "status": status,
        "reason": reason,
        "message": message or reason,
        "lastTransitionTime": WHEN,
    }


@pytest.fixture
def served(place: Place) -> Place:
    place.apply_set()
    place.apply_binding()
    return place


def test_explain_names_the_binding_to_ask_for(served: Place) -> None:
    pod = served.pod(served.shop, "api", initContainers=[a_sidecar()])
    told = ["explain", pod, "-n", served.shop, "--feature-set", f"{served.ml}/drivers"]
    done = served.run(*told, "--features", ",".join(FEATURES))
    assert done.status == 0, done.err
    assert "deny (not-granted)" in done.out
    assert f"spiffe://{served.domain}/bu/payments/ns/{served.shop}/sa/api" in done.out
    assert f"have the owner add this in the namespace {served.ml}" in done.out
    text = done.out.partition("apiVersion:")
    binding = yaml.safe_load("apiVersion:" + text[2])
    assert binding["kind"] == "FeatureBinding"
    assert binding["spec"]["features"] == [FEATURES[1]]
    assert binding["spec"]["subjects"] == [
        {"serviceAccount": {"namespace": served.shop, "name": "api"}}
    ]
    # It is one that the cluster takes, and then the request is allowed.
    served.apply_binding("more", **binding["spec"])
    decision = served.run(*told, "--features", ",".join(FEATURES), "-o", "json").json
    assert decision["decisions"][0]["outcome"] == "allow"
    assert decision["decisions"][0]["binding"] is None


def test_explain_shows_grants_and_what_was_refused_of_late(served: Place) -> None:
    pod = served.pod(served.shop, "api")
    caller = f"spiffe://{served.domain}/bu/payments/ns/{served.shop}/sa/api"
    seen = {"caller": caller, "reason": "not-granted", "missing": [FEATURES[1]]}
    gone = {**seen, "missing": ["hourly:gone"]}
    rows = [one | {"lastSeen": WHEN, "count": 3} for one in (seen, gone)]
    served.say("FeatureSet", "drivers", {"wouldBeRefused": rows}, served.ml)
    found = served.run("explain", f"{served.shop}/{pod}", "-o", "json").json
    assert found["identity"] == caller
    assert [one["feature"] for one in found["grants"]] == [FEATURES[0]]
    (decision,) = found["decisions"]
    assert decision["missing"] == [FEATURES[1]]
    assert decision["binding"]["spec"]["features"] == [FEATURES[1]]
    assert any("has no sidecar" in one for one in found["notes"])
    assert any("hourly:gone" in one for one in found["notes"])
    # An Override that closes the set counts as it does in sidecars.
    told = ["relax", "drivers", "-n", served.ml, "--for", "1h", "--reason", "x", "--close"]
    assert served.run(*told).status == 0
    asked = ["--feature-set", "drivers", "--features", FEATURES[0], "-o", "json"]
    closed = served.run("explain", f"{served.shop}/{pod}", *asked)
    assert "closed" in closed.out or "any of" in closed.err, closed


def test_explain_says_what_is_wrong_with_a_question(served: Place) -> None:
    pod = served.pod(served.shop, "api")
    for told, said in (
        (["nobody"], "there is no pod nobody in the namespace"),
        ([pod, "--features", "hourly:a"], "give --feature-set with them"),
        ([pod, "--feature-set", "drivers"], "a request names features or a service"),
        ([pod, "--feature-set", "drivres", "--service", "x"], "is not declared"),
    ):
        done = served.run("explain", *told, "-n", served.shop)
        assert done.status == 1, done
        assert said in done.err
    lonely = served.kubernetes.namespace("nobody.knows")
    stray = served.pod(lonely, "api")
    done = served.run("explain", f"{lonely}/{stray}")
    assert "has no identity" in done.err


def test_unprotected_pods_are_listed_with_the_reason(served: Place) -> None:
    label = {"featward.dev/inject": "server"}
    inside = served.ml
    good = served.pod(inside, "feast", labels=label, initContainers=[a_sidecar()])
    missing = served.pod(inside, "feast", labels=label)
    annotated = served.pod(inside, "other", annotations={"featward.dev/inject": "client"})
    unasked = served.pod(inside, "feast")
    refusing = served.pod(inside, "feast", labels={"featward.dev/inject": "false"})
    plain = served.pod(inside, "other")
    found = served.run("unprotected", "-n", inside, "-o", "json").json
    reasons = {one["pod"]: one["reason"] for one in found}
    assert reasons == {
        missing: "sidecar-missing",
        annotated: "annotation-without-namespace",
        unasked: "not-asked",
        refusing: "asked-false",
    }
    assert good not in reasons
    assert plain not in reasons
    assert f"it serves {inside}/drivers" in served.run("unprotected", "-n", inside).out
    patch = {"metadata": {"labels": {"featward.dev/protection": "suspended"}}}
    path = f"/api/v1/namespaces/{inside}"
    served.kubernetes.call("PATCH", path, patch, "merge-patch+json")
    found = served.run("unprotected", "-n", inside, "-o", "json").json
    assert {one["pod"]: one["reason"] for one in found}[missing] == "protection-suspended"
    done = served.run("unprotected", "-n", served.shop)
    assert "Every pod that should have a sidecar has one." in done.out


def test_exposure_shows_each_port_and_prints_what_closes_it(served: Place) -> None:
    served.apply_set(
        accepted=[{"what": "registry", "reason": "local", "until": "2097-01-01"}],
    )
    probe = {"httpGet": {"path": "/health", "port": 6566}}
    containers = [
        {
            "name": "app",
            "image": "localhost/app:1",
            "ports": [{"containerPort": 6566}, {"containerPort": 6570}],
            "readinessProbe": probe,
        }
    ]
    labels = {"app": "feast", "featward.dev/server": "feast"}
    pod = served.pod(
        served.ml, "feast", labels=labels, containers=containers, initContainers=[a_sidecar()]
    )
    body = {
        "metadata": {"name": "feast"},
        "spec": {"selector": {"app": "feast"}, "ports": [{"port": 80, "targetPort": 6566}]},
    }
    served.kubernetes.call("POST", f"/api/v1/namespaces/{served.ml}/services", body)
    (found,) = served.run("exposure", "-n", served.ml, "-o", "json").json
    states = {one["port"]: (one["state"], one["what"], one["services"]) for one in found["ports"]}
    assert states == {
        6566: ("open", "feature-server", ["feast"]),
        6570: ("accepted", "registry", []),
    }
    assert found["featureSets"] == [f"{served.ml}/drivers"]
    shown = served.run("exposure", f"{served.ml}/{pod}")
    assert "on loopback port 6566 would fail the readinessProbe (httpGet)" in shown.out
    assert "beyond the pod: online-store: nobody says who reaches it" in shown.out
    done = served.run("exposure", pod, "-n", served.ml, "--network-policy")
    policy = yaml.safe_load(done.out)
    assert "NetworkPolicies" in done.err
    path = f"/apis/networking.k8s.io/v1/namespaces/{served.ml}/networkpolicies"
    served.kubernetes.call("POST", path, policy)
    (found,) = served.run("exposure", "-n", served.ml, "-o", "json").json
    assert {one["port"]: one["state"] for one in found["ports"]}[6566] == "closed-by-policy"
    # One that lets all in makes it vain, and whoever prints it is told.
    everybody = {"metadata": {"name": "all"}, "spec": {"podSelector": {}, "ingress": [{}]}}
    served.kubernetes.call("POST", path, everybody)
    done = served.run("exposure", pod, "-n", served.ml, "--network-policy")
    assert "port 6566 stays open in spite of it: all lets in everybody" in done.err
    done = served.run("exposure", "--network-policy")
    assert "name one of them" in done.err


def test_status_shows_what_is_wrong(served: Place) -> None:
    served.say(
        "BusinessUnit",
        served.unit,
        {
            "conditions": [
                condition("Ready", "True", "Ready"),
                condition("Rotating", "False", "Blocked", "activate waits for a pod that is gone"),
            ],
            "rotation": {"id": "r", "step": "activate", "state": "blocked", "progress": "41/42"},
            "authority": {"id": "a", "generation": 7},
        },
    )
    refused = condition("Ready", "False", "UpstreamOnAllAddresses", "port 6566 is open")
    said = {"conditions": [refused], "mode": "shadow", "progress": "2/3", "refusedLastHour": 4}
    served.say("FeatureSet", "drivers", said, served.ml)
    overdue = condition("Overdue", "True", "RecertificationOverdue", "recertify it")
    granting = condition("Granting", "True", "InForce")
    served.say("FeatureBinding", "api", {"conditions": [granting, overdue]}, served.ml)
    served.run("relax", "drivers", "-n", served.ml, "--for", "1h", "--reason", "broken")
    done = served.run("status", "-n", served.ml)
    assert done.status == 0, done.err
    lines = {line.split()[0]: line for line in done.out.splitlines() if line.strip()}
    assert "generation 7" in lines[served.unit]
    assert "Blocked" in lines[served.unit]
    assert "41/42" in lines[served.unit]
    assert "activate waits for a pod that is gone" in lines[served.unit]
    row = lines[f"{served.ml}/drivers"]
    assert all(word in row for word in ("UpstreamOnAllAddresses", "shadow", "2/3", "4", "is open"))
    assert "recertify it" in lines[f"{served.ml}/api"]
    assert any(line.startswith("relax-drivers-") for line in done.out.splitlines())
    kinds = {one["kind"] for one in served.run("status", "-n", served.ml, "-o", "json").json}
    assert kinds >= {"Environment", "BusinessUnit", "FeatureSet", "FeatureBinding", "Override"}


def test_status_fits_one_screen(served: Place) -> None:
    for number in range(40):
        served.apply_set(f"set-{number:02}", features=[{"name": f"v:c{number}", "type": "double"}])
    bad = condition("Ready", "False", "NoPods", "nothing serves it " * 20)
    served.say("FeatureSet", "set-33", {"conditions": [bad]}, served.ml)
    done = served.run("status", "-n", served.ml, lines=24)
    assert done.status == 0, done.err
    lines = done.out.split("\x1b[2J")[-1].rstrip("\n").splitlines()
    assert len(lines) <= 24
    assert max(len(strip(line)) for line in lines) <= 110
    assert any("set-33" in line for line in lines)
    assert any("more, all well" in line for line in lines)
    # In a pipe nothing is left out.
    assert "set-07" in served.run("status", "-n", served.ml).out


def strip(line: str) -> str:
    """Without what colours it."""
    import re

    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def test_what_is_left_out_is_counted_and_bad_ones_stay() -> None:
    many = tuple(Row((f"s{number}",), bad=number % 10 == 9) for number in range(30))
    few = (Row(("one",)),)
    sections = [Section("a", ("x",), many), Section("b", ("y",), few), Section("c", ("z",), ())]
    shown = fitted(sections, 12)
    assert height(shown) <= 12
    assert [row.cells[0] for row in shown[0].rows[:3]] == ["s9", "s19", "s29"]
    assert shown[0].left_out == (30 - len(shown[0].rows), 0)
    assert shown[1].rows == few
    assert "all well" in shown[0].summary
    tight = fitted(sections, 1)
    assert tight[0].left_out == (29, 2)
    assert "2 of them with trouble" in tight[0].summary
    assert fitted(sections, 100)[0].left_out == (0, 0)

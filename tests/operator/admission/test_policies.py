"""What holds without the operator: the policies, in a real API server, with nobody to answer a webhook."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from admission_kit import (
    OWN_NAMESPACE,
    REPOSITORY,
    Admitted,
    grant,
    install_policies,
    install_webhook,
    refusal,
    user,
)
from featward.kubernetes.errors import ApiError
from featward.kubernetes.gateway import MERGE_PATCH, Gateway
from kubernetes_kit import Kubernetes

pytestmark = pytest.mark.timeout(240)
FEATWARD = "/apis/featward.dev/v1alpha1"
# Nobody listens there.
NOBODY = 9


def rule(group: str, resources: str, verbs: str, *names: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "apiGroups": [group],
        "resources": resources.split(),
        "verbs": verbs.split(),
    }
    return found | ({"resourceNames": list(names)} if names else {})


def assign(*units: str) -> dict[str, Any]:
    return rule("featward.dev", "businessunits", "assign", *units)


NAMESPACES = rule("", "namespaces namespaces/status namespaces/finalize", "get create update patch")


def pod(inject: str | None = "server", **spec: Any) -> dict[str, Any]:
    labels = {"featward.dev/inject": inject} if inject else {}
    app = {"name": "app", "image": "localhost/app:1"}
    return {
        "metadata": {"generateName": "feast-", "labels": labels},
        "spec": {"containers": [app], **spec},
    }


def sidecar(image: str = f"{REPOSITORY}:0.2.0", **more: Any) -> dict[str, Any]:
    return {"name": "featward-sidecar", "image": image, "restartPolicy": "Always", **more}


@pytest.fixture
def place(guarded: Kubernetes) -> Admitted:
    found = Admitted(guarded, guarded.namespace("prod.payments"))
    found.account("default")
    return found


async def labelled(gateway: Gateway, name: str, sub: str = "", **labels: str | None) -> str:
    """Change labels of featward of a namespace; why not, where it is refused."""
    told = {f"featward.dev/{key.replace('_', '-')}": value for key, value in labels.items()}
    path = f"/api/v1/namespaces/{name}{f'/{sub}' if sub else ''}"
    body = {"metadata": {"labels": told}}
    return await refusal(gateway.ask("PATCH", path, body, content=MERGE_PATCH))


@pytest.mark.parametrize("inject", ["server", "client", "sevrer", ""])
def test_an_opted_in_pod_without_the_sidecar_is_refused_with_the_webhook_gone(
    place: Admitted, inject: str
) -> None:
    # An empty value is a word that nobody knows, and no way out.
    told = pod(None) | {"metadata": {"name": "a", "labels": {"featward.dev/inject": inject}}}
    status, answer = place.create(told)
    assert status == 403
    assert "asks for featward's sidecar" in answer["message"]


def test_a_pod_that_does_not_ask_needs_no_sidecar(place: Admitted) -> None:
    assert place.create(pod(None))[0] == 201
    assert place.create(pod("false"))[0] == 201


@pytest.mark.parametrize(
    ("container", "status"),
    [
        (sidecar(), 201),
        (sidecar(f"{REPOSITORY}@sha256:{'0' * 64}"), 201),
        (sidecar(f"{REPOSITORY}-evil:0.2.0"), 403),
        (sidecar("evil.example/featward:0.2.0"), 403),
        (sidecar(REPOSITORY), 403),
        ({"name": "featward-sidecar", "image": f"{REPOSITORY}:0.2.0"}, 403),
        (sidecar() | {"name": "featward-sidecars"}, 403),
    ],
)
def test_what_counts_as_a_sidecar(place: Admitted, container: dict[str, Any], status: int) -> None:
    found, answer = place.create(pod("server", initContainers=[container]))
    assert found == status, answer


def test_an_annotation_counts_where_the_namespace_says_so(guarded: Kubernetes) -> None:
    place = Admitted(guarded, guarded.namespace("prod.payments"))
    place.account("default")
    told = pod(None)
    told["metadata"]["annotations"] = {"featward.dev/inject": "server"}
    assert place.create(told)[0] == 201
    path = f"/api/v1/namespaces/{place.namespace}"
    body = {"metadata": {"labels": {"featward.dev/injection": "enabled"}}}
    guarded.call("PATCH", path, body, "merge-patch+json")
    assert place.create(told)[0] == 403
    told["metadata"]["labels"] = {"featward.dev/inject": "false"}
    assert place.create(told)[0] == 201


def test_a_running_pod_takes_edits_but_no_other_image_for_its_sidecar(place: Admitted) -> None:
    status, made = place.create(pod("server", initContainers=[sidecar()]), dry=False)
    assert status == 201
    path = f"/api/v1/namespaces/{place.namespace}/pods/{made['metadata']['name']}"

    def edited(image: str) -> int:
        body = {"spec": {"initContainers": [{"name": "featward-sidecar", "image": image}]}}
        return place.kubernetes.ask("PATCH", path, body, "strategic-merge-patch+json")[0]

    assert edited("evil.example/featward:0.2.0") == 403
    assert edited(f"{REPOSITORY}:0.2.1") == 200
    late = {"metadata": {"labels": {"featward.dev/inject": "client", "more": "edits"}}}
    assert place.kubernetes.ask("PATCH", path, late, "merge-patch+json")[0] == 200


def test_with_every_replica_dead_only_those_who_ask_are_refused(place: Admitted) -> None:
    kubernetes = place.kubernetes
    install_webhook(kubernetes, NOBODY)
    try:
        status, answer = place.create(pod())
        assert status == 500
        assert "failed calling webhook" in answer["message"]
        assert place.create(pod(None))[0] == 201
        for name in ("kube-system", "featward"):
            other = Admitted(kubernetes, name)
            other.account("default")
            assert other.create(pod())[0] == 201, name
        suspended = Admitted(kubernetes, kubernetes.namespace("prod.payments"))
        suspended.account("default")
        body = {"metadata": {"labels": {"featward.dev/protection": "suspended"}}}
        path = f"/api/v1/namespaces/{suspended.namespace}"
        kubernetes.call("PATCH", path, body, "merge-patch+json")
        assert suspended.create(pod())[0] == 201
    finally:
        path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/featward"
        kubernetes.call("DELETE", path)


async def until(allowed: Any) -> None:
    """Roles reach the server's authorizer a moment after they are made."""
    for _ in range(100):
        if not await allowed():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(await allowed())


async def test_a_unit_is_taken_by_those_who_may_assign_the_old_and_the_new_one(
    guarded: Kubernetes,
) -> None:
    name = guarded.namespace("prod.payments")
    async with (
        user(guarded, NAMESPACES, assign("prod.payments")) as payments,
        user(guarded, NAMESPACES, assign("prod.payments", "prod.risk")) as both,
        user(guarded, NAMESPACES) as nobody,
    ):
        await until(lambda: labelled(both, name, business_unit="prod.risk"))
        await until(lambda: labelled(both, name, business_unit="prod.payments"))
        said = await labelled(payments, name, business_unit="prod.risk")
        assert "need the verb assign on businessunits.featward.dev prod.risk" in said
        guarded.relabel(name, "prod.risk")
        said = await labelled(payments, name, business_unit="prod.payments")
        assert "the namespace is of prod.risk" in said
        assert await labelled(payments, name, business_unit=None)
        assert "verb assign" in await labelled(nobody, name, business_unit="prod.payments")
        assert not await refusal(
            nobody.ask(
                "PATCH",
                f"/api/v1/namespaces/{name}",
                {"metadata": {"labels": {"team": "x"}}},
                content=MERGE_PATCH,
            )
        )


@pytest.mark.parametrize("sub", ["status", "finalize"])
async def test_relabelling_through_status_is_refused_too(guarded: Kubernetes, sub: str) -> None:
    name = guarded.namespace("prod.payments")
    async with user(guarded, NAMESPACES, assign("prod.payments")) as payments:
        await until(lambda: labelled(payments, name, injection="enabled"))
        path = f"/api/v1/namespaces/{name}"
        told = await payments.ask("GET", path)
        told["metadata"]["labels"]["featward.dev/business-unit"] = "prod.risk"
        said = await refusal(payments.ask("PUT", f"{path}/{sub}", told))
        assert "prod.risk" in said
        told["metadata"]["labels"]["featward.dev/business-unit"] = "prod.payments"
        assert not await refusal(payments.ask("PUT", f"{path}/{sub}", told))


async def test_who_may_not_assign_may_not_suspend(guarded: Kubernetes) -> None:
    name = guarded.namespace("prod.payments")
    async with (
        user(guarded, NAMESPACES, assign("prod.payments")) as payments,
        user(guarded, NAMESPACES, assign("prod.risk")) as risk,
    ):
        await until(lambda: labelled(payments, name, protection="suspended"))
        assert not await labelled(payments, name, protection=None)
        assert "prod.payments" in await labelled(risk, name, protection="suspended")
        assert await labelled(risk, name, injection="enabled")
        await labelled(payments, name, protection="suspended")
        assert await labelled(risk, name, protection=None), "nor end it"


async def test_a_new_namespace_is_labelled_by_those_who_may(guarded: Kubernetes) -> None:
    def made(gateway: Gateway, name: str, unit: str | None) -> Any:
        labels = {"featward.dev/business-unit": unit} if unit else {}
        body = {"metadata": {"name": name, "labels": labels}}
        return refusal(gateway.ask("POST", "/api/v1/namespaces", body, query=[("dryRun", "All")]))

    async with user(guarded, NAMESPACES, assign("prod.payments")) as payments:
        await until(lambda: made(payments, "fresh", "prod.payments"))
        assert "prod.risk" in await made(payments, "fresh", "prod.risk")
        assert not await made(payments, "fresh", None)


async def test_a_namespace_without_unit_is_for_those_who_may_assign_all(
    guarded: Kubernetes,
) -> None:
    name = guarded.namespace()
    async with (
        user(guarded, NAMESPACES, assign("prod.payments")) as payments,
        user(guarded, NAMESPACES, assign()) as everything,
    ):
        await until(lambda: labelled(everything, name, protection="suspended"))
        await labelled(everything, name, protection=None)
        assert "of none" in await labelled(payments, name, protection="suspended")
        assert "no business unit" in await labelled(payments, name, business_unit="prod.payments")


def operator_login(kubernetes: Kubernetes, folder: Path, role: str, rules: dict[str, Any]) -> str:
    """A kubeconfig of the operator's own account, which has these rules."""
    Admitted(kubernetes, OWN_NAMESPACE).account("featward-operator")
    account = f"/api/v1/namespaces/{OWN_NAMESPACE}/serviceaccounts/featward-operator/token"
    token = folder / "token"
    token.write_text(kubernetes.call("POST", account, {"spec": {}})["status"]["token"])
    grant(kubernetes, role, f"system:serviceaccount:{OWN_NAMESPACE}:featward-operator", rules)
    return str(kubernetes.kubeconfig_with_token(role, token))


async def test_nobody_but_the_operator_says_whom_pods_trust_at_first_contact(
    guarded: Kubernetes, tmp_path: Path
) -> None:
    namespace = guarded.namespace("prod.payments")
    maps = rule("", "configmaps", "get create update patch delete")
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    trust = {"metadata": {"name": "featward-trust"}, "data": {"root.sha256": "00"}}
    where = operator_login(guarded, tmp_path, "operator-maps", maps)
    async with user(guarded, maps) as team, await Gateway.open(where, agent="tests") as ours:
        other = {"metadata": {"name": "mine"}}
        await until(lambda: refusal(team.ask("POST", path, other, query=[("dryRun", "All")])))
        assert "only featward's operator" in await refusal(team.ask("POST", path, trust))
        await until(lambda: refusal(ours.ask("POST", path, other, query=[("dryRun", "All")])))
        assert not await refusal(ours.ask("POST", path, trust))
        edit = {"data": {"root.sha256": "11"}}
        name = f"{path}/featward-trust"
        assert await refusal(team.ask("PATCH", name, edit, content=MERGE_PATCH))
        assert not await refusal(ours.ask("PATCH", name, edit, content=MERGE_PATCH))
        assert not await refusal(team.ask("DELETE", name)), "a namespace can be emptied"


APPROVE = rule("featward.dev", "grantapprovals", "get create update patch delete")


def approval(unit: str, reason: str = "reviewed") -> dict[str, Any]:
    return {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "GrantApproval",
        "metadata": {"name": "pricing"},
        "spec": {"businessUnit": unit, "reason": reason},
    }


async def test_an_approval_needs_the_verb_on_its_unit(guarded: Kubernetes) -> None:
    may = rule("featward.dev", "businessunits", "approve", "prod.payments")
    path = f"{FEATWARD}/grantapprovals"
    async with (
        user(guarded, APPROVE, may) as payments,
        user(guarded, APPROVE, assign()) as assigner,
        user(guarded, APPROVE, rule("featward.dev", "businessunits", "approve")) as all_units,
    ):
        dry = [("dryRun", "All")]
        await until(
            lambda: refusal(payments.ask("POST", path, approval("prod.payments"), query=dry))
        )
        said = await refusal(payments.ask("POST", path, approval("prod.risk")))
        assert "needs the verb approve on businessunits.featward.dev prod.risk" in said
        assert await refusal(assigner.ask("POST", path, approval("prod.payments")))
        made = await all_units.ask("POST", path, approval("prod.risk"))
        other = {"spec": {"businessUnit": "prod.payments"}}
        said = await refusal(payments.ask("PATCH", f"{path}/pricing", other, content=MERGE_PATCH))
        assert "this approval is of prod.risk" in said
        labels = {"metadata": {"labels": {"a": "b"}}}
        assert not await refusal(
            payments.ask("PATCH", f"{path}/pricing", labels, content=MERGE_PATCH)
        ), "who consents to what is not changed by it"
        assert made["spec"]["businessUnit"] == "prod.risk"
        said = await refusal(payments.ask("DELETE", f"{path}/pricing"))
        assert "this approval is of prod.risk" in said
        assert not await refusal(all_units.ask("DELETE", f"{path}/pricing"))


OVERRIDE = rule("featward.dev", "overrides", "create delete")


@pytest.mark.parametrize(
    ("target", "may", "may_not"),
    [
        (
            {"featureSet": {"namespace": "ml", "name": "driver-stats"}},
            rule("featward.dev", "featuresets", "override", "driver-stats"),
            rule("featward.dev", "featuresets", "override update patch", "other"),
        ),
        (
            {"binding": {"namespace": "ml", "name": "pricing"}},
            rule("featward.dev", "featurebindings", "override", "pricing"),
            rule("featward.dev", "featuresets", "override"),
        ),
        (
            {"environment": "prod"},
            rule("featward.dev", "environments", "override", "prod"),
            rule("featward.dev", "environments", "override", "staging"),
        ),
    ],
)
async def test_an_override_needs_the_verb_on_what_it_names(
    guarded: Kubernetes, target: dict[str, Any], may: dict[str, Any], may_not: dict[str, Any]
) -> None:
    told = {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "Override",
        "metadata": {"generateName": "relax-"},
        "spec": {"action": "close", "target": target, "reason": "drill"},
    }
    path, dry = f"{FEATWARD}/overrides", [("dryRun", "All")]
    async with user(guarded, OVERRIDE, may) as one, user(guarded, OVERRIDE, may_not) as other:
        await until(lambda: refusal(one.ask("POST", path, told, query=dry)))
        said = await refusal(other.ask("POST", path, told, query=dry))
        assert "needs the verb override" in said
        empty = told | {"spec": {"action": "close", "target": {}}}
        assert "names a featureSet" in await refusal(one.ask("POST", path, empty, query=dry))
        made = await one.ask("POST", path, told)
        mine = f"{path}/{made['metadata']['name']}"
        assert "needs the verb override" in await refusal(other.ask("DELETE", mine))
        assert not await refusal(one.ask("DELETE", mine))


@pytest.mark.parametrize("kind", ["environments", "businessunits"])
async def test_who_may_patch_asks_for_rotations_and_changes_nothing_else(
    guarded: Kubernetes, kind: str
) -> None:
    """By the rules of the role featward-rotator."""
    name, path = f"turning-{kind}", f"{FEATWARD}/{kind}"
    singular = {"environments": "Environment", "businessunits": "BusinessUnit"}[kind]
    metadata = {"name": name, "labels": {"team": "a"}, "annotations": {"team": "a"}}
    about = {"apiVersion": "featward.dev/v1alpha1", "kind": singular, "metadata": metadata}
    guarded.call("POST", path, {**about, "spec": {"trusts": "somebody"}})
    async with (
        user(guarded, rule("featward.dev", kind, "get patch", name)) as rotator,
        user(guarded, rule("featward.dev", kind, "get patch update", name)) as editor,
    ):

        async def patched(gateway: Gateway, body: dict[str, Any]) -> str:
            asked = gateway.ask("PATCH", f"{path}/{name}", body, content=MERGE_PATCH)
            return await refusal(asked)

        def annotated(**given: str | None) -> dict[str, Any]:
            told = {key.replace("_", "-"): value for key, value in given.items()}
            return {"metadata": {"annotations": {f"featward.dev/{key}": told[key] for key in told}}}

        await until(lambda: patched(rotator, annotated(rotate_requested_at="2026-11-24T00:00:00Z")))
        assert not await patched(rotator, annotated(rotation="paused"))
        assert not await patched(rotator, annotated(rotation=None))
        owner = {"apiVersion": "v1", "kind": "Namespace", "name": "x", "uid": "1-2-3"}
        for change in (
            {"spec": {"trusts": "me"}},
            {"metadata": {"labels": {"team": "b"}}},
            {"metadata": {"labels": None}},
            {"metadata": {"annotations": {"team": "b"}}},
            {"metadata": {"annotations": {"team": None}}},
            annotated(rotation="paused", recertified="yes"),
            # By these an object is kept for ever, and is taken for garbage.
            {"metadata": {"finalizers": ["example.com/keep"]}},
            {"metadata": {"ownerReferences": [owner]}},
        ):
            said = await patched(rotator, change)
            assert f"needs the verb update on {kind}.featward.dev" in said, change
        await until(lambda: patched(editor, {"spec": {"trusts": "me"}}))
        assert not await patched(editor, {"metadata": {"labels": {"team": "b"}}})


async def test_the_operator_deletes_no_service_of_others(
    guarded: Kubernetes, tmp_path: Path
) -> None:
    namespace = guarded.namespace("prod.payments")
    path = f"/api/v1/namespaces/{namespace}/services"
    ours = {"app.kubernetes.io/managed-by": "featward-operator"}
    owner = {"kind": "FeatureSet", "apiVersion": "featward.dev/v1alpha1", "name": "a", "uid": "1"}
    about: dict[str, dict[str, Any]] = {
        "made": {"labels": ours, "ownerReferences": [owner]},
        "labelled": {"labels": ours},
        "owned": {"ownerReferences": [owner]},
        "bare": {},
    }
    for name, metadata in about.items():
        spec = {"ports": [{"port": 80}]}
        guarded.call("POST", path, {"metadata": {"name": name, **metadata}, "spec": spec})
    rules = rule("", "services", "get delete")
    login = operator_login(guarded, tmp_path, "operator-services", rules)
    async with await Gateway.open(login, agent="tests") as operator:
        await until(lambda: refusal(operator.ask("GET", f"{path}/bare")))
        for name in ("labelled", "owned", "bare"):
            said = await refusal(operator.ask("DELETE", f"{path}/{name}"))
            assert "no Service but those that it has made" in said
        assert not await refusal(operator.ask("DELETE", f"{path}/made"))
    async with user(guarded, rule("", "services", "delete")) as anybody:
        await until(lambda: refusal(anybody.ask("DELETE", f"{path}/bare")))


async def test_with_one_environment_its_default_unit_has_the_namespaces_without_label(
    guarded: Kubernetes,
) -> None:
    name = guarded.namespace()
    await asyncio.to_thread(install_policies, guarded, "prod.default")
    try:
        async with (
            user(guarded, NAMESPACES, assign("prod.default")) as default,
            user(guarded, NAMESPACES, assign("prod.payments")) as payments,
        ):
            await until(lambda: labelled(default, name, protection="suspended"))
            said = await labelled(payments, name, business_unit="prod.payments")
            assert "the namespace is of prod.default" in said
    finally:
        await asyncio.to_thread(install_policies, guarded)


def test_the_policies_go_by_nothing_that_can_be_lost_alone(guarded: Kubernetes) -> None:
    """A parameter that is gone refuses every pod of the cluster, or none."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    found = guarded.call("GET", path)["items"]
    assert len(found) == 7
    assert not [one["metadata"]["name"] for one in found if "paramKind" in one["spec"]]


def test_an_api_error_is_not_a_refusal() -> None:
    with pytest.raises(ApiError):
        asyncio.run(refusal(_failing()))


async def _failing() -> None:
    raise ApiError(500, "InternalError")

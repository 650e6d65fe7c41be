"""What is kept in a namespace, and what in it is found unprotected."""

import json
from typing import Any

from cluster_objects import CLUSTER, a_namespace, a_set, an_object
from featward.kubernetes.resource import CONFIG_MAPS
from featward_operator.controllers import Apply
from featward_operator.injection.template import template
from featward_operator.metrics import Metrics
from featward_operator.reconcile.audit import AuditSeries, Cause
from featward_operator.reconcile.children import project
from featward_operator.reconcile.triggers import AUDIT_TOGETHER_SECONDS, Triggers
from reconcile_kit import Scene, a_pod

UNIT = {"featward.dev/business-unit": "prod.payments"}
BUNDLE = {"root.sha256": "00\n", "bundle.pem": "pem"}
ASKS = {"featward.dev/inject": "server"}


def a_scene() -> Scene:
    scene = Scene(*CLUSTER, a_namespace("apps"))
    scene.children.take_bundle(("featward", "featward-bundle-prod"), BUNDLE)
    return scene


async def trust_map(scene: Scene, namespace: str) -> dict[str, Any] | None:
    """What is applied, which then is there."""
    result = await scene.look("Namespace", namespace)
    applied = [one for one in result.actions if isinstance(one, Apply)]
    if not applied:
        return None
    (one,) = applied
    assert (one.resource, one.body["metadata"]["name"]) == (CONFIG_MAPS, "featward-trust")
    scene.children.take(CONFIG_MAPS, (namespace, "featward-trust"), project(one.body))
    return one.body


async def found(scene: Scene, namespace: str) -> dict[str, Cause]:
    await scene.look("Namespace", namespace)
    return {one.pod: one.cause for one in scene.known.audits.get(namespace, ())}


async def test_the_trust_map_is_there_before_the_pod_waits_for_it() -> None:
    scene = a_scene()
    made = await trust_map(scene, "pricing")
    assert made is not None, "there is a feature set, though no pod yet"
    assert made["data"] == BUNDLE
    assert await trust_map(scene, "pricing") is None, "it is as it should be"
    assert await trust_map(scene, "apps") is None, "nobody asks there"
    scene.run(a_pod("api-0", "apps", labels={"featward.dev/inject": "client"}, phase="Pending"))
    assert await trust_map(scene, "apps") is not None
    # Another root, from `prepare` on.
    both = {**BUNDLE, "root.sha256": "00\n11\n"}
    scene.children.take_bundle(("featward", "featward-bundle-prod"), both)
    changed = await trust_map(scene, "apps")
    assert changed is not None
    assert changed["data"]["root.sha256"] == "00\n11\n"


async def test_the_trust_map_is_made_where_annotations_count_and_not_where_nobody_knows_the_ca() -> (
    None
):
    labels = {**UNIT, "featward.dev/injection": "enabled"}
    scene = a_scene()
    scene.edit(an_object("Namespace", "apps", labels=labels))
    assert await trust_map(scene, "apps") is not None
    scene.children.take_bundle(("featward", "featward-bundle-prod"), None)
    scene.edit(an_object("Namespace", "other", labels=labels))
    assert await trust_map(scene, "other") is None
    scene.edit(a_namespace("test", "test.payments"), a_set("x", "test"))
    assert await trust_map(scene, "test") is None, "of an environment that is not ours"
    own = an_object("Namespace", "featward", labels=labels)
    scene.edit(own)
    scene.children.take_bundle(("featward", "featward-bundle-prod"), BUNDLE)
    assert await trust_map(scene, "featward") is None


async def test_pods_without_their_sidecar_are_listed_and_told() -> None:
    scene = a_scene()
    scene.run(
        a_pod("well", labels=ASKS),
        a_pod("bare", labels=ASKS, sidecar=False),
        a_pod("done", labels=ASKS, sidecar=False, phase="Succeeded"),
        a_pod("asks-not", sidecar=False),
        a_pod("says-no", sidecar=False, labels={"featward.dev/inject": "false"}),
        a_pod("in-vain", sidecar=False, annotations=ASKS),
        a_pod("foreign", sidecar=False, labels={"featward.dev/server": "feast"}),
    )
    assert await found(scene, "pricing") == {
        "bare": Cause.SIDECAR_MISSING,
        "in-vain": Cause.ANNOTATION_IGNORED,
        "foreign": Cause.FOREIGN_LABEL,
    }
    told = {(one.about.kind, one.about.name, one.reason, one.about.uid) for one in scene.told}
    assert told == {
        ("Pod", "bare", "SidecarMissing", "uid-bare"),
        ("Pod", "foreign", "SidecarMissing", "uid-foreign"),
        ("Namespace", "pricing", "InjectionIgnored", "uid-namespace-pricing"),
    }
    labels = {**UNIT, "featward.dev/injection": "enabled"}
    scene.edit(an_object("Namespace", "pricing", labels=labels))
    assert (await found(scene, "pricing"))["in-vain"] is Cause.SIDECAR_MISSING
    # Our own namespace and kube-system are never touched.
    scene.edit(an_object("Namespace", "kube-system", labels=labels))
    scene.run(a_pod("dns", "kube-system", labels=ASKS, sidecar=False))
    assert await found(scene, "kube-system") == {}


async def test_pods_with_an_old_template_are_listed() -> None:
    scene = a_scene()
    newest = template(scene.known.injection, "prod")

    def status(made_by: str) -> dict[str, str]:
        return {"featward.dev/status": json.dumps({"version": "0.2.0", "template": made_by})}

    scene.run(
        a_pod("new", labels=ASKS, annotations=status(newest)),
        a_pod("old", labels=ASKS, annotations=status("0123456789ab")),
        a_pod("own-words", labels=ASKS, annotations={"featward.dev/status": "[]"}),
        a_pod("deep", labels=ASKS, annotations={"featward.dev/status": "[" * 100_000}),
    )
    assert await found(scene, "pricing") == {"old": Cause.TEMPLATE_OLD}
    assert scene.events() == ["TemplateOld"]


async def test_a_suspended_namespace_is_told_once_and_again_when_it_is_not() -> None:
    scene = a_scene()
    await trust_map(scene, "pricing")
    scene.run(a_pod("bare", labels=ASKS, sidecar=False))
    suspended = {**UNIT, "featward.dev/protection": "suspended"}
    scene.edit(an_object("Namespace", "pricing", labels=suspended))
    await trust_map(scene, "pricing")
    assert scene.events() == ["ProtectionSuspended"]
    assert await found(scene, "pricing") == {"bare": Cause.PROTECTION_SUSPENDED}
    assert scene.events() == []
    scene.edit(a_namespace("pricing"))
    await trust_map(scene, "pricing")
    assert scene.events() == ["ProtectionRestored", "SidecarMissing"]


async def test_a_namespace_of_another_unit_is_told() -> None:
    scene = a_scene()
    await trust_map(scene, "pricing")
    scene.edit(a_namespace("pricing", "prod.risk"))
    await trust_map(scene, "pricing")
    assert scene.events() == ["BusinessUnitChanged"]
    await trust_map(scene, "pricing")
    assert scene.events() == []


async def test_what_was_found_is_counted_and_forgotten_with_its_namespace() -> None:
    scene = a_scene()
    scene.run(*(a_pod(f"bare-{n}", labels=ASKS, sidecar=False) for n in range(20)))
    await found(scene, "pricing")
    assert scene.events() == ["SidecarMissing"] * 10, "ten of a kind say all that there is to say"
    metrics = Metrics()
    known: dict[str, Any] = {"audits": scene.known.audits}
    metrics.registry.register(AuditSeries(lambda: known["audits"], lambda: 1))
    text = metrics.render().decode()
    assert 'featward_operator_unprotected_pods{cause="sidecar-missing"} 20.0' in text
    assert 'featward_operator_unprotected_pods{cause="template-old"} 0.0' in text
    assert "featward_operator_protection_suspended 1.0" in text
    known["audits"] = None
    assert "featward_operator_unprotected_pods{" not in metrics.render().decode()
    scene.delete("Namespace", "pricing")
    scene.raw["Namespace", ("", "pricing")] = {}
    await scene.look("Namespace", "pricing")
    assert scene.known.audits == {}


class Queue:
    """What is to be looked at, and after how many seconds."""

    def __init__(self) -> None:
        self.added: list[float] = []

    def add(self, key: tuple[str, str]) -> None:
        self.added.append(0.0)

    def add_after(self, key: tuple[str, str], seconds: float) -> None:
        self.added.append(seconds)


async def test_only_a_pod_that_may_wait_for_its_map_is_looked_at_at_once() -> None:
    """Else fifty pods a second would have a namespace of thousands looked through fifty times."""
    scene = a_scene()
    queues = {kind: Queue() for kind in ("Namespace", "FeatureSet")}
    scene.world.watchers.append(Triggers(scene.known, queues))
    scene.run(a_pod("first", "apps", labels={"featward.dev/inject": "client"}))
    assert await trust_map(scene, "apps") is not None
    scene.run(a_pod("second", "apps", labels={"featward.dev/inject": "client"}))
    scene.end("apps", "first")
    assert queues["Namespace"].added == [0.0, AUDIT_TOGETHER_SECONDS, AUDIT_TOGETHER_SECONDS]

"""The policy service within the operator: fed by a real API server, ready when it can serve, counted."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from certificates import Environment
from cluster_objects import CLUSTER, DOMAIN, FEAST, a_binding, a_set
from crd_kit import install
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import DOCUMENTS
from featward.policy.index import PolicyIndex
from featward.policy.slices import SliceCompiler
from featward.policy.workloads import written_address
from featward_operator.health import Gate
from featward_operator.identities import Identities
from featward_operator.metrics import Metrics
from featward_operator.policy.part import PolicyPart
from featward_operator.policy.series import Series
from featward_operator.policy.streams import Streams
from featward_operator.settings import EnvironmentSettings, FolderSettings
from featward_operator.world import World, projected
from following import is_so
from kubernetes_kit import Kubernetes
from operator_kit import free_port
from policy_service_kit import a_pod, operating, sidecar


async def put(gateway: Gateway, raw: dict[str, Any]) -> None:
    """Apply an object."""
    resource, metadata = DOCUMENTS[raw["kind"]], {**raw["metadata"]}
    metadata.pop("creationTimestamp", None)
    body = {**raw, "metadata": metadata}
    await gateway.apply(resource, body, manager="test")


@pytest.mark.timeout(120)
async def test_an_edit_at_the_api_server_is_in_the_next_policy_of_a_sidecar(
    kubernetes: Kubernetes, gateway: Gateway, tmp_path: Path
) -> None:
    install(kubernetes)
    for raw in CLUSTER:
        await put(gateway, raw)
    kubernetes.pod("pricing", "feast")
    made = kubernetes.call("POST", "/api/v1/namespaces/pricing/pods", pod_of("feast-0"))
    told = {"name": "prod", "trustDomain": DOMAIN, "ca": "127.0.0.1:1"}
    settings = EnvironmentSettings.model_validate(told)
    identities, world, gate = Identities([settings], FolderSettings()), World(), Gate()
    part = PolicyPart(world, identities, Metrics(), written_address)
    address = f"127.0.0.1:{free_port()}"
    tasks = [
        asyncio.create_task(world.follow(gateway)),
        asyncio.create_task(part.serve(address, gate)),
    ]
    try:
        await is_so(lambda: gate.waits_for == "an identity in prod")
        pki = Environment(DOMAIN)
        credentials = identities.credentials[DOMAIN]
        credentials.set_trust(pki.roots, pki.scopes, 1)
        pki.platform.identify(credentials, str(identities.wanted(DOMAIN)))
        await is_so(lambda: gate.waits_for is None)
        ours = pki.process(pki.payments, str(FEAST))
        async with sidecar(address, DOMAIN, ours, tmp_path / "s.sock") as found:
            await found.hello()
            assert [one.name for one in (await found.policy()).bindings] == ["api", "second"]
            await put(gateway, a_binding("third", "drivers"))
            names = [one.name for one in (await found.policy()).bindings]
            assert names == ["api", "second", "third"]
            path = DOCUMENTS["FeatureBinding"].path("pricing", "api")
            await gateway.ask("DELETE", path)
            assert [one.name for one in (await found.policy()).bindings] == ["second", "third"]
        pod = world.pod(made["metadata"]["uid"])
        assert pod is not None
        assert (pod[0], pod[1].service_account) == (("pricing", "feast-0"), "feast")
    finally:
        # Others share the server, and have environments of their own.
        for raw in reversed(CLUSTER):
            if raw["kind"] != "Namespace":
                metadata = raw["metadata"]
                where = DOCUMENTS[raw["kind"]].path(metadata.get("namespace"), metadata["name"])
                kubernetes.ask("DELETE", where)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def pod_of(name: str) -> dict[str, Any]:
    raw = a_pod(name)
    del raw["metadata"]["uid"]
    raw["spec"]["containers"] = [{"name": "app", "image": "localhost/app:1"}]
    return {"apiVersion": "v1", "kind": "Pod", **raw}


async def test_what_others_write_on_a_namespace_is_no_edit() -> None:
    namespace = {"apiVersion": "v1", **CLUSTER[3]}
    labels = {**namespace["metadata"]["labels"], "kubernetes.io/metadata.name": "pricing"}
    noisy = {
        **namespace,
        "metadata": {**namespace["metadata"], "labels": labels, "resourceVersion": "7"},
        "status": {"phase": "Active"},
    }
    assert projected(noisy) == projected(namespace)
    misspelt = {**labels, "featward.dev/business-unti": "x"}
    other = {**namespace, "metadata": {**namespace["metadata"], "labels": misspelt}}
    assert projected(other) != projected(namespace)


def test_every_series_of_policy_is_on_the_page_and_no_other() -> None:
    metrics, streams = Metrics(), Streams()
    before = {family.name for family in metrics.registry.collect()}
    slices = SliceCompiler(PolicyIndex())
    Series(metrics.registry).watch(streams, slices, lambda _: True)
    page = (Path(__file__).parents[3] / "docs" / "operator.md").read_text("utf-8")
    section = page.partition("## Policy")[2].partition("## Status")[0]
    told = set(re.findall(r"`(featward_[a-z_]+)(?:\{[a-z,_]+\})?`", section))
    assert told == {family.name for family in metrics.registry.collect()} - before


async def test_series_tell_of_streams_and_their_state(tmp_path: Path) -> None:
    metrics = Metrics()
    series = Series(metrics.registry)
    async with operating(tmp_path, watcher=series) as operator, operator.sidecar() as one:
        series.watch(operator.streams, operator.slices, operator.pushes.has_newest)
        await one.hello()
        await one.policy()
        await one.until(lambda said: said.current)
        text = metrics.render().decode()
        assert "featward_operator_policy_streams 1.0" in text
        assert f'featward_operator_sidecars{{state="current",trust_domain="{DOMAIN}"}} 1.0' in text
        operator.edit(a_set("drivers", version="2.0.0"))
        await one.until(lambda said: len(said.policies) == 2)
        text = metrics.render().decode()
        assert 'state="behind"' in text
        assert "featward_operator_policy_push_seconds_count 1.0" in text
        assert "featward_operator_snapshot_compile_seconds_count 2.0" in text
        operator.edit(a_set("drivers", features=["hourly:a", "hourly:a"]))
        operator.slices.compile(FEAST, [], "0.2.0", 0)
        assert "featward_operator_held_workloads 1.0" in metrics.render().decode()

"""The operator's webhook behind a real API server: what becomes of pods, and of its certificate, meanwhile."""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from admission_kit import OWN_NAMESPACE, Admitted, injector, install_webhook, objects_of
from featward.kubernetes.events import Events
from featward.kubernetes.gateway import Gateway
from featward_operator.certificates.authority import pem_blocks
from featward_operator.certificates.overlap import Lives
from featward_operator.health import Health
from featward_operator.injection.section import InjectionSection
from featward_operator.metrics import Metrics
from featward_operator.run import Operator
from featward_operator.settings import EnvironmentSettings, Settings
from featward_operator.webhook.cluster_age import ask_age
from featward_operator.webhook.known import Known
from featward_operator.webhook.part import server_names, webhook_part
from injection_kit import Fixture, fixtures
from kubernetes_kit import Kubernetes
from operator_kit import free_port
from spreading import spread
from webhook_kit import review_of

pytestmark = pytest.mark.timeout(240)
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/featward"


def environment(name: str) -> EnvironmentSettings:
    told = {"name": name, "trustDomain": f"{name}.acme.example", "ca": f"ca-{name}:8443"}
    return EnvironmentSettings.model_validate(told)


SETTINGS = Settings(
    namespace=OWN_NAMESPACE,
    cluster="eu1",
    image="localhost/featward:0.2.0",
    environments=(
        environment("prod"),
        environment("staging"),
    ),
)
NORMAL = Lives()
# The next authority is due 10 s after one was made, and made when the one before is forgotten.
SHORT = Lives(authority=165.0, leaf=10.0, announced=3.0)
POD: dict[str, Any] = {
    "metadata": {"generateName": "feast-", "labels": {"featward.dev/inject": "server"}},
    "spec": {"containers": [{"name": "feast", "image": "localhost/feast:1"}]},
}


class Replica:
    """A replica of the operator with the webhook as its only part, and with the lead if it is told so."""

    def __init__(self, operator: Operator, port: int, lives: Lives) -> None:
        self.operator = operator
        self.port = port
        self.part = webhook_part(
            lambda _: InjectionSection(), port=port, lives=lives, further_names=("localhost",)
        )
        self.lost = asyncio.Event()

    async def run(self, *, leads: bool) -> None:
        assert self.part.serve
        assert self.part.lead
        jobs = [self.part.serve(self.operator, self.operator.health.gate("webhook"))]
        jobs += [self.part.lead(self.operator, self.lost)] if leads else []  # type: ignore[arg-type]  # as Lost
        await asyncio.gather(*jobs)

    async def ready(self) -> None:
        await until(self._is_ready)

    async def _is_ready(self) -> bool:
        return not self.operator.health.waits_for()


async def until(holds: Callable[[], Awaitable[object]], seconds: float = 30.0) -> None:
    """Wait for a condition."""
    for _ in range(int(seconds / 0.05)):
        if await holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{holds} did not come to hold in {seconds} s")


@asynccontextmanager
async def replicas(
    kubernetes: Kubernetes, count: int, lives: Lives = NORMAL
) -> AsyncIterator[list[Replica]]:
    """All of them lead, which is worse than can be."""
    async with AsyncExitStack() as stack:
        found, tasks = [], []
        for number in range(count):
            where = str(kubernetes.kubeconfig(f"operator-{number}", "system:masters"))
            gateway = await stack.enter_async_context(await Gateway.open(where, agent="operator"))
            metrics = Metrics()
            health = Health(metrics)
            events = Events(gateway, controller="tests", instance=f"operator-{number}")
            operator = Operator(SETTINGS, f"operator-{number}", gateway, metrics, health, events)
            found.append(Replica(operator, free_port(), lives))
        relay = await stack.enter_async_context(spread([one.port for one in found]))
        await asyncio.to_thread(install_webhook, kubernetes, relay)
        try:
            for one in found:
                tasks.append(asyncio.create_task(one.run(leads=True)))
                one.operator.health.gate("webhook")
            await asyncio.wait_for(asyncio.gather(*(one.ready() for one in found)), 30)
            await published(found[0].operator.gateway)
            yield found
            assert not [task for task in tasks if task.done()]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(forget, kubernetes)


def forget(kubernetes: Kubernetes) -> None:
    """Of the whole server there is one, which another test may have put in place and taken away meanwhile."""
    kubernetes.ask("DELETE", CONFIGURATION)
    kubernetes.ask("DELETE", f"/api/v1/namespaces/{OWN_NAMESPACE}/secrets/featward-webhook-ca")


async def bundle_of(gateway: Gateway) -> bytes:
    told = await gateway.ask("GET", CONFIGURATION)
    found = {one["clientConfig"].get("caBundle", "") for one in told["webhooks"]}
    assert len(found) == 1
    return base64.b64decode(found.pop())


async def published(gateway: Gateway) -> None:
    """The server goes by the bundle a moment after it was written."""
    await until(lambda: bundle_of(gateway))
    await asyncio.sleep(1)


@pytest.fixture(scope="module")
def place(guarded: Kubernetes) -> Admitted:
    body = {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "BusinessUnit",
        "metadata": {"name": "prod.payments"},
        "spec": {},
    }
    guarded.call("POST", "/apis/featward.dev/v1alpha1/businessunits", body)
    for namespace, name in (("ml", "driver-stats"), ("ml", "risk-scores"), ("geo", "rides")):
        if guarded.ask("GET", f"/api/v1/namespaces/{namespace}")[0] == 404:
            guarded.namespace("prod.payments", namespace)
        feature_set = {
            "apiVersion": "featward.dev/v1alpha1",
            "kind": "FeatureSet",
            "metadata": {"name": name},
            "spec": {},
        }
        path = f"/apis/featward.dev/v1alpha1/namespaces/{namespace}/featuresets"
        guarded.call("POST", path, feature_set)
    found = Admitted(guarded, guarded.namespace("prod.payments"))
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    path = f"/api/v1/namespaces/{found.namespace}"
    guarded.call("PATCH", path, {"metadata": {"labels": restricted}}, "merge-patch+json")
    for account in ("default", "feast", "pricing-api", "feast-sample"):
        found.account(account)
    return found


def restricted(pod: dict[str, Any]) -> dict[str, Any]:
    """The app's own containers as Pod Security's `restricted` wants them."""
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    spec = json.loads(json.dumps(pod["spec"]))
    for group in ("containers", "initContainers"):
        for container in spec.get(group) or []:
            container["securityContext"] = context
    return pod | {"spec": spec}


async def created(place: Admitted, pod: dict[str, Any], *, dry: bool = True) -> dict[str, Any]:
    status, answer = await asyncio.to_thread(place.create, pod, dry=dry)
    assert status == 201, answer
    found: dict[str, Any] = answer
    return found


def sidecar_of(pod: dict[str, Any]) -> dict[str, Any]:
    found: list[dict[str, Any]] = [
        one for one in pod["spec"]["initContainers"] if one["name"] == "featward-sidecar"
    ]
    assert len(found) == 1
    return found[0]


REAL = """
server-deployment server-plain server-own-ports server-own-resources server-debugged server-and-client
server-with-init-containers server-restricted server-openshift server-statefulset feast-operator
server-after-vault client-deployment client-of-several-sets client-job client-indexed-job
client-init-container client-beside-native-sidecars client-with-own-addresses client-by-annotation
"""


async def test_pods_are_taken_by_the_server_under_restricted_and_a_second_pass_changes_nothing(
    place: Admitted,
) -> None:
    found = {fixture.name: fixture for fixture in fixtures()}
    async with replicas(place.kubernetes, 1) as (one,):
        for name in REAL.split():
            fixture: Fixture = found[name]
            metadata = fixture.pod["metadata"]
            labels = dict(metadata["labels"])
            annotations = metadata.get("annotations") or {}
            if "featward.dev/inject" in annotations:  # the namespace lets none count
                labels["featward.dev/inject"] = annotations["featward.dev/inject"]
            told = restricted(fixture.pod) | {
                "metadata": {"generateName": "p-", "labels": labels, "annotations": annotations}
            }
            told["spec"].pop("serviceAccount", None)
            told["spec"].pop("priority", None)
            told["spec"]["serviceAccountName"] = "feast"
            made = await created(place, told)
            assert sidecar_of(made)["restartPolicy"] == "Always"
            for own in ("uid", "creationTimestamp", "managedFields", "name", "resourceVersion"):
                made["metadata"].pop(own, None)
            before = one.operator.metrics.registry.get_sample_value(*ALREADY) or 0.0
            again = await created(place, made, dry=False)
            assert again["spec"]["initContainers"] == made["spec"]["initContainers"], name
            assert again["spec"]["volumes"] == made["spec"]["volumes"], name
            after = one.operator.metrics.registry.get_sample_value(*ALREADY)
            assert after == before + 1.0, f"{name} was patched again"


ALREADY = (
    "featward_operator_injections_total",
    {"decision": "skipped", "reason": "already-injected"},
)


async def test_another_injector_before_and_after_us_changes_nothing(place: Admitted) -> None:
    told = {
        "metadata": {
            "generateName": "p-",
            "labels": {"featward.dev/inject": "client", "mesh.example/inject": "true"},
            "annotations": {"featward.dev/feature-sets": "driver-stats"},
        },
        "spec": {
            "initContainers": [{"name": "warm-up", "image": "localhost/app:1"}],
            "containers": [{"name": "app", "image": "localhost/app:1"}],
        },
    }
    bare = Admitted(place.kubernetes, place.kubernetes.namespace("prod.payments"))
    await asyncio.to_thread(bare.account, "default")
    async with replicas(place.kubernetes, 1):
        alone = await created(bare, told)
        for name in ("a-mesh", "z-mesh"):
            async with injector(place.kubernetes, name) as seen:
                await asyncio.sleep(1)
                both = await created(bare, told)
            assert seen, "the other one was not asked"
            assert ours(both) == ours(alone), name
            mesh = [one for one in both["spec"]["containers"] if one["name"] == "mesh-proxy"]
            assert {one["name"] for one in mesh[0]["env"]} == {
                "MESH",
                "FEATWARD_DRIVER_STATS_URL",
                "SPIFFE_ENDPOINT_SOCKET",
            }, f"{name}: our addresses are missing in a container that came later"


def ours(pod: dict[str, Any]) -> Any:
    """All of ours in a pod, without what another one put into every container."""
    container = json.loads(json.dumps(sidecar_of(pod)))
    container["env"] = [one for one in container["env"] if one["name"] != "MESH"]
    # The server mounts the account's token everywhere, from a volume of another name each time.
    container["volumeMounts"] = [
        one for one in container["volumeMounts"] if one["name"].startswith("featward-")
    ]
    app = next(one for one in pod["spec"]["containers"] if one["name"] == "app")
    return (
        container,
        [one for one in pod["spec"]["volumes"] if one["name"].startswith("featward-")],
        [one for one in app["env"] if one["name"] != "MESH"],
        [one for one in app["volumeMounts"] if one["name"].startswith("featward-")],
        {key: value for key, value in pod["metadata"]["labels"].items() if "featward" in key},
        pod["metadata"]["annotations"]["featward.dev/status"],
    )


async def test_a_refusal_reaches_whoever_makes_the_pod(place: Admitted) -> None:
    told = POD | {
        "metadata": POD["metadata"] | {"annotations": {"featward.dev/upstream": "10.0.0.1:80"}}
    }
    async with replicas(place.kubernetes, 1):
        status, answer = await asyncio.to_thread(place.create, told)
        assert status == 403
        assert "label.inject.featward.dev" in answer["message"]
        assert "expected an address on loopback" in answer["message"]
        elsewhere = Admitted(place.kubernetes, place.kubernetes.namespace())
        await asyncio.to_thread(elsewhere.account, "default")
        status, answer = await asyncio.to_thread(elsewhere.create, POD)
        assert status == 403, "a namespace of a moment ago is known"
        assert "has no label featward.dev/business-unit" in answer["message"]


@pytest.mark.parametrize(
    ("how", "word", "status"),
    [
        ("labels", "server", 500),
        ("labels", "sevrer", 500),
        ("annotations", "server", 500),
        ("labels", "false", 201),
        ("annotations", "false", 201),
        ("labels", None, 201),
    ],
)
async def test_with_nobody_behind_the_webhook_only_who_asks_is_refused(
    nobody: Admitted, how: str, word: str | None, status: int
) -> None:
    told = {} if word is None else {how: {"featward.dev/inject": word}}
    pod = POD | {"metadata": {"generateName": "a-", **told}}
    found, answer = await asyncio.to_thread(nobody.create, pod)
    assert found == status, answer


@pytest.fixture(scope="module")
def nobody(guarded: Kubernetes) -> Iterator[Admitted]:
    """A namespace that lets annotations count, while the webhook leads to a port that nobody listens on."""
    found = Admitted(guarded, guarded.namespace("prod.payments"))
    found.account("default")
    body = {"metadata": {"labels": {"featward.dev/injection": "enabled"}}}
    guarded.call("PATCH", f"/api/v1/namespaces/{found.namespace}", body, "merge-patch+json")
    install_webhook(guarded, free_port())
    end = time.monotonic() + 30
    while found.create(POD)[0] != 500:
        assert time.monotonic() < end, "the webhook is not in force"
        time.sleep(0.2)
    yield found
    forget(guarded)


async def test_helm_and_the_operator_apply_again_without_conflict(place: Admitted) -> None:
    async with replicas(place.kubernetes, 1) as (one,):
        gateway = one.operator.gateway
        before = await bundle_of(gateway)
        (told,) = objects_of("webhook.yaml")
        for hook in told["webhooks"]:
            hook["clientConfig"] = {"url": f"https://localhost:{one.port}/mutate-pods"}
        query = [("fieldManager", "helm"), ("force", "false")]
        for seconds in (3, 2):
            for hook in told["webhooks"]:
                hook["timeoutSeconds"] = seconds
            kind = "application/apply-patch+yaml"
            await gateway.ask("PATCH", CONFIGURATION, told, query=query, content=kind)
        assert await bundle_of(gateway) == before
        fields = (await gateway.ask("GET", CONFIGURATION))["metadata"]["managedFields"]
        owners = [one["manager"] for one in fields if "f:caBundle" in json.dumps(one["fieldsV1"])]
        assert owners == ["featward-webhook"]


async def test_a_rotated_ca_fails_no_admission_and_two_replicas_never_fight_over_the_bundle(
    place: Admitted,
) -> None:
    seen: list[bytes] = []
    asked = {"through the server": 0, "directly": 0}
    done = asyncio.Event()
    told = restricted(POD)
    async with replicas(place.kubernetes, 2, SHORT) as pair:
        gateway = pair[0].operator.gateway

        async def watch() -> None:
            """Until the third authority has been announced and signs."""
            while len(seen) < 4:
                bundle = await bundle_of(gateway)
                if not seen or seen[-1] != bundle:
                    seen.append(bundle)
                await asyncio.sleep(0.02)
            await asyncio.sleep(2 * SHORT.announced)
            done.set()

        async def admit() -> None:
            path = f"/api/v1/namespaces/{place.namespace}/pods"
            while not done.is_set():
                made = await gateway.ask("POST", path, told, query=[("dryRun", "All")])
                assert sidecar_of(made)
                asked["through the server"] += 1
                await asyncio.sleep(0.05)

        async def connect() -> None:
            """New connections to each replica, by the bundle of the moment before."""
            while not done.is_set():
                trust = ssl.create_default_context(cadata=(await bundle_of(gateway)).decode())
                for one in pair:
                    _, writer = await asyncio.open_connection(
                        "127.0.0.1", one.port, ssl=trust, server_hostname="localhost"
                    )
                    writer.close()
                    asked["directly"] += 1
                await asyncio.sleep(0.1)

        await asyncio.wait_for(asyncio.gather(watch(), admit(), connect()), 180)
    authorities = {block for bundle in seen for block in pem_blocks(bundle)}
    print(asked, f"{len(authorities)} authorities, {len(seen)} bundles")
    assert len(authorities) == 3
    assert len(set(seen)) == len(seen), "a bundle came back that had been replaced"
    assert min(asked.values()) > 50
    told_of = await asyncio.to_thread(rotations, place.kubernetes)
    # Each by the replica that has stored it, though all of them lead.
    assert [one["type"] for one in told_of] == ["Normal", "Normal"]
    assert all("the API server knows it" in one["note"] for one in told_of)


def rotations(kubernetes: Kubernetes) -> list[dict[str, Any]]:
    """The Events of the webhook's authority since the last call."""
    path = "/apis/events.k8s.io/v1/namespaces/default/events"
    found = [
        one
        for one in kubernetes.call("GET", path)["items"]
        if one["reason"] == "WebhookCertificateRotated"
    ]
    for one in found:
        assert (one["regarding"]["kind"], one["regarding"]["name"]) == (
            "MutatingWebhookConfiguration",
            "featward",
        )
        kubernetes.call("DELETE", f"{path}/{one['metadata']['name']}")
    return found


async def test_a_deleted_or_spoilt_secret_is_made_anew_and_trusted(place: Admitted) -> None:
    secret = f"/api/v1/namespaces/{OWN_NAMESPACE}/secrets/featward-webhook-ca"
    async with replicas(place.kubernetes, 1, SHORT) as (one,):
        gateway = one.operator.gateway
        before = await bundle_of(gateway)
        await gateway.ask("PATCH", secret, {"data": None}, content="application/merge-patch+json")

        async def other() -> bool:
            return await bundle_of(gateway) != before

        await until(other)
        await asyncio.sleep(1.5)
        assert sidecar_of(await created(place, restricted(POD)))
    (told_of,) = await asyncio.to_thread(rotations, place.kubernetes)
    assert (told_of["type"], "ended or was lost" in told_of["note"]) == ("Warning", True)


def test_the_certificate_has_the_names_that_the_server_asks_for() -> None:
    assert server_names(SETTINGS) == (
        "featward-operator.featward.svc",
        "featward-operator.featward.svc.cluster.local",
    )


async def test_the_serving_replica_shows_its_metrics(place: Admitted) -> None:
    async with replicas(place.kubernetes, 1) as (one,):
        await created(place, restricted(POD), dry=False)
        registry = one.operator.metrics.registry
        purposes = [
            registry.get_sample_value(
                "featward_certificate_expiry_timestamp_seconds", {"purpose": purpose}
            )
            for purpose in ("webhook", "webhook-ca")
        ]
        assert all(purposes)
        assert purposes[0] is not None
        assert abs(purposes[0] - time.time() - 86400) < 60
        seconds = "controller_runtime_webhook_latency_seconds_count"
        assert registry.get_sample_value(seconds, {"webhook": "/mutate-pods"})


async def test_nobody_else_is_answered_there(place: Admitted) -> None:
    async with replicas(place.kubernetes, 1) as (one,):
        trust = ssl.create_default_context(cadata=(await bundle_of(one.operator.gateway)).decode())
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
            for method, path, status in (("GET", "/mutate-pods", 405), ("POST", "/metrics", 404)):
                url = f"https://localhost:{one.port}{path}"
                async with session.request(method, url) as response:
                    assert response.status == status


async def test_a_replica_that_is_told_to_end_sends_its_callers_elsewhere(place: Admitted) -> None:
    async with replicas(place.kubernetes, 1) as (one,):
        bundle = (await bundle_of(one.operator.gateway)).decode()
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=bundle))
        url = f"https://localhost:{one.port}/mutate-pods"
        headers = {"Content-Type": "application/json"}
        async with aiohttp.ClientSession(connector=connector) as session:
            for stopping, said in ((False, None), (True, "close")):
                if stopping:
                    one.operator.health.drain()
                body = review_of(POD, place.namespace)
                async with session.post(url, data=body, headers=headers) as response:
                    assert response.status == 200
                    assert response.headers.get("Connection") == said


async def test_namespaces_that_nobody_has_are_asked_for_a_few_times_a_second(
    place: Admitted,
) -> None:
    """Whoever reaches the port can name them, and the API server is not theirs to ask."""
    async with replicas(place.kubernetes, 1) as (one,):
        now = [0.0]
        known = Known(one.operator.gateway, {"prod": None}, lambda: now[0])
        assert await known.of(place.namespace), "one that the reflector has not told of yet"
        for number in range(19):
            assert await known.of(f"nobody-has-{number}") is None
        assert await known.of(place.namespace) is None
        now[0] += 0.2
        assert await known.of(place.namespace)


async def test_what_is_known_of_feature_sets_follows_the_cluster(place: Admitted) -> None:
    kubernetes = place.kubernetes
    async with replicas(kubernetes, 1) as (one,):
        known = Known(one.operator.gateway, {"prod": None, "staging": None})
        following = asyncio.create_task(known.run())
        await asyncio.wait_for(known.synced(), 30)
        found = await known.of(place.namespace)
        assert found
        assert found.units == {"prod.payments"}
        assert {"driver-stats", "rides"} <= set(found.sets)
        assert list(found.sets["rides"]) == ["geo"]
        other = await asyncio.to_thread(kubernetes.namespace, "staging.risk")
        elsewhere = await known.of(other)
        assert elsewhere
        assert not elsewhere.sets, "sets of another environment are no sets of this one"
        path = f"/apis/featward.dev/v1alpha1/namespaces/{other}/featuresets"
        told = {"apiVersion": "featward.dev/v1alpha1", "kind": "FeatureSet", "spec": {}}
        body = told | {"metadata": {"name": "fraud"}}
        await one.operator.gateway.ask("POST", path, body)

        async def there() -> bool:
            told = await known.of(other)
            return told is not None and list(told.sets) == ["fraud"]

        await until(there)
        assert await known.of("nowhere") is None
        following.cancel()


async def test_a_node_without_native_sidecars_is_found(guarded: Kubernetes) -> None:
    where = str(guarded.kubeconfig("age", "system:masters"))
    async with await Gateway.open(where, agent="tests") as gateway:
        assert await ask_age(gateway) == ""
        node = {"metadata": {"name": "old"}}
        await gateway.ask("POST", "/api/v1/nodes", node)
        info = {"status": {"nodeInfo": {"kubeletVersion": "v1.28.9"}}}
        path = "/api/v1/nodes/old/status"
        await gateway.ask("PATCH", path, info, content="application/merge-patch+json")
        assert await ask_age(gateway) == "the kubelet of node old is older than 1.29"
        await gateway.ask("DELETE", "/api/v1/nodes/old")

"""The roots that a CA publishes in a cluster, and its key-encryption key there."""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator

import pytest

from ca_in_cluster import World, eventually
from cluster.faults import fault_proxy
from featward.authority.v1 import authority_pb2
from featward.kubernetes.gateway import Gateway
from featward_ca.clock import SystemClock
from featward_ca.cluster.kek_secret import key_encryption_key
from featward_ca.errors import KeyEncryptionError
from featward_ca.server import running
from kubernetes_programs import BUILD_SECONDS

pytestmark = pytest.mark.timeout(BUILD_SECONDS)
BUNDLE, KEK = "featward-bundle-prod", "featward-ca-prod-kek"


@pytest.fixture
async def gateway(world: World) -> AsyncIterator[Gateway]:
    async with await Gateway.open(str(world.login()), agent="featward-tests") as gateway:
        yield gateway


def published(world: World) -> dict[str, str]:
    path = f"/api/v1/namespaces/{world.namespace}/configmaps/{BUNDLE}"
    status, answer = world.kubernetes.ask("GET", path)
    return dict(answer["data"]) if status == 200 else {}


def digests(world: World) -> list[str]:
    return published(world).get("root.sha256", "").splitlines()


async def test_the_bundle_follows_the_roots(world: World) -> None:
    world.apply_environment()
    settings = world.settings(publish_bundle=world.object(BUNDLE))
    async with world.serving(settings) as ca:

        async def is_there() -> bool:
            return len(digests(world)) == 1

        await eventually(is_there)
        (first,) = digests(world)
        data = published(world)
        assert (data["environment"], data["trustDomain"]) == (world.environment, world.trust_domain)
        shown = await ca.admin.Show(authority_pb2.ShowRequest())
        assert shown.root_sha256.hex() == first
        der = ssl.PEM_cert_to_DER_cert(data["bundle.pem"])
        assert hashlib.sha256(der).hexdigest() == first
        # From prepare on both are there, and none of them is missing until the old one is revoked.
        await ca.admin.Prepare(authority_pb2.StepRequest(authority="root"))

        async def both() -> bool:
            return len(digests(world)) == 2 and first in digests(world)

        took = await eventually(both)
        print(f"the bundle followed after {took:.2f} s")
        assert published(world)["bundle.pem"].count("BEGIN CERTIFICATE") == 2
    path = f"/api/v1/namespaces/{world.namespace}/configmaps/{BUNDLE}"
    found = world.kubernetes.call("GET", path)
    assert [one["manager"] for one in found["metadata"]["managedFields"]] == ["featward-ca"]


async def test_a_bundle_that_could_not_be_written_is_written_later(world: World) -> None:
    world.apply_environment()
    async with fault_proxy(world.kubernetes, world.folder) as proxy:
        proxy.answer(lambda seen: "configmaps" in seen.path, 500, times=2)
        settings = world.settings(proxy.kubeconfig, publish_bundle=world.object(BUNDLE))
        async with world.serving(settings):

            async def is_there() -> bool:
                return len(digests(world)) == 1

            await eventually(is_there)


async def test_a_key_encryption_key_is_made_once_by_two_replicas(
    world: World, gateway: Gateway
) -> None:
    name = world.object(KEK)
    found = await asyncio.gather(
        *(key_encryption_key(gateway, name, first_start=True) for _ in range(8))
    )
    assert len({kek for kek, _ in found}) == 1
    assert [made for _, made in found].count(True) == 1
    path = f"/api/v1/namespaces/{world.namespace}/secrets/{KEK}"
    secret = world.kubernetes.call("GET", path)
    assert base64.b64decode(secret["data"]["kek"]) == found[0][0]
    # Nobody changes it by mistake, we included.
    patch = {"data": {"kek": "AAAA"}}
    status, answer = world.kubernetes.ask("PATCH", path, patch, "merge-patch+json")
    assert (status, "immutable" in answer["message"]) == (422, True)
    assert await key_encryption_key(gateway, name, first_start=False) == (found[0][0], False)


async def test_a_key_that_is_lost_is_not_replaced(world: World, gateway: Gateway) -> None:
    with pytest.raises(KeyEncryptionError, match="stored keys stay shut"):
        await key_encryption_key(gateway, world.object(KEK), first_start=False)
    path = f"/api/v1/namespaces/{world.namespace}/secrets"
    for data, why in ({"other": "eA=="}, "has no key kek"), ({"kek": "eA=="}, "1 characters"):
        world.kubernetes.call("POST", path, {"metadata": {"name": KEK}, "data": data})
        with pytest.raises(KeyEncryptionError, match=why):
            await key_encryption_key(gateway, world.object(KEK), first_start=True)
        world.kubernetes.call("DELETE", f"{path}/{KEK}")


async def test_who_may_not_read_it_is_told_what_is_missing(world: World, gateway: Gateway) -> None:
    with pytest.raises(KeyEncryptionError, match=r"403 Forbidden.*needs get on it"):
        await key_encryption_key(gateway, world.object("another"), first_start=True)


async def test_a_server_that_is_away_is_asked_again(world: World) -> None:
    async with (
        fault_proxy(world.kubernetes, world.folder) as proxy,
        await Gateway.open(str(proxy.kubeconfig), agent="featward-tests") as gateway,
    ):
        proxy.answer(lambda seen: "secrets" in seen.path, 503, times=2)
        _, made = await key_encryption_key(gateway, world.object(KEK), first_start=True)
        assert made
        proxy.cut()
        with pytest.raises(KeyEncryptionError, match="can't be read or made"):
            await key_encryption_key(gateway, world.object(KEK), first_start=True, patience=1)


async def test_a_ca_starts_again_with_its_secret_and_not_without(world: World) -> None:
    world.apply_environment()
    settings = world.settings(kek_file=None, kek_secret=world.object(KEK))
    async with world.serving(settings) as ca:
        first = (await ca.admin.Show(authority_pb2.ShowRequest())).root_sha256
    async with world.serving(settings) as ca:
        assert (await ca.admin.Show(authority_pb2.ShowRequest())).root_sha256 == first
    world.kubernetes.call("DELETE", f"/api/v1/namespaces/{world.namespace}/secrets/{KEK}")
    with pytest.raises(KeyEncryptionError, match="there is no Secret eu1/"):
        async with running(settings, SystemClock()):
            pass

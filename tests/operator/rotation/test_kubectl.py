"""`kubectl featward rotate`, with an operator and a CA behind it."""

import asyncio
import json

import pytest

from featward.authority.v1 import authority_pb2
from featward_operator.rotation.steer import Access
from kubectl_kit import Done, Place
from kubernetes_programs import BUILD_SECONDS
from rotation_kit import Bench, leading, somebody_leaves

pytestmark = pytest.mark.timeout(BUILD_SECONDS)


async def run(bench: Bench, *arguments: str) -> Done:
    kubernetes = bench.world.kubernetes
    place = Place(kubernetes, kubernetes.kubeconfig("somebody", "system:masters"))
    return await asyncio.to_thread(place.run, *arguments)


async def test_a_rotation_is_asked_for_and_watched_to_its_end(bench: Bench, access: Access) -> None:
    async with leading(bench, access):
        done = await run(bench, "rotate", bench.unit, "--watch")
        assert done.status == 0, done.err
        assert await bench.generation() == 2
        lines = done.out.splitlines()
        assert "rotation asked for" in lines[0]
        assert lines[-1].split()[0] == "Idle"
        assert any("/1" in line for line in lines)
        watched = await run(bench, "rotate", bench.unit, "-w", "-o", "json")
        assert watched.status == 0, watched.err
        said = json.loads(watched.out)
        assert said["status"]["rotation"]["state"] == "done"
        assert said["status"]["authority"]["generation"] == 3


async def test_a_watched_rotation_that_is_given_up_is_no_success(
    bench: Bench, access: Access
) -> None:
    await somebody_leaves(bench)
    kinds = authority_pb2.ControlRotationRequest
    async with leading(bench, access):
        watching = asyncio.create_task(run(bench, "rotate", bench.unit, "--watch"))
        await bench.has(lambda: bench.rotation().get("step") == "activate")
        await bench.ca.admin.ControlRotation(kinds(rotation=bench.unit, action=kinds.CANCEL))
        done = await watching
    assert done.status == 1
    assert "given up" in done.err
    assert "waits for a pod of" in done.out


async def test_without_an_operator_it_says_so(bench: Bench) -> None:
    done = await run(bench, "rotate", bench.unit, "--watch")
    assert done.status == 1
    assert "is the operator running?" in done.err

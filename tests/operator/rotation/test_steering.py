"""Rotations that a cluster's objects ask for, by a real CA."""

import asyncio
import sqlite3
from typing import Any

import grpc
import pytest

from ca_in_cluster import World
from crd_kit import collection
from featward.authority.v1 import authority_pb2
from featward_operator.rotation.steer import Access, Authority
from kubernetes_programs import BUILD_SECONDS
from rotation_kit import Bench, leading, process, somebody_leaves, until_told

pytestmark = pytest.mark.timeout(BUILD_SECONDS)
WHEN, LATER = "2026-11-23T18:00:00Z", "2026-11-23T19:00:00Z"


def rotations_begun(bench: Bench) -> int:
    """How many rotations of the unit the CA has ever begun."""
    file = bench.world.folder / "data" / "ca.sqlite3"
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as store:
        (count,) = store.execute(
            "SELECT count(*) FROM rotation WHERE owner = ?", (bench.unit,)
        ).fetchone()
    return int(count)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_leader_killed_between_writing_and_asking_rotates_once(
    bench: Bench, moment: str, access: Access
) -> None:
    bench.annotate(rotate=WHEN)
    killed = process(bench, die=moment)
    assert await asyncio.to_thread(killed.wait, 60) == -9
    assert rotations_begun(bench) == (moment == "after")
    assert bench.rotation()["request"] == {"requestedAt": WHEN, "generation": 2}
    async with leading(bench, access):
        await bench.is_done()
        assert await bench.generation() == 2
        # And nothing is asked again by whoever leads next.
    async with leading(bench, access):
        await bench.has(lambda: bench.answer("Rotating") == ("False", "Idle"))
        await asyncio.sleep(2)
    assert rotations_begun(bench) == 1
    assert await bench.generation() == 2


async def test_the_same_request_twice_is_one_rotation_and_another_is_another(
    bench: Bench, access: Access
) -> None:
    async with leading(bench, access):
        bench.annotate(rotate=WHEN)
        await bench.is_done()
        bench.annotate(rotate=None)
        await asyncio.sleep(0.5)
        bench.annotate(rotate=WHEN)
        await asyncio.sleep(3)
        assert rotations_begun(bench) == 1
        bench.annotate(rotate=LATER)
        await bench.is_done()
    assert rotations_begun(bench) == 2
    assert await bench.generation() == 3
    assert len(bench.events("RotationRequested")) == 2
    assert len(bench.events("RotationDone")) == 2


async def test_progress_is_in_status_and_in_kubectl_get(bench: Bench, access: Access) -> None:
    steps: set[tuple[str, str]] = set()

    def looked() -> bool:
        found = bench.rotation()
        steps.add((found.get("step", ""), bench.answer("Rotating")[1]))
        return bool((found.get("request") or {}).get("done"))

    async with leading(bench, access) as registry:
        # The operator itself is the client whose acknowledgement is waited for.
        bench.annotate(rotate=WHEN)
        await bench.has(lambda: bench.rotation().get("progress"))
        assert bench.rotation()["progress"] in ("0/1", "1/1")
        name, labels = "featward_operator_rotation_acknowledged_ratio", {"owner": bench.unit}
        assert registry.get_sample_value(name, labels) in (0.0, 1.0)
        table = printed(bench)
        assert table["Acknowledged"] in ("0/1", "1/1")
        await bench.has(looked)
        assert registry.get_sample_value(name, labels) is None
    table = printed(bench)
    assert (table["Generation"], table["Rotation"]) == (2, "Idle")
    assert bench.rotation()["state"] == "done"
    known = {word for _, word in steps} - {"", "Idle"}
    assert known <= {"Requested", "Preparing", "Activating", "Tainting", "Revoking"}
    assert len(bench.events("RotationStep")) >= 2
    status = bench.object()["status"]
    assert status["authority"]["generation"] == 2
    message = next(one for one in status["conditions"] if one["type"] == "Rotating")["message"]
    assert f"begins the next at {status['authority']['replaceAt']}" in message


def printed(bench: Bench) -> dict[str, Any]:
    """What `kubectl get` prints of the unit."""
    path = f"{collection('BusinessUnit')}/{bench.unit}"
    connection = bench.world.kubernetes
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    answer = connection.ask("GET", path, None, "json", {"Accept": accept})[1]
    names = [one["name"] for one in answer["columnDefinitions"]]
    return dict(zip(names, answer["rows"][0]["cells"], strict=True))


async def test_paused_by_hand_stays_paused(bench: Bench, access: Access) -> None:
    """By the annotation over a change of leaders; at the CA also against an operator that nobody told to."""
    # Whoever is away holds up the activation for as long as its SVID lives: long enough to be paused.
    await somebody_leaves(bench)
    bench.annotate(state="paused")
    async with leading(bench, access):
        bench.annotate(rotate=WHEN)
        await bench.has(lambda: bench.answer("Rotating") == ("False", "Paused"))
        await bench.ca.admin.Rotate(authority_pb2.RotateRequest(owner=bench.unit))
        await bench.has(lambda: bench.rotation().get("state") == "paused")
        assert bench.rotation()["held"] is True
    step = bench.rotation()["step"]
    async with leading(bench, access):
        await asyncio.sleep(3)
        assert (bench.rotation()["state"], bench.rotation()["step"]) == ("paused", step)
        bench.annotate(state=None)
        await bench.is_done()
        assert "held" not in bench.rotation()
        assert bench.events("RotationResumed")
        # Paused by an administrator of the CA: nobody here resumes it.
        await somebody_leaves(bench)
        await bench.ca.admin.Rotate(authority_pb2.RotateRequest(owner=bench.unit))
        kinds = authority_pb2.ControlRotationRequest
        await bench.ca.admin.ControlRotation(kinds(rotation=bench.unit, action=kinds.PAUSE))
        await bench.has(lambda: bench.rotation().get("state") == "paused")
        bench.annotate(state="paused")
        await asyncio.sleep(1)
        bench.annotate(state=None)
        await asyncio.sleep(3)
        assert bench.rotation()["state"] == "paused"
        assert "held" not in bench.rotation()


async def test_what_was_given_up_at_the_ca_is_not_begun_again(bench: Bench, access: Access) -> None:
    await somebody_leaves(bench)
    async with leading(bench, access):
        await bench.has(lambda: bench.answer("Rotating") == ("False", "Idle"))
        bench.annotate(state="paused", rotate=WHEN)
        await bench.ca.admin.Rotate(authority_pb2.RotateRequest(owner=bench.unit))
        await bench.has(lambda: bench.rotation().get("state") == "paused")
        kinds = authority_pb2.ControlRotationRequest
        await bench.ca.admin.ControlRotation(kinds(rotation=bench.unit, action=kinds.CANCEL))
        await bench.has(lambda: bench.rotation().get("state") == "cancelled")
        assert bench.events("RotationFailed")
        bench.annotate(state=None)
        # What was asked for was not begun before, so that it is begun now.
        await bench.is_done()
    assert await bench.generation() > 1


async def test_who_is_gone_is_named_in_what_a_step_waits_for(bench: Bench, access: Access) -> None:
    await somebody_leaves(bench)
    called = f"a pod of {bench.world.namespace}/feast that is gone; its SVID ends at "
    async with leading(bench, access):
        bench.annotate(rotate=WHEN)
        await bench.has(lambda: bench.rotation().get("blockers"))
        # The other one is the operator itself, for a moment.
        await bench.has(lambda: bench.rotation()["progress"] == "1/2")
        (told,) = bench.rotation()["blockers"]
        assert told.startswith(called)
        # Its SVID ends, and nobody waits any longer.
        await bench.is_done(100)


async def test_nothing_is_asked_or_written_once_the_lead_is_lost(
    bench: Bench, access: Access
) -> None:
    lost = until_told()
    async with leading(bench, access, lost):
        await bench.has(lambda: bench.answer("Rotating") == ("False", "Idle"))
        lost.set()
        bench.annotate(rotate=WHEN)
        await asyncio.sleep(2)
        assert "request" not in bench.rotation()
    assert rotations_begun(bench) == 0


async def test_a_refusal_of_the_ca_is_told_and_asked_again_later(
    bench: Bench, access: Access
) -> None:
    class Refusing(Authority):
        asked = 0

        async def rotate(self, owner: str, generation: int, reason: str) -> None:
            Refusing.asked += 1
            await super().rotate(f"{owner}-gone", generation, reason)

    async with leading(bench, access, authority=Refusing):
        bench.annotate(rotate=WHEN)
        await bench.has(lambda: bench.answer("Rotating") == ("False", "Failed"))
        await asyncio.sleep(2)
        assert Refusing.asked == 1
        (note,) = bench.events("RotationFailed")
        assert "there is no owner" in note


async def test_a_ca_that_is_away_is_told_and_what_was_known_stays(
    world: World, bench: Bench, access: Access
) -> None:
    class Silent(Authority):
        away = False

        async def show(self) -> authority_pb2.ShowResponse:
            if self.away:
                raise grpc.aio.AioRpcError(
                    grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "away"
                )
            return await super().show()

    async with leading(bench, access, authority=Silent):
        await bench.has(lambda: bench.answer("Rotating") == ("False", "Idle"))
        Silent.away = True
        bench.annotate(rotate=WHEN)
        await bench.has(lambda: bench.answer("Rotating") == ("Unknown", "Unreachable"))
        assert bench.object()["status"]["authority"]["generation"] == 1
        Silent.away = False
        await bench.is_done()
        # Objects of an environment that nobody here works for are left alone.
        world.apply("BusinessUnit", "elsewhere.risk", {})
        bench.annotate("elsewhere.risk", rotate=WHEN)
        await asyncio.sleep(2)
        assert "status" not in bench.object("elsewhere.risk")


async def test_the_root_is_rotated_for_its_environment(bench: Bench, access: Access) -> None:
    name = bench.world.environment
    async with leading(bench, access):
        bench.annotate(name, rotate=WHEN)
        await bench.has(lambda: bench.rotation(name).get("request"))
        # Its units move along, and their status says so.
        await bench.has(lambda: bench.rotation().get("id"), 60)
        await bench.has(lambda: bench.rotation(name)["request"].get("done"), 120)
    assert await bench.generation("root") == 2
    assert await bench.generation() == 2

"""WatchPolicy over mTLS: who gets which policy, when, and what a sidecar is told besides."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from cluster_objects import (
    API_POD,
    CLUSTER,
    DOMAIN,
    FEAST,
    NOW,
    OTHER,
    a_binding,
    a_namespace,
    a_set,
    an_object,
    an_override,
)
from featward.identity.spiffe import SpiffeId
from featward.policy.compiler import Compiled
from featward.policy.v1 import policy_pb2 as v1
from featward_operator.policy.streams import PART_BYTES
from policy_service_kit import EndedError, Sidecar, operating, sidecar

BAD_SET = a_set("drivers", features=["hourly:a", "hourly:a"])
NOBODY = "0" * 64


async def refused(sidecar: Sidecar, **hello: Any) -> EndedError:
    """How the stream ends."""
    await sidecar.hello(**hello)
    return await sidecar.end()


async def test_a_server_gets_its_policy_and_is_told_that_it_is_the_newest(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        await sidecar.hello()
        snapshot = await sidecar.policy()
        assert snapshot.workload == str(FEAST)
        assert [one.name for one in snapshot.bindings] == ["api", "second"]
        await sidecar.until(lambda one: one.current)
        (current,) = sidecar.current
        assert current.digest == sidecar.parts[0].digest
        assert abs(current.server_time - time.time()) < 60
        assert sidecar.terms[0].report_ms == 5_000


async def test_who_has_the_newest_is_sent_nothing_again(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator:
        async with operator.sidecar() as first:
            await first.hello()
            await first.policy()
        digest = first.parts[0].digest
        async with operator.sidecar() as again:
            await again.hello(digest=digest)
            await again.until(lambda one: one.current)
            assert (again.current[0].digest, again.parts) == (digest, [])


async def test_a_client_gets_the_servers_it_names(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar(API_POD) as sidecar:
        await sidecar.hello(outbound=["drivers", "shop/riders"], serves=False)
        found = await sidecar.policy()
        assert [one.spiffe_id for one in found.remotes] == [str(FEAST), str(OTHER)]
        assert not found.feature_sets
        operator.delete("FeatureSet", "shop", "riders")
        assert [one.name for one in (await sidecar.policy()).remotes] == ["drivers"]


async def test_an_edit_reaches_an_open_stream_within_a_second(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        await sidecar.hello()
        await sidecar.policy()
        for turn in range(3):
            began = time.monotonic()
            operator.edit(a_binding("api", "drivers", purpose=f"turn {turn}"))
            found = await sidecar.policy()
            assert time.monotonic() - began < 1.0
            assert found.bindings[0].purpose == f"turn {turn}"


async def test_edits_that_come_together_are_one_push(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        await sidecar.hello()
        await sidecar.policy()
        joined = operator.slices.work.joined
        operator.edit(*(a_binding(f"more-{n}", "drivers") for n in range(50)))
        assert len((await sidecar.policy()).bindings) == 52
        assert operator.slices.work.joined == joined + 1
        assert await sidecar.quiet(0.3)


async def test_an_edit_of_another_workload_is_sent_to_nobody_else(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        await sidecar.hello()
        await sidecar.policy()
        operator.edit(a_binding("riders-api", "riders", "shop", purpose="new"))
        assert await sidecar.quiet(0.5)


async def test_a_large_policy_comes_in_parts(tmp_path: Path) -> None:
    many = [a_binding(f"more-{n}", "drivers", purpose="x" * 250) for n in range(3_000)]
    async with (
        operating(tmp_path, objects=[*CLUSTER, *many]) as operator,
        operator.sidecar() as sidecar,
    ):
        await sidecar.hello()
        await sidecar.until(lambda one: one.parts, 30.0)
        operator.edit(a_binding("more-0", "drivers", purpose="voids"))
        async with asyncio.timeout(30.0):
            while not any(one.purpose == "voids" for one in (await sidecar.policy()).bindings):
                pass
        assert max(len(one.data) for one in sidecar.parts) == 512 << 10
        assert len(sidecar.parts) > 2


async def test_an_edit_voids_the_parts_that_are_under_way(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        await sidecar.hello()
        await sidecar.policy()
        (stream,) = operator.streams
        first, second = (Compiled(bytes([n]) * (3 * PART_BYTES), str(n), ()) for n in (1, 2))
        stream.wanted, count = first, len(sidecar.parts)
        sending = asyncio.create_task(stream.send(first))
        # The first part is on its way when another policy is wanted.
        await asyncio.sleep(0)
        stream.wanted = second
        assert not await sending
        assert await stream.send(second)
        await sidecar.until(
            lambda one: len(one.parts) >= count + 3 and one.policies[-1][:1] == b"\2"
        )
        voided = [part for part in sidecar.parts if part.digest == "1"]
        assert len(voided) < 3


@pytest.mark.parametrize(
    ("workload", "code", "told"),
    [
        (
            SpiffeId.service_account(DOMAIN, "risk", "pricing", "feast"),
            "PERMISSION_DENIED",
            "no namespace",
        ),
        (
            SpiffeId.service_account(DOMAIN, "payments", "nowhere", "x"),
            "PERMISSION_DENIED",
            "no namespace",
        ),
        (
            SpiffeId.workload(DOMAIN, "payments", "nobody"),
            "PERMISSION_DENIED",
            "no declared Workload",
        ),
    ],
    ids=["another unit", "no namespace", "no workload"],
)
async def test_who_is_not_known_gets_nothing(
    tmp_path: Path, workload: SpiffeId, code: str, told: str
) -> None:
    async with operating(tmp_path) as operator, operator.sidecar(workload) as sidecar:
        ended = await refused(sidecar)
        assert ended.code.name == code
        assert told in ended.details
        assert ended.retry_after_ms == 0


async def test_policy_is_refused_to_another_environment(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator:
        # Our own Listener sends nobody else through, so what is behind it is asked directly.
        for headers in (
            [
                (
                    "featward-peer-spiffe-id",
                    "spiffe://dev.acme.example/bu/payments/ns/pricing/sa/feast",
                )
            ],
            [
                ("featward-peer-spiffe-id", str(FEAST)),
                ("featward-peer-trust-domain", "dev.acme.example"),
            ],
            [("featward-peer-spiffe-id", f"spiffe://{DOMAIN}/featward/ca")],
            [("featward-peer-spiffe-id", str(FEAST)), ("featward-peer-expired", "1")],
            [],
        ):
            async with grpc.aio.insecure_channel(
                f"unix:{operator.folder / 'policy.sock'}",
                options=[("grpc.default_authority", "localhost")],
            ) as channel:
                stub: Any = channel.stream_stream("/featward.policy.v1.PolicyService/WatchPolicy")
                ended = await refused(Sidecar(stub(metadata=headers)))
                assert ended.code is grpc.StatusCode.PERMISSION_DENIED, headers


async def test_each_environment_has_its_own_policies_on_one_address(tmp_path: Path) -> None:
    dev = "dev.acme.example"
    objects = [
        *CLUSTER,
        an_object("Environment", "dev", {"trustDomain": dev}),
        an_object("BusinessUnit", "dev.payments"),
        a_namespace("trial", "dev.payments"),
        a_set("trial-set", "trial"),
    ]
    theirs = SpiffeId.service_account(dev, "payments", "trial", "feast")
    async with (
        operating(tmp_path, DOMAIN, dev, objects=objects) as operator,
        operator.sidecar() as one,
        operator.sidecar(theirs, operator.environments[1]) as two,
    ):
        await one.hello()
        await two.hello()
        assert (await one.policy()).environment == "prod"
        found = await two.policy()
        assert (found.environment, found.feature_sets[0].name) == ("dev", "trial-set")


async def test_an_operator_that_does_not_know_its_cluster_yet_says_when_to_come_again(
    tmp_path: Path,
) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        operator.world.synced.clear()
        ended = await refused(sidecar)
        assert (ended.code, ended.retry_after_ms) == (grpc.StatusCode.UNAVAILABLE, 1_000)


@pytest.mark.parametrize(
    "hello",
    [
        {"engine_version": "latest"},
        {"digest": "not a digest"},
        {"outbound": [f"set-{n}" for n in range(257)]},
    ],
    ids=["engine", "digest", "outbound"],
)
async def test_a_hello_that_can_not_be_meant_is_refused(tmp_path: Path, hello: Any) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        assert (await refused(sidecar, **hello)).code is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_first_message_is_a_hello_and_no_other_is(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator:
        async with operator.sidecar() as sidecar:
            await sidecar.say(applied=v1.Applied(digest=NOBODY))
            assert (await sidecar.end()).code is grpc.StatusCode.INVALID_ARGUMENT
        async with operator.sidecar() as sidecar:
            await sidecar.hello()
            await sidecar.hello()
            assert "one hello" in (await sidecar.end()).details
        assert len(operator.streams) == 0


async def test_one_svid_has_four_streams_though_none_of_them_has_said_anything(
    tmp_path: Path,
) -> None:
    async with operating(tmp_path) as operator, AsyncExitStack() as open_streams:
        of = operator.environments[0]
        credentials = of.process(of.payments, str(FEAST))
        opened = [
            await open_streams.enter_async_context(
                sidecar(operator.address, of.domain, credentials, tmp_path / f"x{number}.sock")
            )
            for number in range(5)
        ]
        _, pending = await asyncio.wait(
            [asyncio.ensure_future(one.end()) for one in opened], timeout=3
        )
        assert len(pending) == 4
        for one in pending:
            one.cancel()
        (refused_one,) = [one for one in opened if one.ended is not None]
        assert "too many streams" in str(refused_one.ended)
        assert refused_one.ended is not None
        assert refused_one.ended.retry_after_ms == 5_000


async def test_a_hello_that_nobody_honest_needs_room_for_is_refused(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as one:
        said = await refused(one, outbound=[f"{n}{'x' * 2_000}/s" for n in range(256)])
        assert said.code is grpc.StatusCode.INVALID_ARGUMENT
        assert "a hello has 98304 bytes at most" in said.details


async def test_a_sidecar_that_floods_is_sent_away(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        await sidecar.hello()
        for _ in range(59):
            await sidecar.say(report=v1.Report())
        # One by one: whoever writes to a stream that has just ended is told an error of its own making.
        while sidecar.ended is None:
            await sidecar.say(report=v1.Report())
            await asyncio.sleep(0.2)
        assert (await sidecar.end()).retry_after_ms == 60_000


async def test_a_held_workload_keeps_what_it_has_and_a_new_pod_gets_no_more(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as running:
        await running.hello()
        before = await running.policy()
        operator.edit(BAD_SET, a_binding("third", "drivers"))
        assert await running.quiet(0.4)
        async with operator.sidecar() as late:
            await late.hello()
            assert await late.policy() == before
        # What another replica has given stays, whatever is known here.
        async with operator.sidecar() as elsewhere:
            await elsewhere.hello(digest=NOBODY)
            await elsewhere.until(lambda one: one.current)
            assert (elsewhere.current[0].digest, elsewhere.parts) == (NOBODY, [])
        operator.edit(CLUSTER[6])
        assert [one.name for one in (await running.policy()).bindings] == ["api", "second", "third"]


async def test_without_any_good_policy_the_sentence_says_what_is_wrong(tmp_path: Path) -> None:
    bad = an_object("BusinessUnit", "prod.payments", {"ceiling": {"maxSensitivity": 1}})
    objects = [
        an_object("Environment", "prod", {"trustDomain": DOMAIN, "federatesWith": [
            {"trustDomain": DOMAIN, "url": "https://x.example/b", "profile": "https_web"}
        ]}),
        bad,
        *CLUSTER[2:],
    ]  # fmt: skip
    async with operating(tmp_path, objects=objects) as operator:
        async with operator.sidecar() as sidecar:
            ended = await refused(sidecar)
            assert ended.code is grpc.StatusCode.FAILED_PRECONDITION
            assert "not-foreign" in ended.details
        async with operator.sidecar() as sidecar:
            await sidecar.hello(digest=NOBODY)
            await sidecar.until(lambda one: one.current)


async def test_a_workload_whose_namespace_went_to_another_unit_is_sent_away(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        await sidecar.hello()
        await sidecar.policy()
        operator.edit(a_namespace("pricing", "prod.risk"))
        ended = await sidecar.end()
        assert ended.code is grpc.StatusCode.PERMISSION_DENIED
        assert "no namespace of business unit" in ended.details


async def test_an_override_is_pushed_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    clock = [float(NOW)]
    async with (
        operating(tmp_path, now=lambda: clock[0]) as operator,
        operator.sidecar() as new,
        operator.sidecar() as old,
    ):
        await new.hello()
        await old.hello(engine_version="0.1.0")
        plain = await old.policy()
        assert await new.policy() == plain
        drivers = {"namespace": "pricing", "name": "drivers"}
        operator.edit(an_override("close", featureSet=drivers))
        assert (await new.policy()).feature_sets[0].override.name == "close-it"
        assert not (await old.policy()).bindings
        # Shortly before its end, of which an edit elsewhere lets the loop know.
        clock[0] += 3600 - 0.125
        operator.edit(a_binding("api", "drivers", purpose="wakes it"))
        assert (await new.policy()).feature_sets[0].HasField("override")
        clock[0] += 0.125
        assert len((await old.policy()).bindings) == 2
        assert not (await new.policy()).feature_sets[0].HasField("override")


async def test_what_an_engine_refuses_is_noted_and_not_sent_again(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        await sidecar.hello()
        await sidecar.until(lambda one: one.policies)
        digest, sidecar.taken = sidecar.parts[0].digest, 1
        await sidecar.say(applied=v1.Applied(digest=digest, error="it is too new"))
        assert await sidecar.quiet(0.4)
        (stream,) = operator.streams
        assert (stream.refused, stream.error, stream.using) == (digest, "it is too new", "")
        assert sidecar.current == []
        operator.edit(a_binding("api", "drivers", purpose="another"))
        await sidecar.policy()


async def test_the_newest_is_affirmed_every_so_often(tmp_path: Path) -> None:
    async with operating(tmp_path, current_seconds=0.1) as operator, operator.sidecar() as sidecar:
        await sidecar.hello()
        await sidecar.policy()
        await sidecar.until(lambda one: len(one.current) >= 4)
        assert {one.digest for one in sidecar.current} == {sidecar.parts[0].digest}


async def test_a_replica_that_stops_sends_its_sidecars_away(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        await sidecar.hello()
        await sidecar.policy()
        operator.service.close()
        ended = await sidecar.end()
        assert (ended.code, ended.retry_after_ms) == (grpc.StatusCode.UNAVAILABLE, 500)


async def test_nothing_is_left_of_a_stream_that_has_ended(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator:
        async with operator.sidecar() as sidecar:
            await sidecar.hello(outbound=["drivers"])
            await sidecar.policy()
        async with asyncio.timeout(10):
            while len(operator.streams):  # noqa: ASYNC110  the end of a stream sets no event
                await asyncio.sleep(0.02)
        assert operator.pushes._views == {}
        assert not operator.world.index.follows(FEAST)

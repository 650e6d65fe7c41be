"""What sidecars report is added up for each set, and counts only where the sender is who it says."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cluster_objects import API_POD, FEAST, OTHER, a_binding
from featward.policy.v1 import policy_pb2 as v1
from featward_operator.policy.tallies import SetTally, Tallies
from policy_service_kit import Operating, Sidecar, operating

DRIVERS = ("pricing", "drivers")


def a_report(answered: int = 0, refused: int = 0, **more: Any) -> v1.Report:
    counts = v1.SetReport(
        feature_set="pricing/drivers", mode="enforce", answered=answered, refused=refused
    )
    return v1.Report(sets=[counts], **more)


def a_pod(name: str, **more: str) -> v1.Pod:
    return v1.Pod(**{"namespace": "pricing", "name": name, "uid": f"uid-{name}", **more})


async def begun(sidecar: Sidecar, **hello: Any) -> None:
    await sidecar.hello(**hello)
    await sidecar.policy()


async def told(
    operator: Operating, sidecar: Sidecar, report: v1.Report, key: tuple[str, str] = DRIVERS
) -> SetTally:
    """What is known of a set once this report was taken, which the end of its stream proves."""
    taken = len(operator.heard)
    await sidecar.say(report=report)
    async with asyncio.timeout(10):
        while len(operator.heard) == taken:  # noqa: ASYNC110  a report sets no event
            await asyncio.sleep(0.01)
    return operator.tallies.of_set(key)


async def test_a_report_is_counted_for_the_set_that_its_workload_serves(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        await begun(sidecar)
        # Before the first there is nobody to compare with.
        await told(operator, sidecar, a_report(answered=1000, refused=10))
        tally = await told(operator, sidecar, a_report(answered=1500, refused=12))
        assert (tally.answered, tally.refused) == (500, 2)
        (one,) = tally.sidecars
        assert (one.pod, one.current, one.mode) == ("feast-0", True, "enforce")
        assert one.digest == sidecar.parts[-1].digest
        # The process began again, and counts from zero.
        assert (await told(operator, sidecar, a_report(answered=7))).answered == 507
        assert operator.tallies.of_set(("shop", "riders")).sidecars == ()


@pytest.mark.parametrize(
    "pod",
    [
        a_pod("feast-1"),
        a_pod("feast-0", uid="uid-other"),
        a_pod("feast-9", uid="uid-feast-0"),
        a_pod("feast-0", namespace="shop"),
        a_pod("of-another-account"),
        v1.Pod(),
    ],
    ids=[
        "unknown",
        "another's uid",
        "another name",
        "another namespace",
        "another account",
        "none",
    ],
)
async def test_a_report_about_another_pod_counts_for_nobody(tmp_path: Path, pod: v1.Pod) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        operator.run_pod("other", "shop")
        operator.run_pod("of-another-account", "pricing", "someone")
        await begun(sidecar, pod=pod)
        assert (await told(operator, sidecar, a_report(1))).sidecars == ()
        assert (await told(operator, sidecar, a_report(9))).answered == 0


async def test_a_pod_that_is_known_late_counts_from_then_on(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        await begun(sidecar, pod=a_pod("feast-7"))
        assert (await told(operator, sidecar, a_report(1))).sidecars == ()
        operator.run_pod("feast-7")
        assert [one.pod for one in (await told(operator, sidecar, a_report(1))).sidecars] == [
            "feast-7"
        ]


async def test_nobody_reports_about_a_set_that_others_serve(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar(API_POD) as sidecar:
        operator.run_pod("api-0", "shop", "api")
        await begun(sidecar, pod=a_pod("api-0", namespace="shop"))
        caller = v1.Caller(spiffe_id=str(OTHER), feature_set="pricing/drivers", reason="x", count=1)
        await told(operator, sidecar, a_report(1, callers=[caller]))
        tally = await told(operator, sidecar, a_report(50, callers=[caller]))
        assert tally == SetTally((), 0, 0, 0, 0, (), ())


async def test_callers_of_several_sidecars_are_one_row(tmp_path: Path) -> None:
    def seen(count: int, last: int, **who: str) -> v1.Caller:
        return v1.Caller(
            feature_set="pricing/drivers",
            standing="would-deny",
            reason="not-granted",
            missing=["hourly:c"],
            count=count,
            last_seen=last,
            **who,
        )

    async with (
        operating(tmp_path) as operator,
        operator.sidecar() as one,
        operator.sidecar() as two,
    ):
        operator.run_pod("feast-1")
        await begun(one)
        await begun(two, pod=a_pod("feast-1"))
        await told(operator, one, a_report(callers=[seen(3, 50, spiffe_id=str(API_POD))]))
        peers = [v1.Peer(address="10.9.9.9", port=6566, last_seen=70)]
        tally = await told(
            operator,
            two,
            a_report(
                callers=[seen(4, 60, spiffe_id=str(API_POD)), seen(1, 40, address="10.1.1.1")],
                bypassing=peers,
            ),
        )
        rows = [(row.identity, row.count, row.last_seen, row.is_address) for row in tally.callers]
        assert rows == [(str(API_POD), 7, 60, False), ("10.1.1.1", 1, 40, True)]
        assert tally.callers[0].missing == ("hourly:c",)
        assert [(row.pod, row.address) for row in tally.bypassing] == [("feast-1", "10.9.9.9")]


async def test_no_more_of_a_report_is_kept_than_an_honest_one_has(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        await begun(sidecar)
        many = [v1.Caller(address=str(n), feature_set="pricing/drivers") for n in range(500)]
        tally = await told(operator, sidecar, a_report(callers=many))
        assert len(tally.callers) == 32
        assert len(operator.heard[-1].callers) == 64
        long = [v1.Caller(address="x" * 300_000, feature_set="pricing/drivers")]
        tally = await told(operator, sidecar, a_report(callers=long))
        assert (tally.callers, len(tally.sidecars)) == ((), 1)
        # More than a status can hold would be refused with all that is beside it, every few seconds.
        counted = v1.Caller(address="10.0.0.9", feature_set="pricing/drivers", count=2**64 - 1)
        (seen,) = (await told(operator, sidecar, a_report(callers=[counted]))).callers
        assert seen.count < 2**31


async def test_a_sidecar_that_lags_is_named_with_what_it_uses(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        await begun(sidecar)
        await told(operator, sidecar, a_report(1))
        before = sidecar.parts[-1].digest
        operator.edit(a_binding("api", "drivers", purpose="another"))
        await sidecar.until(lambda one: len(one.policies) == 2)
        refusal = v1.Applied(digest=sidecar.parts[-1].digest, error="too new")
        await sidecar.say(applied=refusal)
        (one,) = (await told(operator, sidecar, a_report(2))).sidecars
        assert (one.current, one.digest, one.error) == (False, before, "too new")
        assert one.engine == "0.2.0"


async def test_a_sidecar_that_went_away_is_no_longer_listed_and_its_counts_stay(
    tmp_path: Path,
) -> None:
    async with operating(tmp_path) as operator:
        async with operator.sidecar() as sidecar:
            await begun(sidecar)
            await told(operator, sidecar, a_report(5))
            await told(operator, sidecar, a_report(9))
        async with asyncio.timeout(10):
            while len(operator.streams):  # noqa: ASYNC110  the end of a stream sets no event
                await asyncio.sleep(0.01)
        tally = operator.tallies.of_set(DRIVERS)
        assert (tally.sidecars, tally.answered) == ((), 4)
        # The same pod with another certificate: its process went on counting.
        async with operator.sidecar() as again:
            await again.hello(digest=sidecar.parts[-1].digest)
            assert (await told(operator, again, a_report(12))).answered == 7


async def test_a_set_that_a_known_sidecar_begins_to_serve_is_counted_from_zero(
    tmp_path: Path,
) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        await begun(sidecar)
        await told(operator, sidecar, v1.Report())
        assert (await told(operator, sidecar, a_report(answered=3, refused=1))).answered == 3
        assert (await told(operator, sidecar, a_report(answered=5, refused=1))).answered == 5


async def test_what_is_older_than_an_hour_is_not_counted(tmp_path: Path) -> None:
    async with operating(tmp_path) as operator, operator.sidecar() as sidecar:
        clock = [1_000.0]
        operator.replace_tallies(Tallies(operator.world, lambda _: True, clock=lambda: clock[0]))
        await begun(sidecar)
        await told(operator, sidecar, a_report(1))
        await told(operator, sidecar, a_report(11))
        clock[0] += 1_800
        assert (await told(operator, sidecar, a_report(16))).answered == 15
        clock[0] += 1_900
        assert (await told(operator, sidecar, a_report(16))).answered == 5
        assert operator.tallies.of_set(DRIVERS).sidecars[0].pod == "feast-0"
        assert FEAST in {one.peer.identity for one in operator.streams}

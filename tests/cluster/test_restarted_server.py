"""The API server is killed, stays away for longer than any lead lasts, and comes back having forgotten."""

import copy
import time
from collections.abc import Iterator

import pytest

from cluster.asking import ask_until
from cluster.drivers import ML, PRICING, Drivers
from cluster.feasts import binding, client
from cluster.leaders import holder, operators, restarts
from cluster.outage import begin_outage, compact, end_outage, metric_of, of_accounts, served
from cluster.pods import rolled_out
from cluster.quick import UNIT, Quick
from cluster.release import Release
from cluster.rotating import ask_rotation, follow_rotation
from cluster.traffic import App, asks_steadily, no_request_lost
from cluster.waiting import wait_until

pytestmark = pytest.mark.timeout(400)

_NAME = "steady"
_WATCHED_SECONDS = 30.0
# Each of about 50 watches: asked for, told that its version is gone, listed, and asked for again. On top of it
# Leases, tokens of the environment of short lives, and what status has to say anew.
_MOST_REQUESTS = 400
_MOST_LISTS = 60
_STEADY_A_SECOND = 8.0


@pytest.fixture(scope="module")
def steady(release: Release, drivers: Drivers) -> Iterator[App]:
    """An app whose SVID outlives the outage."""
    cluster = release.cluster
    subject = {"serviceAccount": {"namespace": PRICING, "name": _NAME}}
    cluster.apply(binding(ML, _NAME, "driver-stats", subject, "conv_rate"))
    named = f"{ML}/driver-stats"
    made = asks_steadily(PRICING, _NAME, release.image, named, drivers.variable, "conv_rate")
    cluster.apply(*made)
    rolled_out(cluster, PRICING, _NAME)
    yield App(cluster, PRICING, _NAME)
    cluster.kubectl("delete", "deployment", _NAME, "--namespace", PRICING, "--wait=false")
    cluster.kubectl("delete", "featurebinding", _NAME, "--namespace", ML)


def test_the_api_server_comes_back_and_nobody_storms_it(
    release: Release, drivers: Drivers, quick: Quick, steady: App
) -> None:
    cluster = release.cluster
    before = restarts(cluster)
    addresses = [one["status"]["podIP"] for one in operators(cluster)]
    assert len(addresses) == 2

    def leaders() -> float:
        lead = "leader_election_master_status"
        return sum(metric_of(cluster, one, lead) for one in addresses)

    assert leaders() == 1
    with no_request_lost(steady):
        gone_at = time.monotonic()
        begin_outage(cluster)
        try:
            compact(cluster)
            # Who can't renew leads no longer before anybody else may; nothing else of it ends.
            wait_until(lambda: leaders() == 0, "nobody leads", 30)
        finally:
            end_outage(cluster)
        back_at = time.monotonic()
        print(f"away for {back_at - gone_at:.1f} s")
        _recovers(release, drivers, quick)
        recovered_at = time.monotonic()
        rest = back_at + _WATCHED_SECONDS - recovered_at
        time.sleep(max(0.0, rest))
        asked, took = of_accounts(cluster), time.monotonic() - back_at
        lists = served(cluster, "apiserver_request_total", group="featward.dev", verb="LIST")
        time.sleep(5)
        rate = (of_accounts(cluster) - asked) / 5
    print(
        f"recovered in {recovered_at - back_at:.1f} s; {asked:.0f} requests of ours in {took:.0f} s,"
        f" {lists:.0f} lists of our kinds by anybody, then {rate:.1f} requests a second"
    )
    assert 0 < asked < _MOST_REQUESTS * max(1.0, took / _WATCHED_SECONDS)
    assert 0 < lists < _MOST_LISTS
    assert rate < _STEADY_A_SECOND
    assert restarts(cluster) == before, "something had to be started again"


def _recovers(release: Release, drivers: Drivers, quick: Quick) -> None:
    """All that an operator and a CA do for others: policy, admission, identities, rotation."""
    cluster, began = release.cluster, time.monotonic()
    wider = copy.deepcopy(drivers.binding)
    wider["spec"]["features"].append("driver_hourly_stats:acc_rate")
    cluster.apply(wider)
    ask_until(cluster, drivers.pricing, drivers.variable, "acc_rate", 200)
    print(f"an edit holds {time.monotonic() - began:.1f} s later")
    cluster.apply(drivers.binding)
    ask_until(cluster, drivers.pricing, drivers.variable, "acc_rate", 403)

    cluster.apply(*client(PRICING, "newcomer", release.image, f"{ML}/driver-stats"))
    (newcomer,) = rolled_out(cluster, PRICING, "newcomer")
    ask_until(cluster, newcomer, drivers.variable, "conv_rate", 403)
    print(f"a pod made after that is refused and granted {time.monotonic() - began:.1f} s later")
    cluster.kubectl("delete", "deployment", "newcomer", "--namespace", PRICING, "--wait=false")

    wait_until(lambda: holder(cluster), "somebody leads", 30)
    asked = ask_rotation(cluster, "businessunit", UNIT)
    follow_rotation(cluster, "businessunit", UNIT, asked, 120)
    for app in quick.apps:
        wait_until(app.is_answered, f"{app.name} is answered", 60)

"""Identities change under load, and the CA goes away: callers notice nothing."""

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from featward_demo.feast_server import FeastServer
from featward_demo.load import Load
from featward_demo.sidecar import Sidecar
from mesh import QUESTION, SET, Mesh, running

STEADY_SECONDS = 180
# Renewal of a 5 minute SVID falls due after 150 s, less or more a jitter. The CA is away around it.
KILLED_AFTER, AWAY_SECONDS, WATCHED_SECONDS = 120, 60, 240


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, feast: FeastServer) -> Iterator[Mesh]:
    """SVIDs that live for 20 seconds."""
    with running(tmp_path_factory.mktemp("s"), feast, "20s", short_lives=True) as mesh:
        mesh.start(["pricing-api"])
        mesh.client("pricing-api")
        yield mesh


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory, feast: FeastServer) -> Iterator[Mesh]:
    """SVIDs that live for 5 minutes, the least that needs no --unsafe-short-lives."""
    with running(tmp_path_factory.mktemp("o"), feast, "5m") as mesh:
        mesh.start(["pricing-api"])
        mesh.client("pricing-api")
        yield mesh


@pytest.fixture(scope="module")
def ca_away(ordinary: Mesh) -> Iterator[tuple[Load, threading.Thread]]:
    """Load on the ordinary mesh, whose CA is killed and comes back meanwhile; it runs beside other tests."""
    load = _load(ordinary.clients["pricing-api"])

    def kill_and_restore() -> None:
        time.sleep(KILLED_AFTER)
        ordinary.ca.program.signal(signal.SIGKILL)
        ordinary.ca.program.wait(10)
        time.sleep(AWAY_SECONDS)
        ordinary.ca.restart()
        time.sleep(WATCHED_SECONDS - KILLED_AFTER - AWAY_SECONDS)

    thread = threading.Thread(target=kill_and_restore)
    load.start()
    thread.start()
    yield load, thread
    thread.join()
    load.stop()


@pytest.mark.timeout(400)
def test_certificates_of_20_seconds_are_renewed_under_load_without_a_failed_request(
    short: Mesh, ca_away: tuple[Load, threading.Thread]
) -> None:
    client = short.clients["pricing-api"]
    before = [_renewals(side) for side in (short.server, client)]
    load = _load(client)
    load.start()
    time.sleep(STEADY_SECONDS)
    load.stop()
    renewed = [
        _renewals(side) - count for side, count in zip((short.server, client), before, strict=True)
    ]
    assert not load.failures
    assert load.answered > STEADY_SECONDS
    assert min(renewed) >= 8


@pytest.mark.timeout(400)
def test_a_ca_that_is_away_across_a_renewal_costs_no_request(
    ordinary: Mesh, ca_away: tuple[Load, threading.Thread]
) -> None:
    load, thread = ca_away
    thread.join()
    load.stop()
    assert not load.failures
    assert load.answered > WATCHED_SECONDS
    assert all(_renewals(side) >= 1 for side in (ordinary.server, ordinary.clients["pricing-api"]))


def _load(client: Sidecar) -> Load:
    return Load(client.outbound[SET], QUESTION)


def _renewals(sidecar: Sidecar) -> int:
    return int(sidecar.status()["agent"]["identity"]["renewals"])

"""What probes are told."""

import socket

import aiohttp
import pytest

from featward_operator.errors import OperatorError
from featward_operator.health import Health
from featward_operator.metrics import Metrics
from operator_kit import free_port


async def get(port: int, path: str, method: str = "GET") -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status


async def test_readiness_waits_for_every_gate() -> None:
    health, port = Health(Metrics()), free_port()
    first, second = health.gate("first"), health.gate("second")
    await health.start(port)
    try:
        assert await get(port, "/readyz") == 503
        first.open()
        assert health.waits_for() == {"second": "it starts"}
        second.open()
        assert await get(port, "/readyz") == 200
        first.close("a list of pods")
        assert health.waits_for() == {"first": "a list of pods"}
        first.open()
        health.drain()
        assert await get(port, "/readyz") == 503
        assert await get(port, "/healthz") == 200
        assert await get(port, "/healthz", "POST") == 405
    finally:
        await health.stop()


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        with pytest.raises(
            OperatorError, match=r"ports\.health: cannot listen on port \d+: Address"
        ):
            await Health(Metrics()).start(taken.getsockname()[1])

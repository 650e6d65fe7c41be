"""Dials addresses and says of each whether anybody answered: what the pod of `exposure --probe` runs.

Run as ``python -m featward.kubectl.dial 10.0.0.5:6566 …``; prints a JSON object of the addresses, as they were
given, and their `Answer`. It needs the standard library alone, so that it starts at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from enum import StrEnum

__all__ = ["Answer", "dial", "main"]

# Across a cluster a connection takes milliseconds; a first packet that was lost is sent again after one second.
_SECONDS = 3.0
_AT_ONCE = 64


class Answer(StrEnum):
    """What came back."""

    ANSWERS = "answers"
    """Somebody took the connection."""
    REFUSED = "refused"
    """The host says that nobody listens there, or is told to refuse."""
    SILENT = "silent"
    """Nothing came: a firewall drops what is sent there, or the host is gone."""


async def dial(addresses: Iterable[str], *, seconds: float = _SECONDS) -> dict[str, Answer]:
    """Connect to each ``host:port`` and leave again; nothing is sent. An IPv6 host stands in brackets."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(address: str) -> Answer:
        host, _, port = address.rpartition(":")
        async with places:
            return await _one(host.strip("[]"), int(port), seconds)

    asked = list(dict.fromkeys(addresses))
    return dict(zip(asked, await asyncio.gather(*map(one, asked)), strict=True))


async def _one(host: str, port: int, seconds: float) -> Answer:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return Answer.REFUSED
    except (
        TimeoutError,
        OSError,
    ):  # no route, or an answer of a firewall, is no answer of the port
        return Answer.SILENT
    writer.transport.abort()
    return Answer.ANSWERS


def main() -> None:
    """Dial what the command line names."""
    print(json.dumps(asyncio.run(dial(sys.argv[1:]))))


if __name__ == "__main__":
    main()

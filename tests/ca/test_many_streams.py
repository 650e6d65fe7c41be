"""Ten thousand clients on one CA: what an idle stream costs, and how fast a change reaches all."""

import asyncio
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import insert

from ca_kit import TRUST_DOMAIN
from featward.authority.v1 import authority_pb2
from featward_ca.service.rpcs import RPCS
from featward_ca.store import clients, tables
from featward_ca.store.store import Connection
from many_streams import KEY
from service_kit import Served

STREAMS = 10_000
SPIFFE_ID = f"spiffe://{TRUST_DOMAIN}/bu/payments/svc/pricing-api"
# Measured when this was written: 26 KB, nearly all of it gRPC's.
BYTES_PER_STREAM = 40_000
IDLE_SECONDS = 3.0
PROGRAM = Path(__file__).parents[1] / "shared" / "many_streams.py"


@dataclass
class Crowd:
    """The process that holds the streams."""

    process: asyncio.subprocess.Process

    async def tell(self, line: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n".encode())
        return int(await self.process.stdout.readline())


@pytest.fixture
async def crowd(served: Served, tmp_path: Path) -> AsyncIterator[Crowd]:
    """A lineage with an SVID for each, and as many open streams."""
    await served.core.store.run(_enrol(served))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        PROGRAM,
        str(tmp_path / "i.sock"),
        SPIFFE_ID,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    yield Crowd(process)
    process.kill()
    await process.wait()


def _serial(number: int) -> str:
    return f"{number + 1:032x}"


def _enrol(served: Served) -> Callable[[Connection], None]:
    now = int(served.core.clock.now())
    authority = served.core.authorities.active("prod.payments").row.id
    lineage = {"spiffe_id": SPIFFE_ID, "workload": "prod.payments/pricing-api", "method": "unix"}
    svid = {
        "spiffe_id": SPIFFE_ID,
        "authority": authority,
        "spki_sha256": KEY,
        "issued_at": now,
        "not_before": now,
        "not_after": now + 3600,
        "renew_at": now + 1800,
        "cap": "svid-ttl",
        "replica": "",
        "certificate": b"c",
    }
    ids = [f"{number:032x}" for number in range(STREAMS)]

    def work(connection: Connection) -> None:
        connection.execute(
            insert(tables.lineage),
            [lineage | {"id": one, "started_at": now, "acknowledged_sequence": 0} for one in ids],
        )
        connection.execute(
            insert(tables.svid),
            [svid | {"serial": _serial(n), "lineage": one} for n, one in enumerate(ids)],
        )

    return work


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def _all_acknowledged(served: Served, sequence: int) -> None:
    now = served.core.clock.now()
    read = served.core.store.read
    while (await read(lambda c: clients.counts(c, "", sequence, now))).behind:  # noqa: ASYNC110  # no event tells
        await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_ten_thousand_streams_idle_for_nothing_and_hear_of_a_ban_in_seconds(
    served: Served, crowd: Crowd, capsys: pytest.CaptureFixture[str]
) -> None:
    before, started = _resident(), time.monotonic()
    serials = " ".join(_serial(number) for number in range(STREAMS))
    assert await crowd.tell(f"open {serials}") == STREAMS == len(served.streams)
    opened = time.monotonic() - started
    first = served.core.trust.current.sequence
    await asyncio.wait_for(_all_acknowledged(served, first), 60)
    each = (_resident() - before) / STREAMS

    used = time.process_time()
    await asyncio.sleep(IDLE_SECONDS)
    idle = time.process_time() - used

    started = time.monotonic()
    answer = await served.admin.AddBan(authority_pb2.AddBanRequest(serial="f" * 32, reason="test"))
    assert await crowd.tell(f"receive {answer.sequence}") == STREAMS
    pushed = time.monotonic() - started
    await asyncio.wait_for(_all_acknowledged(served, answer.sequence), 60)
    acknowledged = time.monotonic() - started
    with capsys.disabled():
        print(
            f"\n{STREAMS} streams: opened in {opened:.1f} s, {each:.0f} bytes each,"
            f" {idle / IDLE_SECONDS:.2%} of a core while idle; a ban was received by all in"
            f" {pushed:.1f} s and acknowledged in the store in {acknowledged:.1f} s"
        )
    assert each < BYTES_PER_STREAM
    # Nothing wakes up: what is left is the interpreter and gRPC's own threads.
    assert idle < IDLE_SECONDS / 20
    assert acknowledged < 30


def test_the_table_of_calls_admits_that_many() -> None:
    assert RPCS["featward.identity.v1.IdentityService/WatchIdentity"].limit.at_once > STREAMS

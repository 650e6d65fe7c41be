"""How long a group waits for others, in turns of the loop."""

import asyncio

from featward_ca.gathering import Gathering

MOST = 1000


async def turns(gathering: Gathering, size: int) -> int:
    """How many turns a group waits that has so many members from the start."""
    counted = 0

    async def count() -> None:
        nonlocal counted
        while True:
            counted += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await gathering.wait(lambda: size, MOST)
    counting.cancel()
    return counted


async def test_who_comes_alone_waits_for_few_turns() -> None:
    gathering = Gathering()
    assert [9 < await turns(gathering, 1) < 20 for _ in range(3)] == [True] * 3


async def test_after_a_large_group_the_next_waits_longer_and_then_no_more() -> None:
    gathering = Gathering()
    await turns(gathering, 100)
    assert 100 < await turns(gathering, 1) < 150
    assert await turns(gathering, 1) < 20


async def test_a_full_group_waits_for_nobody() -> None:
    assert await turns(Gathering(), MOST) <= 1

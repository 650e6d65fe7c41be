"""Keys and who works on them; time is the loop's, in tenths of the real delays."""

import asyncio
import random
from collections import defaultdict
from itertools import pairwise

import pytest

from featward.kubernetes.queue import WorkQueue


def no_dice(_: float, high: float) -> float:
    return high


def make() -> WorkQueue[str]:
    return WorkQueue(first=0.1, longest=0.4, dice=no_dice)


async def taken(queue: WorkQueue[str], seconds: float = 5.0) -> str:
    async with asyncio.timeout(seconds):
        return await queue.get()


async def test_a_key_added_often_is_worked_on_once() -> None:
    queue = make()
    for _ in range(3):
        queue.add("a")
    queue.add("b")
    assert [await taken(queue), await taken(queue)] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_during_its_work_comes_again_after_it() -> None:
    queue = make()
    queue.add("a")
    key = await taken(queue)
    queue.add("a")
    queue.add("a")
    with pytest.raises(TimeoutError):
        await taken(queue, 0.1)
    queue.done(key)
    queue.done(await taken(queue, 0.1))
    with pytest.raises(TimeoutError):
        await taken(queue, 0.1)


async def test_one_key_is_never_worked_on_twice_at_once() -> None:
    """Four workers, three keys that are added all the time: by chance, for a second."""
    queue, chance = make(), random.Random(20261123)
    at_work: defaultdict[str, int] = defaultdict(int)
    most = done = added = 0

    async def work() -> None:
        nonlocal most, done
        while True:
            key = await queue.get()
            at_work[key] += 1
            most = max(most, at_work[key])
            await asyncio.sleep(chance.uniform(0, 0.005))
            at_work[key] -= 1
            done += 1
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    end = asyncio.get_running_loop().time() + 1
    while asyncio.get_running_loop().time() < end:
        queue.add(chance.choice("abc"))
        added += 1
        await asyncio.sleep(0.001)
    while len(queue) or queue.unfinished() != (0, 0):  # noqa: ASYNC110  no event tells that it is idle
        await asyncio.sleep(0.01)
    for worker in workers:
        worker.cancel()
    assert most == 1
    assert 3 <= done <= added


async def test_a_failing_key_backs_off_and_others_do_not_wait() -> None:
    queue, loop = make(), asyncio.get_running_loop()
    began, times, others = loop.time(), [], 0
    queue.add("fails")

    async def add_others() -> None:
        while True:
            queue.add("works")
            await asyncio.sleep(0.02)

    adding = asyncio.create_task(add_others())
    while loop.time() < began + 1.5:
        key = await taken(queue)
        if key == "fails":
            times.append(loop.time() - began)
            queue.add_limited(key)
        else:
            others += 1
            queue.forget(key)
        queue.done(key)
    adding.cancel()
    queue.close()
    waits = [after - before for before, after in pairwise(times)]
    for wait, least in zip(waits, (0.1, 0.2, 0.4, 0.4), strict=False):
        assert wait >= least - 0.01
    assert len(waits) >= 3
    assert others >= 15


async def test_a_key_that_went_well_begins_anew() -> None:
    queue = make()
    for _ in range(3):
        queue.add_limited("a")
    assert queue.failures("a") == 3
    queue.forget("a")
    assert queue.failures("a") == 0
    queue.close()


async def test_a_server_that_asks_for_time_gets_it() -> None:
    queue, loop = make(), asyncio.get_running_loop()
    began = loop.time()
    queue.add_limited("a", asked=0.3)
    await taken(queue)
    assert loop.time() - began >= 0.3


async def test_of_several_later_moments_the_first_counts() -> None:
    queue, loop = make(), asyncio.get_running_loop()
    began = loop.time()
    for seconds in (5, 0.2, 5):
        queue.add_after("a", seconds)
    queue.done(await taken(queue, 1))
    assert 0.15 < loop.time() - began < 1
    with pytest.raises(TimeoutError):
        await taken(queue, 0.2)
    queue.add_after("a", 0)
    assert await taken(queue, 0.1) == "a"


async def test_the_watcher_is_told_of_waits_and_of_work() -> None:
    seen: list[tuple[str, float]] = []

    class Watcher:
        def added(self, depth: int) -> None:
            seen.append(("added", depth))

        def taken(self, depth: int, waited: float) -> None:
            seen.append(("taken", waited))

        def finished(self, took: float) -> None:
            seen.append(("finished", took))

        def retried(self) -> None:
            seen.append(("retried", 0))

    now = [0.0]
    queue: WorkQueue[str] = WorkQueue(watcher=Watcher(), clock=lambda: now[0])
    queue.add("a")
    queue.add("a")
    now[0] = 2.0
    key = await queue.get()
    now[0] = 5.0
    assert queue.unfinished() == (3.0, 3.0)
    queue.add_limited(key)
    queue.done(key)
    queue.close()
    assert seen == [("added", 1), ("taken", 2.0), ("retried", 0), ("finished", 3.0)]

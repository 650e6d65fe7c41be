"""A candidate in a process of its own: ``elector_program.py KUBECONFIG NAMESPACE IDENTITY LEASE RENEW RETRY``.

Prints lines with the time of day: ``leads`` once, ``acts`` all the time while it may, and ``lost`` at the end.
"""

import asyncio
import sys
import time

from featward.kubernetes.elector import Elector
from featward.kubernetes.gateway import Gateway


async def main() -> None:
    kubeconfig, namespace, identity, *seconds = sys.argv[1:]
    lease, renew, retry = map(float, seconds)
    async with await Gateway.open(kubeconfig, agent="elector") as gateway:
        elector = Elector(
            gateway, namespace, "leader", identity, lease=lease, renew=renew, retry=retry
        )
        async with elector.leading() as lost:
            say("leads")
            while not lost.is_set():
                say("acts")
                await asyncio.sleep(0.01)
            say("lost")


def say(word: str) -> None:
    print(time.time(), word, flush=True)


if __name__ == "__main__":
    asyncio.run(main())

"""What `relax` comes to in a sidecar: over the operator's real policy service, with no CA anywhere."""

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from featward.identity.spiffe import SpiffeId
from featward.kubernetes.gateway import Gateway
from featward_engine import Policy
from following import is_so
from kubectl_kit import FEATURES, Place
from kubernetes_programs import BUILD_SECONDS
from policy_service_kit import operating

pytestmark = pytest.mark.timeout(BUILD_SECONDS)


def decided(place: Place, content: bytes, now: float) -> dict[str, Any]:
    """What the engine says to a caller without a grant, at a moment."""
    caller = SpiffeId.service_account(place.domain, "payments", place.shop, "stranger")
    question = {
        "identity": str(caller),
        "features": [FEATURES[0]],
        "service": None,
        "rows": 1,
        "now": now,
    }
    found: dict[str, Any] = json.loads(Policy(content).decide(json.dumps(question).encode()))
    return found


async def test_relax_works_with_the_ca_dead_and_ends_by_itself(
    place: Place, tmp_path: Path
) -> None:
    place.apply_set()
    place.apply_binding()
    server = SpiffeId.service_account(place.domain, "payments", place.ml, "feast")
    async with (
        await Gateway.open(str(place.kubeconfig), agent="featward-tests") as gateway,
        operating(tmp_path, place.domain, objects=[]) as operator,
    ):
        following = asyncio.create_task(operator.world.follow(gateway))
        try:
            known = operator.world.index.catalogue
            await is_so(lambda: known.server((place.ml, "drivers")) == server)
            async with operator.sidecar(server) as sidecar:
                await sidecar.hello()
                await sidecar.policy()
                before = decided(place, sidecar.policies[-1], time.time())
                assert (before["outcome"], before["mode"]) == ("deny", "enforce")
                told = ["relax", "drivers", "-n", place.ml, "--for", "30m", "--reason", "broken"]
                done = await asyncio.to_thread(place.run, *told)
                made = time.time()
                assert done.status == 0, done.err
                snapshot = await sidecar.policy()
                assert time.time() - made < 2
                relaxed = snapshot.feature_sets[0].override
                assert abs(relaxed.until - made - 1800) < 30
                content = sidecar.policies[-1]
                during = decided(place, content, relaxed.until - 1)
                assert during["mode"] == "shadow"
                # The very same policy, and nobody has to come back.
                after = decided(place, content, relaxed.until)
                assert (after["outcome"], after["mode"]) == ("deny", "enforce")
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

"""Moving in without an outage: the manifests from Feast itself, observe for all, and then enforce."""

import time

from featward_demo.calls import Answer, plain
from featward_demo.command_line import ask
from featward_demo.documents import set_mode
from featward_demo.stack import DRIVERS, EFFECT_SECONDS, Stack
from featward_demo.steps import Seen

QUESTION = {"features": ["driver_hourly_stats:conv_rate"], "entities": {"driver_id": [1001, 1002]}}


def manifests_fit(stack: Stack) -> Seen:
    """The FeatureSets came out of Feast's registry, and say what it serves."""
    started = time.perf_counter()
    place = (stack.feast.repository, "--manifests", stack.manifests)
    found = ask("import", "feast", *place, "--check", accept=(0, 1))
    # The folder holds one expired binding on purpose, which check reports with status 1.
    checked = ask("check", stack.manifests, accept=(0, 1))
    codes = sorted({finding["code"] for finding in _findings(checked)})
    drifted = len(found["changes"])
    return Seen(
        tried="featward import feast --check, and featward check",
        came_back=f"{drifted} differences to Feast; findings: {', '.join(codes) or 'none'}",
        why="import wrote both FeatureSets from Feast's registry; the binding of fraud-batch has expired",
        behaved=not found["drifts"] and drifted == 0 and codes == ["expired"],
        seconds=time.perf_counter() - started,
    )


def observed(stack: Stack) -> Seen:
    """In observe, a caller that has no sidecar still gets its answer, and is listed as one to move."""
    answer = plain(stack.ports.plain, QUESTION)
    waiting = [row.get("source") for row in stack.server.status()["unidentified"]]
    return Seen(
        tried="an app without sidecar asks on the plain port, while driver-stats is in observe",
        came_back=f"{_told(answer)}; callers to move: {', '.join(map(str, waiting)) or 'none'}",
        why="observe refuses nobody, records what it would have done, and counts who came without identity",
        behaved=answer.status == 200
        and answer.columns["conv_rate"] == [0.0, 0.001]
        and "127.0.0.1" in waiting,
        seconds=answer.seconds,
    )


def enforced(stack: Stack) -> Seen:
    """One edit of the manifest, and the same caller is refused."""
    before = stack.server.status()["policy"]["digest"]
    set_mode(stack.feature_set(DRIVERS), "enforce")
    edited = time.perf_counter()
    answer = plain(stack.ports.plain, QUESTION)
    while answer.status == 200 and time.perf_counter() - edited < EFFECT_SECONDS:
        time.sleep(0.1)
        answer = plain(stack.ports.plain, QUESTION)
    took = time.perf_counter() - edited
    after = stack.server.status()["policy"]["digest"]
    return Seen(
        tried="driver-stats.yaml: mode observe becomes enforce; the same app asks again",
        came_back=f"{_told(answer)}, {took:.2f} s after the edit; policy {before[:8]} became {after[:8]}",
        why="the sidecar saw the edit, compiled it and swapped its policy whole, without a restart",
        behaved=answer.status == 403 and answer.reason == "identity-required" and before != after,
        seconds=took,
    )


def _findings(checked: object) -> list[dict[str, str]]:
    if isinstance(checked, dict):
        return list(checked.get("findings", []))
    return list(checked) if isinstance(checked, list) else []


def _told(answer: Answer) -> str:
    return (
        f"{answer.status} {answer.reason or 'with the features'}"
        if answer.status
        else str(answer.failure)
    )

"""Apps that ask all the time, and say in their logs what came of it: also while nobody can ask them."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cluster.asking import ASKING
from cluster.pods import PYTHON, container, deployment, pods, template
from cluster.running import Cluster
from cluster.waiting import wait_until

__all__ = ["App", "Tally", "asks_steadily", "no_request_lost"]

# Ten times a second, each over a connection of its own; a line a second, so that what was is never lost.
_PROGRAM = (
    ASKING
    + """
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
answered, failed, slowest, told = 0, [], 0.0, time.time()
while True:
    began, why = time.time(), ""
    try:
        status, said = ask(*sys.argv[1:])
        if status != 200:
            why = f"{status} {said[:500]}"
    except Exception as error:  # whatever it is, a request was lost by it
        why = f"{type(error).__name__}: {error}"
    ended = time.time()
    answered, slowest = answered + (not why), max(slowest, ended - began)
    if why:
        failed.append([began, why])
    if ended - told >= 1:
        line = {"since": told, "until": ended, "answered": answered, "failed": failed, "slowest": slowest}
        print(json.dumps(line), flush=True)
        answered, failed, slowest, told = 0, [], 0.0, ended
    time.sleep(max(0.0, began + 0.1 - time.time()))
"""
)
_LEAST_A_SECOND = 2.0


@dataclass(frozen=True)
class Tally:
    """What an app saw: how many answers, what failed (when, and why), and the slowest answer in seconds."""

    answered: int
    failed: list[tuple[float, str]]
    slowest: float


@dataclass(frozen=True)
class App:
    """One that runs: the only pod of a Deployment."""

    cluster: Cluster
    namespace: str
    name: str

    def tally(self, began: float, ended: float) -> Tally:
        """Of the time between these two, in seconds of the day; waits until the app has spoken of all of it."""

        def has_spoken() -> bool:
            last = self._lines()[-1:]
            return bool(last) and last[0]["until"] >= ended

        wait_until(has_spoken, f"{self.name} has said how it went", 60)
        lines = [one for one in self._lines() if one["until"] > began and one["since"] < ended]
        failed = [(at, why) for one in lines for at, why in one["failed"] if began <= at <= ended]
        answered = sum(one["answered"] for one in lines)
        return Tally(answered, failed, max((one["slowest"] for one in lines), default=0.0))

    def is_answered(self) -> bool:
        """Whether all that it asked in the last second was answered."""
        last = self._lines()[-1:]
        return bool(last) and bool(last[0]["answered"]) and not last[0]["failed"]

    def _lines(self) -> list[dict[str, Any]]:
        (pod,) = pods(self.cluster, self.namespace, self.name)
        where = ("--namespace", self.namespace, pod["metadata"]["name"], "--container", "app")
        said = self.cluster.kubectl("logs", *where).splitlines()
        return [json.loads(line) for line in said]


def asks_steadily(
    namespace: str, name: str, image: str, feature_sets: str, variable: str, columns: str
) -> list[dict[str, Any]]:
    """A Deployment with an account of its own, whose app asks for these columns for ever."""
    made = template(
        name,
        container("app", image, PYTHON, "-c", _PROGRAM, variable, columns),
        labels={"featward.dev/inject": "client"},
        annotations={"featward.dev/feature-sets": feature_sets},
    )
    return deployment(namespace, name, made)


@contextmanager
def no_request_lost(*apps: App) -> Iterator[None]:
    """Fails with all that failed of what these apps asked meanwhile."""
    for app in apps:
        wait_until(app.is_answered, f"{app.name} is answered", 90)
    began = time.time()
    yield
    ended = time.time()
    for app in apps:
        tally = app.tally(began, ended)
        print(
            f"{app.name}: {tally.answered} answers in {ended - began:.0f} s, slowest {tally.slowest:.2f} s"
        )
        assert not tally.failed, (app.name, tally.failed[:10], len(tally.failed))
        assert tally.answered >= _LEAST_A_SECOND * (ended - began), (app.name, tally)

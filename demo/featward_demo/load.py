"""Steady load on one port, in the clear on loopback: every request's outcome is counted, none is repeated."""

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

from featward_demo.calls import READ
from featward_demo.ports import HOST

SECONDS_PER_REQUEST = 10.0
# An idle moment between two requests of a caller; what a sidecar and Feast on two busy cores carry easily.
PAUSE = 0.02


@dataclass
class Load:
    """Callers that ask one after the other, each on a connection that it keeps, from `start` to `stop`."""

    port: int
    question: Any
    callers: int = 2
    pause: float = PAUSE
    answered: int = 0
    # What went wrong, by its text.
    failures: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    _ending: threading.Event = field(default_factory=threading.Event, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _threads: list[threading.Thread] = field(default_factory=list, repr=False)

    def start(self) -> None:
        """Begin."""
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.callers)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let requests under way finish, and end."""
        self._ending.set()
        for thread in self._threads:
            thread.join()

    @property
    def failed(self) -> int:
        """How many requests got no 200."""
        return self.failures.total()

    def _ask(self) -> None:
        body = json.dumps(self.question)
        headers = {"Content-Type": "application/json"}
        connection = HTTPConnection(HOST, self.port, timeout=SECONDS_PER_REQUEST)
        while not self._ending.is_set():
            started = time.perf_counter()
            try:
                connection.request("POST", READ, body, headers)
                response = connection.getresponse()
                content = response.read()
                failure = None if response.status == 200 else f"{response.status} {content[:200]!r}"
            except (OSError, HTTPException) as error:
                failure = f"{type(error).__name__}: {error}"
                connection.close()
            self._count(time.perf_counter() - started, failure)
            self._ending.wait(self.pause)
        connection.close()

    def _count(self, seconds: float, failure: str | None) -> None:
        with self._lock:
            self.slowest = max(self.slowest, seconds)
            if failure is None:
                self.answered += 1
            else:
                self.failures[failure] += 1

"""What the agent knows that the engine does not, for `featward sidecar status`.

Threads change it through `update`; each change is published as JSON, to the engine's admin socket, which
shows it under "agent". It says nothing that the engine can say by itself: identity, expiry and callers are
the engine's.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["AgentStatus", "failure"]


def failure(message: str) -> dict[str, object]:
    """An error with its time, as the status shows it."""
    return {"time": time.time(), "message": message}


class AgentStatus:
    """A small tree of sections, each a JSON object."""

    def __init__(
        self, workload: str, ca: str, manifests: str | None, operator: str | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._publish: Callable[[bytes], None] | None = None
        self._sections: dict[str, dict[str, Any]] = {
            "process": {
                "pid": os.getpid(),
                "started": time.time(),
                "workload": workload,
                "draining": False,
            },
            "ca": {
                "address": ca,
                "connected": False,
                "since": None,
                "last_error": None,
                "failures": 0,
            },
            "identity": {
                "attested_by": None,
                "last_issued": None,
                "renew_at": None,
                "renewals": 0,
                "failed_renewals": 0,
                "refused": None,
                "last_error": None,
            },
            "apps": {"socket": None, "files": None, "last_error": None},
            "policy": {
                "source": None,
                "manifests": manifests,
                "applied_at": None,
                "confirmed_at": None,
                "refused_edits": 0,
                "last_error": None,
                "warnings": 0,
            },
        }
        if operator is not None:
            self._sections["operator"] = {
                "address": operator,
                "connected": False,
                "since": None,
                "last_error": None,
                "failures": 0,
            }

    def publish_to(self, publish: Callable[[bytes], None]) -> None:
        with self._lock:
            self._publish = publish
            self._send()

    def update(self, section: str, **values: object) -> None:
        with self._lock:
            self._sections[section].update(values)
            self._send()

    def count(self, section: str, name: str) -> None:
        with self._lock:
            self._sections[section][name] += 1
            self._send()

    def _send(self) -> None:
        if self._publish is not None:
            self._publish(json.dumps(self._sections).encode())

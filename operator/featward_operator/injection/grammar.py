"""The grammar of each annotation: a reader takes the text, or raises ValueError with what was expected."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from featward_operator.injection.quantities import cpu, memory

__all__ = ["FIRST_PORT", "LAST_PORT", "MOST_SETS", "READERS", "Named"]

FIRST_PORT, LAST_PORT = 1024, 65535
"""Below it a process that is nobody in particular may not listen everywhere."""
MOST_SETS = 64

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SET = re.compile(
    rf"((?P<namespace>{_LABEL})/)?(?P<name>{_LABEL}(\.{_LABEL})*)(=(?P<port>[0-9]{{1,5}}))?"
)


@dataclass(frozen=True, slots=True)
class Named:
    """A feature set as the annotation has it."""

    namespace: str | None
    name: str
    port: int | None

    @property
    def text(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def _feature_sets(text: str) -> tuple[Named, ...]:
    parts = [part.strip() for part in text.split(",")]
    found = [_SET.fullmatch(part) for part in parts]
    if not all(found) or len(found) > MOST_SETS:
        raise ValueError(
            f"at most {MOST_SETS} feature sets with commas between, such as driver-stats or "
            "ml/driver-stats=15101"
        )
    return tuple(
        Named(one["namespace"], one["name"], _port(one["port"]) if one["port"] else None)
        for one in found
        if one
    )


def _upstream(text: str) -> str:
    expected = "an address on loopback, such as 127.0.0.1:6566"
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        raise ValueError(expected) from None
    numbered = port.isascii() and port.isdigit() and 0 < int(port) <= LAST_PORT
    bracketed = (bare != host) == (address.version == 6)
    if not (address.is_loopback and numbered and bracketed):
        raise ValueError(expected)
    return text


def _port(text: str) -> int:
    if not (re.fullmatch("[0-9]{1,5}", text) and FIRST_PORT <= int(text) <= LAST_PORT):
        raise ValueError(f"a port from {FIRST_PORT} to {LAST_PORT}")
    return int(text)


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError('"true" or "false"')
    return text == "true"


def _seconds(text: str) -> int:
    if not (re.fullmatch("[0-9]{1,4}", text) and 1 <= int(text) <= 3600):
        raise ValueError("whole seconds from 1 to 3600")
    return int(text)


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return text

    return read


READERS: dict[str, Callable[[str], Any]] = {
    "feature-sets": _feature_sets,
    "upstream": _upstream,
    "port": _port,
    "plain-port": _port,
    "health-port": _port,
    "outbound-port": _port,
    "cpu-request": cpu,
    "cpu-limit": cpu,
    "memory-request": memory,
    "memory-limit": memory,
    "log-level": _one_of("debug", "info", "warning", "error"),
    "hold-application": _flag,
    "plain": _flag,
    "image-pull-policy": _one_of("Always", "IfNotPresent", "Never"),
    "drain-seconds": _seconds,
}

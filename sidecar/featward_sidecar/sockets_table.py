"""Who talks to the feature server past us, and what else listens in our pod, as the kernel lists it.

A service that still sends callers to the feature server itself shows nothing to a proxy beside it. Containers
of a pod share a network namespace, so its table of TCP connections names them. It is looked at, not followed:
closed connections stay in it for a minute, so that calls between two looks show too.
"""

import ipaddress
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Address", "Far", "SocketsTable", "addresses_in"]

Address = tuple[str, int]
"""IP address and port."""

FORGOTTEN_SECONDS = 3600.0
"""Somebody who has not been seen for so long no longer counts as coming past us."""

REMEMBERED = 1024
"""Far ends remembered at a time, by the newest sight."""

_TABLES = ("tcp", "tcp6")
_LISTEN = 0x0A
_NO_PEER = {0x02, 0x03, 0x07, 0x0A, 0x0C}
"""States of include/net/tcp_states.h without a peer that has answered: SYN_SENT, SYN_RECV, CLOSE, LISTEN,
NEW_SYN_RECV."""


@dataclass(frozen=True, slots=True)
class Far:
    """Somebody who reached a port of the feature server past us, and when it was last seen."""

    address: str
    port: int
    last_seen: float


@dataclass(slots=True)
class SocketsTable:
    """`look` now and then; the rest is what was seen."""

    ours: Collection[Address]
    """What we listen on ourselves."""
    folder: Path = Path("/proc/self/net")
    listening: list[Address] = field(default_factory=list, init=False)
    """What listens and is not ours, sorted; as of the last look."""
    _seen: dict[Address, float] = field(default_factory=dict, init=False)

    def look(self, upstream_ports: Collection[int], now: float) -> None:
        """Read the tables. One that is not there, or that is written otherwise, has nothing to say."""
        listening = set()
        for near, far, state in self._lines():
            if state == _LISTEN:
                listening.add(near)
            elif near[1] in upstream_ports and state not in _NO_PEER and not _is_near(far[0]):
                self._seen[far[0], near[1]] = now
        self.listening = sorted(listening - set(self.ours))
        self._forget(now)

    @property
    def bypassing(self) -> list[Far]:
        """Newest first."""
        rows = [Far(address, port, seen) for (address, port), seen in self._seen.items()]
        return sorted(rows, key=lambda one: (-one.last_seen, one.address, one.port))

    def _forget(self, now: float) -> None:
        kept = [one for one in self.bypassing if now - one.last_seen < FORGOTTEN_SECONDS]
        self._seen = {(one.address, one.port): one.last_seen for one in kept[:REMEMBERED]}

    def _lines(self) -> Iterator[tuple[Address, Address, int]]:
        for name in _TABLES:
            try:
                with (self.folder / name).open(encoding="ascii") as table:
                    next(table, None)  # the headings
                    yield from map(_read, table)
            except (OSError, ValueError, IndexError):
                continue


def addresses_in(bound: object) -> list[Address]:
    """Every ``ip:port`` in what `Proxy.start` says it has bound."""
    if isinstance(bound, dict):
        return [address for each in bound.values() for address in addresses_in(each)]
    host, colon, port = str(bound).rpartition(":")
    if not colon or not port.isdigit() or host == "unix":
        return []
    return [(_plain(host.strip("[]")), int(port))]


def _read(line: str) -> tuple[Address, Address, int]:
    parts = line.split(maxsplit=4)
    return _address(parts[1]), _address(parts[2]), int(parts[3], 16)


def _address(text: str) -> Address:
    """``0100007F:1F90``: words of 32 bits in the machine's own order, and the port."""
    digits, _, port = text.partition(":")
    packed = bytes.fromhex(digits)
    if sys.byteorder == "little":
        packed = b"".join(packed[at : at + 4][::-1] for at in range(0, len(packed), 4))
    return _plain(ipaddress.ip_address(packed)), int(port, 16)


def _plain(address: str | ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """An IPv4 address is written as such where a socket of IPv6 has it."""
    found = ipaddress.ip_address(address)
    return str(getattr(found, "ipv4_mapped", None) or found)


def _is_near(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback

"""Channels whose far end is verified mTLS by the engine, one socket for each far end."""

import asyncio
import hashlib
import json
from pathlib import Path

import grpc.aio

from featward_engine import Credentials, Dialer

__all__ = ["OPTIONS", "Dialers"]

OPTIONS = (
    # By default gRPC sends the socket's path, which is no authority.
    ("grpc.default_authority", "localhost"),
    # A far end that went away is noticed within half a minute also where nothing says so.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


class Dialers:
    """Makes and ends them."""

    def __init__(self, credentials: Credentials, folder: Path) -> None:
        """`folder` is for the sockets: nobody else may get in, and its path is short (90 bytes)."""
        self._credentials = credentials
        self._folder = folder
        self._running: dict[tuple[str, str, str], tuple[Dialer, str]] = {}

    def channel(self, expect: str, address: str, root_sha256: str = "") -> grpc.aio.Channel:
        """To whoever is `expect` (a SPIFFE ID) at `address`. It may be kept while certificates change.

        With `root_sha256` the far end is known by that root alone and is shown no certificate: the first
        contact. Raises ConfigError.
        """
        _, socket = self._dialer(expect, address, root_sha256)
        return grpc.aio.insecure_channel(f"unix:{socket}", OPTIONS)

    def why(self, expect: str, address: str, root_sha256: str = "") -> str | None:
        """Why the newest connection to it could not be made; None after one that could."""
        found = self._running.get((expect, address, root_sha256))
        return found[0].last_error() if found else None

    async def end(self, expect: str, address: str, root_sha256: str) -> None:
        """No channel to it is needed any more."""
        if found := self._running.pop((expect, address, root_sha256), None):
            await asyncio.to_thread(found[0].stop)

    async def close(self) -> None:
        """End all of them."""
        for key in list(self._running):
            await self.end(*key)

    def _dialer(self, expect: str, address: str, root_sha256: str) -> tuple[Dialer, str]:
        key = expect, address, root_sha256
        if key not in self._running:
            name = hashlib.sha256("\n".join(key).encode()).hexdigest()[:12]
            path = self._folder / f"{name}.sock"
            path.unlink(missing_ok=True)  # left by a process that was killed; the folder is ours
            config = {
                "address": address,
                "socket": str(path),
                "expect": expect,
                "root_sha256": root_sha256 or None,
                "client_certificate": not root_sha256,
                # Who was away for longer than an authority lives has no scope of the CA's newest one.
                "platform_by_root": not root_sha256 and expect.endswith("/featward/ca"),
            }
            dialer = Dialer(self._credentials, json.dumps(config).encode())
            self._running[key] = dialer, dialer.start()
        return self._running[key]

"""Asks a running sidecar's admin socket how it is."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from featward_sidecar.errors import SidecarError

__all__ = ["fetch_status"]

SECONDS = 5.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(str(self._path))


def fetch_status(admin: Path) -> dict[str, Any]:
    """The status document. Raises SidecarError with what to do."""
    connection = _UnixConnection(admin)
    try:
        connection.request("GET", "/status")
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SidecarError(f"the sidecar at {admin} answered {answer.status} {answer.reason}")
        status: dict[str, Any] = json.loads(body)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise SidecarError(
            f"no sidecar answers at {admin}; start it with `featward sidecar run`, or name its "
            "socket with --admin"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SidecarError(f"the sidecar at {admin} can't be asked: {error}") from error
    finally:
        connection.close()
    return status

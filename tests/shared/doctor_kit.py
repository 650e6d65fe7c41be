"""The doctor as a person calls it, and servers of this process for it to look at."""

import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from featward.cli import root

__all__ = ["Server", "Talk", "Visit", "doctor"]

Talk = Callable[[socket.socket], None]


@dataclass(frozen=True)
class Visit:
    """What one run of the command said."""

    code: int
    text: str
    errors: str

    @property
    def report(self) -> dict[str, Any]:
        assert self.code in (0, 1), self.errors
        told: dict[str, Any] = json.loads(self.text)
        return told

    @property
    def codes(self) -> set[str]:
        """All that was found, whatever its weight."""
        report = self.report
        chains = [each["findings"] for each in report["identities"]]
        return {each["code"] for found in (report["findings"], *chains) for each in found}


def doctor(target: object, *options: object, output: str = "json") -> Visit:
    """Run it."""
    command = ["doctor", target, "--output", output, "--timeout", "2", *options]
    done = CliRunner().invoke(root.build(), [str(each) for each in command], env={"COLUMNS": "200"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Visit(done.exit_code, done.stdout, done.stderr)


class Server:
    """A server on loopback that talks to each caller in a thread of its own, until it is closed."""

    def __init__(self, talk: Talk) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._talk = talk
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                end, _ = self._listener.accept()
                end.settimeout(20)
                self._open.append(end)
                threading.Thread(target=self._one, args=(end,), daemon=True).start()

    def _one(self, end: socket.socket) -> None:
        with suppress(OSError, ssl.SSLError), end:
            self._talk(end)

    def close(self) -> None:
        # close() alone does not wake accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

"""Which loopback ports the demo uses.

Free ones that the kernel picks, or a row of them from a base.
"""

import socket
from collections.abc import Iterator

from featward_demo.errors import PortTakenError

HOST = "127.0.0.1"


def ports(base: int | None) -> Iterator[int]:
    """An endless row of ports: free ones, or `base`, `base + 1`… each checked as it is taken."""
    if base is None:
        return _free()
    return _from(base)


def _free() -> Iterator[int]:
    given: set[int] = set()
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if port not in given:
            given.add(port)
            yield port


def _from(base: int) -> Iterator[int]:
    for port in range(base, 65_536):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                raise PortTakenError(
                    f"port {port} is in use; stop the program that has it, choose another "
                    "--port-base, or leave it out and let the system pick free ports"
                ) from error
        yield port
    raise PortTakenError(f"there are not enough ports above {base}; choose a lower --port-base")

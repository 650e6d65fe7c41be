"""The first process of a box: it prepares mounts and network, lets connections in, and buries the dead.

Started by box.py as root in new namespaces of processes, mounts and network, with the number of a listening
socket of the machine's own network, from which connections are passed on to the API server inside.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

__all__ = ["ADDRESS", "API_PORT", "BRIDGE", "RESOLV_CONF", "SUBNET"]

ADDRESS = "10.244.77.1"
"""Of the node, on the bridge of its pods."""
SUBNET = "10.244.77.0/24"
API_PORT = 6443
RESOLV_CONF = "/run/resolv.conf"
BRIDGE = "featward0"
# The same as in kubernetes_control.py, which can't be imported here: this program is Python's own alone.
_SERVICES = "10.0.0.0/24"
# Where programs write at places of their own choice. What they write stays in the box.
_COVERED = ("/opt", "/var/lib", "/var/log")
_ON_DISK = {
    "containerd": "/var/lib/containerd",
    "kubelet": "/var/lib/kubelet",
    "pods": "/var/log/pods",
}
# The kubelet sets these, which hold for the whole machine; it shall find and set them in plain files instead.
_TUNABLES = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def main(listening: int) -> None:
    """Prepare when told the folder of the box on the disk, say `ready`, and stay for ever."""
    folder = Path(sys.stdin.readline().strip())
    _mount(folder)
    _network()
    print("ready", flush=True)
    asyncio.run(_stay(socket.socket(fileno=listening)))


def _mount(folder: Path) -> None:
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for place in _COVERED:
        upper, work = (Path(f"/run/covered{place}", part) for part in ("upper", "work"))
        upper.mkdir(parents=True)
        work.mkdir()
        layers = f"lowerdir={place},upperdir={upper},workdir={work}"
        _run("mount", "-t", "overlay", "-o", layers, "overlay", place)
    # Containers' files are many, and belong on the disk rather than into memory.
    for part, place in _ON_DISK.items():
        Path(place).mkdir(exist_ok=True)
        _run("mount", "--bind", str(folder / part), place)
    for name in _TUNABLES:
        real = Path("/proc/sys", name)
        copy = Path("/run/sysctl", name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(real.read_text())
        _run("mount", "--bind", str(copy), str(real))
    Path(RESOLV_CONF).touch()


def _network() -> None:
    for command in (
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"addr add {ADDRESS}/24 dev {BRIDGE}",
        f"link set {BRIDGE} up",
        f"route add {_SERVICES} dev {BRIDGE}",
    ):
        _run("ip", *command.split())
    # Without it the answers of a Service's pod go to its caller past the rules that have changed the address.
    filtered = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if not filtered.exists():
        _run("modprobe", "br_netfilter")
    filtered.write_text("1")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


async def _stay(listening: socket.socket) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, _bury)
    server = await asyncio.start_server(_pass_on, sock=listening)
    await server.serve_forever()


def _bury() -> None:
    """Those whose parent is gone have become our children."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        there_reader, there_writer = await asyncio.open_connection(ADDRESS, API_PORT)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))

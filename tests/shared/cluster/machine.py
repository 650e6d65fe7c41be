"""What the cluster needs of the machine, and what it leaves on it: control groups and a folder on the disk.

Run as a program it says what is missing; with `--install` it first gets Debian's packages, where we may.
"""

import os
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["CNI", "Ground", "missing", "owner", "remove_leftovers", "require"]

PACKAGES = (
    "containerd",
    "runc",
    "containernetworking-plugins",
    "iptables",
    "nftables",
    "busybox-static",
    "iproute2",
    "util-linux",
    "kmod",
)
CNI = Path("/usr/lib/cni")
_PROGRAMS = (
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "runc",
    "iptables",
    "nft",
    "busybox",
    "ip",
    "mount",
    "nsenter",
    "setpriv",
    "unshare",
    "modprobe",
)
_PLUGINS = ("bridge", "host-local", "loopback")
_CGROUPS = Path("/sys/fs/cgroup")
_REMOVING_SECONDS = 20.0
# A box's name is that of the process which it belongs to, and when that one started.
_NAME = re.compile(r"featward-([0-9]+)-([0-9]+)")


def missing() -> list[str]:
    """What of the machine's programs isn't there."""
    found = [name for name in _PROGRAMS if shutil.which(name) is None]
    found += [str(CNI / name) for name in _PLUGINS if not (CNI / name).exists()]
    busybox = shutil.which("busybox")
    # It is all that is in the containers: nothing there could load libraries for it.
    if busybox and _needs_loader(Path(busybox).read_bytes()):
        found.append("a busybox that is linked statically")
    return found


def _needs_loader(program: bytes) -> bool:
    """Whether a 64-bit ELF file has a program header of the kind PT_INTERP, which is 3."""
    (start,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    kinds = (struct.unpack_from("<I", program, start + size * one)[0] for one in range(count))
    return 3 in kinds


def require() -> None:
    """Raises RuntimeError, which says what to do, where no cluster can run."""
    if os.geteuid():
        raise RuntimeError(
            "the test cluster runs real containers, which takes root: run it as root"
        )
    if names := missing():
        raise RuntimeError(
            f"the test cluster needs programs that are not there: {', '.join(names)}; "
            f"on Debian: apt install {' '.join(PACKAGES)}"
        )


class Ground:
    """What a box takes of the machine that doesn't end with its processes; its name is that of one of
    them, which runs by now.
    """

    def __init__(self, pid: int) -> None:
        self.name = f"featward-{pid}-{_started(pid)}"
        self.folder = _folders() / self.name

    def make(self) -> None:
        """Its folders, which are still empty."""
        for part in ("containerd", "kubelet", "pods"):
            (self.folder / part).mkdir(parents=True)
        for hierarchy in _hierarchies():
            (hierarchy / self.name).mkdir()

    def remove(self) -> None:
        """Once nothing runs there any more."""
        _remove(self.name)


def remove_leftovers() -> None:
    """What clusters have left whose process is gone: those of killed runs, and nothing else."""
    names = {
        path.name for place in (*_hierarchies(), _folders()) for path in place.glob("featward-*")
    }
    for name in names:
        if _NAME.fullmatch(name) and not owner(name):
            _remove(name)


def owner(name: str) -> int:
    """The process that a ground of this name belongs to, or 0 when it is gone."""
    found = _NAME.fullmatch(name)
    assert found, name
    pid = int(found[1])
    return pid if _started(pid) == found[2] else 0


def _remove(name: str) -> None:
    for hierarchy in _hierarchies():
        _remove_cgroup(hierarchy / name)
    shutil.rmtree(_folders() / name, ignore_errors=True)


def _remove_cgroup(folder: Path) -> None:
    """Its processes may be about to end still, for which there is no signal."""
    end = time.monotonic() + _REMOVING_SECONDS
    while folder.exists():
        try:
            for inner, _, _ in os.walk(folder, topdown=False):
                Path(inner).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _hierarchies() -> Iterator[Path]:
    """One for version 2 of control groups; with version 1 there is one for each kind of resource."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind in ("cgroup", "cgroup2") and Path(place).is_relative_to(_CGROUPS):
            yield Path(place)


def _folders() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "featward" / "clusters"


def _started(pid: int) -> str:
    """When a process started, in ticks, or nothing where there is none: numbers are used again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _install() -> None:
    if missing() and os.geteuid() == 0 and shutil.which("apt-get"):
        print("installing the test cluster's packages by apt-get ...", flush=True)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES]
        for command in (["apt-get", "update", "-qq"], install):
            # Where it fails it says why; what is missing then is said by require().
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    if "--install" in sys.argv:
        _install()
    try:
        require()
    except RuntimeError as error:
        sys.exit(f"error: {error}")

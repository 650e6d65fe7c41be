"""Images of ours, unpacked, and containers of them run by runc alone: no daemon, no network of their own."""

import itertools
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Unpacked", "read_image", "unpack"]

_SECONDS = 120.0
_names = itertools.count()
# What every container gets, as from a kubelet; all else is read-only.
_MOUNTS = (
    ("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"]),
    ("/dev", "tmpfs", "tmpfs", ["nosuid", "mode=755", "size=65536k"]),
    ("/dev/shm", "tmpfs", "shm", ["nosuid", "nodev", "mode=1777"]),  # noqa: S108  a container's own
)
_NAMESPACES = ("pid", "ipc", "uts", "mount")


def read_image(file: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, bytes]]:
    """The index entry and the configuration of an image's file, and its blobs by digest."""
    blobs: dict[str, bytes] = {}
    with tarfile.open(file) as tar:
        for entry in tar:
            read = tar.extractfile(entry)
            assert read is not None, f"{entry.name} is no file"
            blobs[entry.name.removeprefix("blobs/").replace("/", ":")] = read.read()
    (entry_of,) = json.loads(blobs.pop("index.json"))["manifests"]
    manifest = json.loads(blobs[entry_of["digest"]])
    return entry_of, json.loads(blobs[manifest["config"]["digest"]]), blobs


@dataclass(frozen=True)
class Unpacked:
    """An image's file system in a folder."""

    root: Path
    config: Mapping[str, Any]
    """How containers of it run, as the image says."""
    work: Path

    def run(
        self,
        arguments: Sequence[str],
        *,
        entrypoint: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        mounts: Mapping[str, Path] | None = None,
        folder: str = "",
        seconds: float = _SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """A container to its end: as the image's user, without a privilege, on a read-only root.

        `mounts` are folders of this machine that it may write to, by where it sees them.
        """
        command = self._bundle(arguments, entrypoint, environment, mounts, folder)
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)

    @contextmanager
    def running(
        self,
        arguments: Sequence[str],
        *,
        entrypoint: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        mounts: Mapping[str, Path] | None = None,
        folder: str = "",
    ) -> Iterator["subprocess.Popen[str]"]:
        """A container for as long as the context lasts; then it gets SIGTERM."""
        command = self._bundle(arguments, entrypoint, environment, mounts, folder)
        log = self.work / f"{command[-1]}.log"
        with log.open("w") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, text=True)
            try:
                yield process
            except BaseException:
                print(log.read_text())
                raise
            finally:
                # runc hands signals on.
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    subprocess.run(["runc", "delete", "--force", command[-1]], check=False)
                    process.wait()

    def _bundle(
        self,
        arguments: Sequence[str],
        entrypoint: Sequence[str] | None,
        environment: Mapping[str, str] | None,
        mounts: Mapping[str, Path] | None,
        folder: str,
    ) -> list[str]:
        name = f"featward-{os.getpid()}-{next(_names)}"
        bundle = self.work / name
        bundle.mkdir()
        user, _, group = self.config["User"].partition(":")
        told = [f"{key}={value}" for key, value in (environment or {}).items()]
        spec = {
            "ociVersion": "1.0.2",
            "hostname": "container",
            "root": {"path": str(self.root), "readonly": True},
            "process": {
                "user": {"uid": int(user), "gid": int(group)},
                "args": [*(entrypoint or self.config["Entrypoint"]), *arguments],
                "env": [*self.config["Env"], *told],
                "cwd": folder or self.config["WorkingDir"],
                "noNewPrivileges": True,
                "capabilities": {},
            },
            "mounts": [
                *(
                    {"destination": to, "type": kind, "source": source, "options": options}
                    for to, kind, source, options in _MOUNTS
                ),
                *(
                    {
                        "destination": to,
                        "type": "bind",
                        "source": str(source),
                        "options": ["bind", "rw", "nosuid"],
                    }
                    for to, source in (mounts or {}).items()
                ),
            ],
            "linux": {
                "namespaces": [{"type": kind} for kind in _NAMESPACES],
                "cgroupsPath": f"/{name}",
            },
        }
        (bundle / "config.json").write_text(json.dumps(spec))
        return ["runc", "run", "--bundle", str(bundle), name]


def unpack(file: Path, folder: Path) -> Unpacked:
    """Lay the layers of an image's file over one another, below `folder`."""
    entry, config, blobs = read_image(file)
    root, work = folder / "root", folder / "work"
    root.mkdir(parents=True)
    work.mkdir()
    manifest = json.loads(blobs[entry["digest"]])
    for layer in manifest["layers"]:
        packed = folder / "layer.tar.gz"
        packed.write_bytes(blobs[layer["digest"]])
        subprocess.run(["tar", "-xzf", packed, "-C", root, "--same-permissions"], check=True)
        packed.unlink()
    return Unpacked(root, config["config"], work)

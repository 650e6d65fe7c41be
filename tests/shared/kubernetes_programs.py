"""The programs of a Kubernetes cluster, built from their Go modules once and kept outside of the checkout.

No distribution packages them and a container is not always to be had, so the tests build what the
modules in tests/kubernetes pin, with the Go of the test group. Cold that takes a quarter of an hour of
two cores for all of them, half of it for the API server, and downloads 150 MB; after that it is a look
at the cache. Run as a program it builds those that are named, or all:

    python kubernetes_programs.py [PROGRAM ...]
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ALL", "BUILD_SECONDS", "module_folder", "programs"]

BUILD_SECONDS = 2400
"""The longest that a test may take which is the first to need them."""

_ROOT = Path(__file__).parents[1] / "kubernetes"
# Builds of other checkouts may still be in use; those before them are removed.
_KEPT = 2
_LOCK = ".lock"
# Kubernetes reads its own version from there; without it clients see v0.0.0.
_VERSIONED = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


@dataclass(frozen=True)
class _Module:
    """A folder with a go.mod: a change there builds its programs anew, and those of no other."""

    name: str
    folder: Path
    packages: Mapping[str, str]


_KUBERNETES = _Module(
    "kubernetes",
    _ROOT,
    {"etcd": "go.etcd.io/etcd/server/v3"}
    | {
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-proxy",
            "kube-scheduler",
            "kubectl",
            "kubelet",
        )
    },
)
# They ask for other versions of Kubernetes' libraries than Kubernetes itself does.
_MODULES = (
    _KUBERNETES,
    _Module("kwok", _ROOT / "kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}),
    _Module("coredns", _ROOT / "coredns", {"coredns": "."}),
)
_HOMES = {program: module for module in _MODULES for program in module.packages}
ALL = tuple(_HOMES)
"""Every program that can be had."""


def programs(*names: str) -> dict[str, Path]:
    """Where each of these programs is, by its name; built if it is not there yet.

    Raises RuntimeError with what Go said where one can't be built.
    """
    go = _go()
    environment = _environment()
    version = _said(go, environment, _ROOT, "env", "GOVERSION", "GOOS", "GOARCH")
    found: dict[str, Path] = {}
    for module in _MODULES:
        wanted = [name for name in names if _HOMES[name] is module]
        if wanted:
            found |= _of(module, wanted, version, go, environment)
    return found


def module_folder(program: str, package: str) -> Path:
    """Where the sources of the Go module `package` lie that a program is built of."""
    said = _said(
        _go(), _environment(), _HOMES[program].folder, "list", "-m", "-f", "{{.Dir}}", package
    )
    return Path(said.strip())


def _of(
    module: _Module, names: list[str], version: str, go: Path, environment: Mapping[str, str]
) -> dict[str, Path]:
    folder = _cache() / module.name / _key(module, version)
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: folder / name for name in names}
    for name, path in found.items():
        # Of several test runs the first builds, and the others wait for it: but for what they need alone.
        with path.with_suffix(_LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                _build(go, environment, module, module.packages[name], path)
    _prune(folder)
    return found


def _build(
    go: Path, environment: Mapping[str, str], module: _Module, package: str, path: Path
) -> None:
    flags = ["-s", "-w"]
    if module is _KUBERNETES:
        flags += _versions(_said(go, environment, module.folder, *_ASKED).strip())
    # Whole or not there: a build that is cut off leaves no program.
    fresh = path.with_suffix(".new")
    command = ["nice", str(go), "build", "-mod=readonly", "-buildvcs=false", "-trimpath"]
    command += ["-tags=grpcnotrace", "-ldflags", " ".join(flags), "-o", str(fresh), package]
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=module.folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{package} can't be built: {done.stderr[-2000:]}")
    fresh.rename(path)
    print(f"{path.name}: built in {time.monotonic() - began:.0f} s", file=sys.stderr)


_ASKED = ("list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")


def _versions(kubernetes: str) -> list[str]:
    major, minor, _ = kubernetes.removeprefix("v").split(".")
    told = {"gitVersion": kubernetes, "gitMajor": major, "gitMinor": minor}
    return [f"-X {place}.{name}={value}" for place in _VERSIONED for name, value in told.items()]


def _go() -> Path:
    go = Path(sys.executable).parent / "go"
    if not go.exists():
        raise RuntimeError(
            "there is no Go beside this Python: install the group 'test', as make does"
        )
    return go


def _environment() -> dict[str, str]:
    """Ours without what would build something else."""
    left = {"GOFLAGS", "GOOS", "GOARCH", "GOWORK"}
    kept = {name: value for name, value in os.environ.items() if name not in left}
    return kept | {"GOWORK": "off", "CGO_ENABLED": "0"}


def _said(go: Path, environment: Mapping[str, str], folder: Path, *arguments: str) -> str:
    return subprocess.run(
        [go, *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True
    ).stdout


def _key(module: _Module, version: str) -> str:
    digest = hashlib.sha256(version.encode())
    for file in sorted({*module.folder.glob("go.*"), *module.folder.glob("*.go")}):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "featward"


def _prune(used: Path) -> None:
    """Remove all builds of a module but the newest, and none that somebody is building in."""
    folders = [folder for folder in used.parent.iterdir() if folder != used]
    for folder in sorted(folders, key=_last_use, reverse=True)[_KEPT - 1 :]:
        with ExitStack() as stack:
            try:
                for file in _locks(folder):
                    lock = stack.enter_context(file.open())
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(folder)


def _last_use(folder: Path) -> float:
    """They are opened for writing by everybody who looks for a program."""
    return max((file.stat().st_mtime for file in _locks(folder)), default=0.0)


def _locks(folder: Path) -> list[Path]:
    return list(folder.glob(f"*{_LOCK}"))


if __name__ == "__main__":
    for name, path in programs(*(sys.argv[1:] or ALL)).items():
        print(f"{name}: {path}")

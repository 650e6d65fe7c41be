"""etcd and kube-apiserver, built from their Go modules once and kept outside of the checkout.

No distribution packages them and a container is not always to be had, so the tests build what
tests/kubernetes/go.mod pins, with the Go of the test group. Cold that takes some seven minutes of
two cores and downloads 100 MB; after that it is a look at the cache.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

__all__ = ["BUILD_SECONDS", "programs"]

BUILD_SECONDS = 2400
"""The longest that a test may take which is the first to need them."""

_MODULE = Path(__file__).parents[1] / "kubernetes"
_PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
}
# Kubernetes reads its own version from there; without it clients see v0.0.0.
_VERSIONED = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


def programs() -> dict[str, Path]:
    """Where each program is, by its name; built if they are not there yet."""
    go = Path(sys.executable).parent / "go"
    if not go.exists():
        pytest.fail("there is no Go beside this Python: install the group 'test', as make does")
    environment = _environment()
    version = _said(go, environment, "env", "GOVERSION", "GOOS", "GOARCH")
    folder = _cache() / _key(version)
    found = {name: folder / name for name in _PACKAGES}
    folder.mkdir(parents=True, exist_ok=True)
    # Of several test runs the first builds, and the others wait for it.
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, path in found.items():
            if not path.exists():
                _build(go, environment, _PACKAGES[name], path)
    return found


def _build(go: Path, environment: Mapping[str, str], package: str, path: Path) -> None:
    kubernetes = _said(go, environment, "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
    major, minor, _ = kubernetes.strip().removeprefix("v").split(".")
    told = {"gitVersion": kubernetes.strip(), "gitMajor": major, "gitMinor": minor}
    flags = [f"-X {place}.{name}={value}" for place in _VERSIONED for name, value in told.items()]
    # Whole or not there: a build that is cut off leaves no program.
    fresh = path.with_suffix(".new")
    command = ["nice", str(go), "build", "-mod=readonly", "-buildvcs=false", "-trimpath"]
    command += [
        "-tags=grpcnotrace",
        "-ldflags",
        " ".join(["-s", "-w", *flags]),
        "-o",
        str(fresh),
        package,
    ]
    done = subprocess.run(command, cwd=_MODULE, env=environment, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"{package} can't be built: {done.stderr[-2000:]}")
    fresh.rename(path)


def _environment() -> dict[str, str]:
    """Ours without what would build something else."""
    left = {"GOFLAGS", "GOOS", "GOARCH", "GOWORK"}
    kept = {name: value for name, value in os.environ.items() if name not in left}
    return kept | {"GOWORK": "off", "CGO_ENABLED": "0"}


def _said(go: Path, environment: Mapping[str, str], *arguments: str) -> str:
    return subprocess.run(
        [go, *arguments], cwd=_MODULE, env=environment, check=True, capture_output=True, text=True
    ).stdout


def _key(version: str) -> str:
    digest = hashlib.sha256(version.encode())
    for name in ("go.mod", "go.sum"):
        digest.update((_MODULE / name).read_bytes())
    return digest.hexdigest()[:16]


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "featward" / "kubernetes"

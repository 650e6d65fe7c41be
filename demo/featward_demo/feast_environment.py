"""A virtual environment with Feast, made once and kept.

Feast pins libraries that featward uses too, so it never shares our environment. It lies outside the
checkout, in ``${XDG_CACHE_HOME:-~/.cache}/featward``, one folder per release and Python version.
"""

import fcntl
import importlib.util
import os
import re
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from featward_demo.errors import InstallError

# The newest release that the tour and the tests were run with.
NEWEST = "0.67.0"
# The oldest client that the tests speak for: one request per feature view, no Content-Type.
OLD_CLIENT = "0.58.0"
# Laid down last: a folder without it is the rest of an interrupted installation.
COMPLETE = "featward-complete"


@dataclass(frozen=True)
class FeastEnvironment:
    """Where one Feast release is installed."""

    version: str
    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter that can ``import feast``."""
        return self.folder / "bin" / "python"

    @property
    def feast(self) -> Path:
        """Feast's own command."""
        return self.folder / "bin" / "feast"


def cache_folder() -> Path:
    """featward's cache: ``$XDG_CACHE_HOME/featward``, else ``~/.cache/featward``."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "featward"


def located(version: str = NEWEST) -> FeastEnvironment:
    """Where the environment of this release is or will be."""
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return FeastEnvironment(version, cache_folder() / f"feast-{version}-{python}")


def installed(environment: FeastEnvironment) -> bool:
    """Whether it is whole, and its interpreter is still there (upgrades may remove it)."""
    return (environment.folder / COMPLETE).exists() and environment.python.exists()


def ensure(
    version: str = NEWEST, progress: Callable[[str], None] = lambda _: None
) -> FeastEnvironment:
    """The environment of this release, installed now if it is not there. Raises InstallError.

    `progress` is told, in a few words, what is happening; about a minute and 150 MB of downloads.
    """
    environment = located(version)
    if installed(environment):
        return environment
    with _alone(environment):
        if not installed(environment):
            progress("making a virtual environment")
            _make(environment)
            _install(environment, progress)
            (environment.folder / COMPLETE).touch()
    return environment


@contextmanager
def _alone(environment: FeastEnvironment) -> Iterator[None]:
    """Hold a lock, so that two programs do not fill one environment at the same time."""
    try:
        environment.folder.parent.mkdir(parents=True, exist_ok=True)
        lock = environment.folder.with_suffix(environment.folder.suffix + ".lock").open("w")
    except OSError as error:
        raise InstallError(
            f"featward's cache can't be written: {error}; set XDG_CACHE_HOME to a folder that can"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(environment: FeastEnvironment) -> None:
    # Our own pip fills it where there is one: an environment without pip is made in a tenth of the
    # time.
    with_pip = importlib.util.find_spec("pip") is None
    try:
        venv.create(environment.folder, clear=True, symlinks=True, with_pip=with_pip)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InstallError(
            f"no virtual environment could be made in {environment.folder}: {error}; on Debian and "
            "Ubuntu, install the package python3-venv, and run the same command again"
        ) from error


def _install(environment: FeastEnvironment, progress: Callable[[str], None]) -> None:
    command = [*_pip(environment), "install", "--disable-pip-version-check", "--no-input"]
    # Wheels only: nothing is compiled. Byte code is left to the first start, which needs a tenth of
    # it.
    command += [
        "--only-binary",
        ":all:",
        "--no-compile",
        "--progress-bar",
        "off",
        f"feast=={environment.version}",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        assert pip.stdout is not None  # noqa: S101  it is a pipe, as asked for above
        reason = _follow(pip.stdout, progress)
    if pip.returncode != 0:
        raise InstallError(
            f"Feast {environment.version} could not be installed with pip ({reason}); check the "
            "network and the package index that pip uses (`pip config list`), and run the same "
            "command again"
        )


def _pip(environment: FeastEnvironment) -> list[str]:
    if importlib.util.find_spec("pip") is None:
        return [str(environment.python), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", str(environment.python)]


def _follow(lines: Iterator[str], progress: Callable[[str], None]) -> str:
    """Tell `progress` what pip does; returns its last complaint."""
    reason = "pip said nothing"
    packages = 0
    for line in lines:
        text = line.strip()
        if text.startswith("ERROR:"):
            reason = text.removeprefix("ERROR:").strip()
        if found := re.match(r"(?:Downloading|Using cached) (\S+?)-\d\S* \((.+?)\)", text):
            packages += 1
            progress(f"package {packages}: {found[1]} ({found[2]})")
        if text.startswith("Installing collected packages"):
            progress(f"unpacking {packages} packages")
    return reason

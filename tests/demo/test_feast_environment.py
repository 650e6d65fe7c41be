"""The environment for Feast: kept, and its failures told. Nothing is downloaded here."""

from pathlib import Path

import pytest

from featward_demo import feast_environment
from featward_demo.errors import InstallError
from featward_demo.feast_environment import COMPLETE, ensure, installed, located


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and a package index that is not there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    return tmp_path


def test_a_failed_download_is_one_sentence_that_says_what_to_do() -> None:
    with pytest.raises(
        InstallError, match=r"^Feast 0\.67\.0 could not be installed .* run the same command again$"
    ):
        ensure("0.67.0")
    assert not installed(located("0.67.0"))


def test_an_installed_release_is_not_installed_again(cache: Path) -> None:
    there = located("0.67.0")
    there.python.parent.mkdir(parents=True)
    there.python.touch()
    (there.folder / COMPLETE).touch()
    assert ensure("0.67.0") == there


def test_what_an_interrupted_installation_left_is_made_anew(cache: Path) -> None:
    rest = located("0.67.0").folder / "lib" / "rest"
    rest.parent.mkdir(parents=True)
    rest.touch()
    with pytest.raises(InstallError):
        ensure("0.67.0")
    assert not rest.exists()


def test_progress_names_packages_and_sizes() -> None:
    told: list[str] = []
    lines = iter(
        [
            "Collecting pandas",
            "  Downloading pandas-2.3.3-cp311-cp311-linux_x86_64.whl (12.8 MB)",
            "  Using cached types_greenlet-3.5.0.20260518-py3-none-any.whl (8.8 kB)",
            "Installing collected packages: pandas",
            "ERROR: No matching distribution found for feast==9",
        ]
    )
    assert (
        feast_environment._follow(lines, told.append)
        == "No matching distribution found for feast==9"
    )
    assert told == [
        "package 1: pandas (12.8 MB)",
        "package 2: types_greenlet (8.8 kB)",
        "unpacking 2 packages",
    ]

"""The sidecar's own folder."""

from pathlib import Path

import pytest

from featward_sidecar.errors import StartError
from featward_sidecar.state_folder import StateFolder


def test_it_is_made_for_our_user_only(tmp_path: Path) -> None:
    StateFolder(tmp_path / "a" / "state").close()
    assert (tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o700


def test_a_second_sidecar_on_it_is_refused_with_the_first_ones_process(tmp_path: Path) -> None:
    first = StateFolder(tmp_path / "state")
    with pytest.raises(StartError, match=r"used by another sidecar \(process \d+\)"):
        StateFolder(tmp_path / "state")
    first.close()
    StateFolder(tmp_path / "state").close()


def test_one_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    with pytest.raises(StartError, match="chmod 700"):
        StateFolder(tmp_path / "state")


def test_a_file_in_its_place_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StartError, match="can't be used"):
        StateFolder(tmp_path / "state")

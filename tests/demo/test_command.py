"""The command before anything is started, and what it says at its end."""

import shutil
import subprocess
from pathlib import Path

import pytest

from featward_demo.command_line import command
from featward_demo.report import keeping


def demo(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [command(), "demo", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_a_folder_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = demo("--folder", tmp_path / "file")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {tmp_path / 'file'} can't be written to: File exists; name another folder with --folder\n"
    )


@pytest.mark.parametrize("folder", ["/proc/nowhere", "/proc/self/task"])
def test_a_folder_that_takes_no_files_is_a_sentence(folder: str) -> None:
    done = demo("--folder", folder)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {folder} can't be written to: ")


def test_the_command_that_keeps_it_running_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEATWARD_DEMO_KEEP", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert shutil.which(keeping().split()[0]) == command()
    monkeypatch.setenv("PATH", str(Path(command()).parent))
    assert keeping() == "featward demo --keep"
    monkeypatch.setenv("FEATWARD_DEMO_KEEP", "make demo DEMO_OPTIONS=--keep")
    assert keeping() == "make demo DEMO_OPTIONS=--keep"

"""What the commands of recovery ask for before they give anything up, as a person types them."""

import contextlib
import os
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clocked_ca import Ca, clocked_ca
from featward_ca.cli import app
from featward_ca.core import lock_data
from featward_ca.errors import CaError
from featward_ca.settings import embedded_file
from featward_ca.store import authority_rows
from featward_ca.store.authority_rows import State
from featward_ca.store.read_only import read_only

WHERE = ("--environment", "prod", "--manifests", "manifests")
KEK = ("--kek-file", "kek")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a CA that was started once, by the command that needs no start."""
    ca = clocked_ca(tmp_path_factory.mktemp("made"))
    assert "a new root" in recover(ca.folder, "store", *WHERE, *KEK).stdout
    return ca.folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return Ca(tmp_path).folder


@dataclass
class Said:
    """What a command has printed; of an error it is the sentence that `main` prints."""

    stdout: str
    stderr: str


def recover(folder: Path, *arguments: str, kek: str | None = None, status: int = 0) -> Said:
    """One command, in the CA's folder; `kek` is what the variable holds."""
    line = ["recover", *arguments, "--data", "data"]
    with contextlib.chdir(folder):
        done = CliRunner(env={"FEATWARD_CA_KEK": kek, "COLUMNS": "500"}).invoke(app, line)
    error = str(done.exception) if isinstance(done.exception, CaError) else ""
    assert error or isinstance(done.exception, SystemExit | None), done.exception
    assert done.exit_code == status, done.output + error
    return Said(done.stdout, done.stderr + error)


def root(folder: Path) -> str:
    with read_only(embedded_file(folder / "data")) as connection:
        rows = authority_rows.of_state(connection, State.ACTIVE)
    (found,) = [row.id for row in rows if row.owner == "root"]
    return found


def test_a_key_is_given_up_only_by_who_says_that_it_is_lost(folder: Path) -> None:
    before, new = root(folder), ("--new-kek-file", "new.kek")
    assert "--lost" in recover(folder, "kek", *new, status=2).stderr
    old = (folder / "kek").read_text().strip()
    # At hand in the variable, as the old file, or as the new one.
    said = recover(folder, "kek", *new, "--lost", kek=old, status=1).stderr
    assert "FEATWARD_CA_KEK opens the keys" in said
    assert "kek opens the keys" in recover(folder, "kek", *new, *KEK, "--lost", status=1).stderr
    assert "kek opens the keys" in (
        recover(folder, "kek", "--new-kek-file", "kek", "--lost", status=1).stderr
    )
    assert "present one" in recover(folder, "kek", *KEK, "--new-kek-file", "kek", status=1).stderr
    assert not (folder / "new.kek").exists()
    assert root(folder) == before
    # Without the option the variable holds the old one, as in all other commands.
    assert "keys are encrypted" in recover(folder, "kek", *new, kek=old).stdout
    assert root(folder) == before
    assert "a new root" in recover(folder, "kek", "--new-kek-file", "newer.kek", "--lost").stdout
    assert root(folder) != before


def test_a_new_key_is_not_made_while_the_ca_runs(folder: Path) -> None:
    lock = lock_data(folder / "data")
    try:
        for how in (KEK, ("--lost",)):
            said = recover(folder, "kek", "--new-kek-file", "new.kek", *how, status=1).stderr
            assert "another CA is running" in said
        recover(folder, "store", *WHERE, "--kek-file", "new.kek", status=1)
    finally:
        os.close(lock)
    assert not (folder / "new.kek").exists()


def test_a_folder_of_a_key_that_is_not_there_is_not_made(folder: Path) -> None:
    embedded_file(folder / "data").unlink()
    said = recover(folder, "store", *WHERE, "--kek-file", "kesy/ca.kek", status=1).stderr
    assert "there is no folder kesy" in said
    assert "mkdir" in said
    assert not (folder / "kesy").exists()


def test_a_root_is_not_replaced_when_its_tokens_can_not_be_written(folder: Path) -> None:
    before = root(folder)
    (folder / "afile").write_text("")
    for command in (("root", "--force"), ("store", *WHERE, "--replace")):
        said = recover(folder, *command, *KEK, "--tokens", "afile", status=1)
        assert "tokens can't be written to afile: Not a directory" in said.stderr
        assert not said.stdout
        assert root(folder) == before


def test_what_was_done_is_said_when_the_tokens_fail_afterwards(folder: Path) -> None:
    # Writable before, and gone when they are written: a dangling link.
    (folder / "tokens").symlink_to("nowhere/else/tokens")
    (folder / "nowhere").write_text("")
    said = recover(folder, "root", "--force", *KEK, "--tokens", "tokens", status=1)
    assert "a new root was made" in said.stdout
    assert "featward ca recover tokens" in said.stderr


def test_what_was_interrupted_is_told_with_its_number(folder: Path) -> None:
    columns = "time, replica, request, kind, caller, outcome"
    with sqlite3.connect(embedded_file(folder / "data")) as store:
        store.execute(f"INSERT INTO audit ({columns}) VALUES (1, 'r', 'q', 'k', 'c', 'asked')")  # noqa: S608  # our own columns
    store.close()
    said = recover(folder, "root", "--force", *KEK).stderr
    assert said == (
        "signatures and changes that the CA had begun when it was stopped, and that are closed as"
        " interrupted: 1\n"
    )

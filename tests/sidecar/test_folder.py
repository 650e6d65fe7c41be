"""Noticing edits of the manifests' folder."""

import os
import time
from itertools import count
from pathlib import Path

import pytest

from featward_sidecar.folder import EVERY_SECONDS, LATEST_SECONDS, FolderWatch


@pytest.fixture
def watch(tmp_path: Path) -> FolderWatch:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.yaml").write_text("a")
    watch = FolderWatch(tmp_path)
    assert watch.changed()
    return watch


def test_a_folder_at_rest_has_not_changed(watch: FolderWatch) -> None:
    assert not watch.changed()
    assert watch.interval == EVERY_SECONDS


@pytest.mark.parametrize(
    ("costs", "until_next"), [(0.0, EVERY_SECONDS), (0.02, 1.0), (60.0, LATEST_SECONDS)]
)
def test_only_the_processor_time_of_a_look_postpones_the_next_and_not_for_long(
    watch: FolderWatch, monkeypatch: pytest.MonkeyPatch, costs: float, until_next: float
) -> None:
    used, passed = count(0, costs), count(0, 3600)
    monkeypatch.setattr(time, "thread_time", lambda: next(used))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(passed)))
    watch.changed()
    assert watch.interval == pytest.approx(until_next)


def test_an_edit_in_a_subfolder_is_noticed_once(watch: FolderWatch, tmp_path: Path) -> None:
    (tmp_path / "sub" / "a.yaml").write_text("longer")
    assert watch.changed()
    assert not watch.changed()


def test_an_edit_of_equal_length_is_noticed(watch: FolderWatch, tmp_path: Path) -> None:
    os.utime(tmp_path / "sub" / "a.yaml", ns=(1, 1))
    assert watch.changed()


def test_a_replaced_file_of_equal_length_and_time_is_noticed(
    watch: FolderWatch, tmp_path: Path
) -> None:
    path = tmp_path / "sub" / "a.yaml"
    new = tmp_path / "new"
    new.write_text("b")
    os.utime(new, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    new.replace(path)
    assert watch.changed()


def test_new_and_removed_files_are_noticed(watch: FolderWatch, tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text("b")
    assert watch.changed()
    (tmp_path / "b.yml").unlink()
    assert watch.changed()


def test_files_that_are_no_yaml_do_not_matter(watch: FolderWatch, tmp_path: Path) -> None:
    (tmp_path / "a.yaml.swp").write_text("an editor's")
    assert not watch.changed()


def test_a_folder_that_vanished_is_a_change_and_no_crash(
    watch: FolderWatch, tmp_path: Path
) -> None:
    (tmp_path / "sub" / "a.yaml").unlink()
    (tmp_path / "sub").rmdir()
    tmp_path.rename(tmp_path.with_name("elsewhere"))
    assert watch.changed()


def test_the_swap_of_a_kubernetes_volume_is_noticed(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.yaml").write_text(version)
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "..data").symlink_to("../1")
    (tmp_path / "volume" / "a.yaml").symlink_to("..data/a.yaml")
    watch = FolderWatch(tmp_path / "volume")
    watch.changed()
    (tmp_path / "volume" / "new").symlink_to("../2")
    (tmp_path / "volume" / "new").replace(tmp_path / "volume" / "..data")
    assert watch.changed()

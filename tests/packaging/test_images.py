"""What the images are said to be made of: the same in every place that says it."""

import json
import re
import shlex
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from image_builder.errors import BuildError
from image_builder.layer import write_layer
from image_builder.oci import configuration
from image_builder.python_packages import EXTRAS, PINS
from image_builder.recipe import IMAGES, RELEASE, ROOT, names_in

CONTAINERFILE = (IMAGES / "Containerfile").read_text("utf-8")


def instructions(stage: str) -> dict[str, list[str]]:
    """What each instruction of a stage is given, in order; `stage` is what it is made from."""
    text = CONTAINERFILE.replace("\\\n", " ").partition(f"FROM {stage}\n")[2]
    text = text.partition("\nFROM ")[0]
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word.isupper():
            found.setdefault(word, []).append(rest)
    return found


def test_the_containerfile_names_the_same_packages() -> None:
    """By running the same program, on the same release, with nothing of its own in the image."""
    build = instructions("rust:1-" + RELEASE + " AS build")
    assert any("-m image_builder --root /image" in one for one in build["RUN"])
    last = instructions("scratch")
    assert last["COPY"] == ["--from=build /image /"]
    assert "RUN" not in last


def test_a_container_of_either_image_runs_in_the_same_way() -> None:
    ours, theirs = configuration("featward"), instructions("scratch")
    assert sorted(shlex.split(theirs["ENV"][0])) == sorted(ours["Env"])
    assert theirs["USER"] == [ours["User"]]
    assert theirs["WORKDIR"] == [ours["WorkingDir"]]
    assert json.loads(theirs["ENTRYPOINT"][0]) == ours["Entrypoint"]
    assert json.loads(theirs["CMD"][0]) == ours["Cmd"]


def test_the_packages_are_written_once_and_in_order() -> None:
    names = names_in(IMAGES / "packages.txt")
    assert names == sorted(set(names))
    assert not {"bash", "dash", "busybox", "perl-base", "dpkg", "coreutils"} & set(names)


def test_every_pin_is_of_one_version() -> None:
    pins = [Requirement(line) for line in names_in(PINS)]
    assert all(re.fullmatch(r"==[^*,]+", str(pin.specifier)) for pin in pins)
    names = [pin.name for pin in pins]
    assert len(set(names)) == len(names)
    # The extras that the image has are those of the distribution, but for what is only for trying.
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    (everything,) = re.findall(r"^all = \[\"featward\[(.*)\]\"\]", project, re.MULTILINE)
    assert {*EXTRAS.split(","), "demo"} == set(everything.split(","))


def test_a_layer_does_not_say_when_and_by_whom_it_was_made(tmp_path: Path) -> None:
    for name, mask in (("one", 0o600), ("two", 0o666)):
        folder = tmp_path / name / "etc"
        folder.mkdir(parents=True)
        for file in ("b", "a") if name == "one" else ("a", "b"):
            (folder / file).write_text(file)
            (folder / file).chmod(mask)
        (folder / "c").symlink_to("a")
        (tmp_path / name / "tmp").mkdir()
    made = [
        write_layer(tmp_path / name, tmp_path / f"{name}.tar.gz", "a test")
        for name in ("one", "two")
    ]
    assert made[0].digest == made[1].digest
    assert made[0].diff == made[1].diff != made[0].digest
    assert not list(tmp_path.glob("*.plain"))


def test_another_machine_than_debian_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from image_builder import debian

    monkeypatch.setattr(debian, "RELEASE", "sid")
    with pytest.raises(BuildError, match=r"Debian sid's packages.*images/Containerfile"):
        debian.available([], Path("unused"))

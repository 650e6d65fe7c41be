"""The image, run by runc: every command, as nobody, without a shell, on a file system that nobody writes to."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import pytest

from image_builder.build import Built, build, default_cache
from image_kit import Unpacked, read_image, unpack

ROOT = Path(__file__).parents[2]
TEMPORARY = "/tmp"  # noqa: S108  in a container of its own
EXAMPLE = ROOT / "examples" / "driver-stats"
# `make test-kubernetes` has built them; else the first test does.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="session")
def image(images: list[Built], tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    return unpack(images[0].file, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def demo(images: list[Built], tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    return unpack(images[1].file, tmp_path_factory.mktemp("demo"))


@pytest.fixture
def writable(tmp_path: Path) -> Path:
    """A folder that the image's user may write to, as a volume."""
    folder = tmp_path / "volume"
    folder.mkdir()
    os.chown(folder, 65532, 65532)
    return folder


def commands() -> list[list[str]]:
    """Every command that the package brings along, and those below `ca` and `sidecar`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [[name] for name in project["entry-points"]["featward.commands"]]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def answer(port: int, path: str, seconds: float = 60.0, body: object = None) -> str:
    """What comes back once there is an answer."""
    end = time.monotonic() + seconds
    sent = None if body is None else json.dumps(body).encode()
    url, headers = f"http://127.0.0.1:{port}{path}", {"Content-Type": "application/json"}
    while True:
        try:
            request = urllib.request.Request(url, sent, headers)
            with urllib.request.urlopen(request, timeout=30) as got:  # noqa: S310  on loopback
                return str(got.read().decode())
        except OSError:
            assert time.monotonic() < end, f"nothing answers at {path}"
            time.sleep(0.1)


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_runs_on_a_read_only_root_without_a_shell(
    image: Unpacked, command: list[str]
) -> None:
    done = image.run([*command, "--help"])
    assert done.returncode == 0, done.stderr
    assert f"Usage: featward {' '.join(command)}" in done.stdout
    assert not done.stderr


def test_it_says_its_version_and_what_it_can(image: Unpacked) -> None:
    assert image.run(["--version"]).stdout == "featward 0.2.0\n"
    # As `kubectl exec` calls it.
    assert image.run(["--version"], entrypoint=["/usr/bin/featward"]).stdout == "featward 0.2.0\n"
    assert "Usage: featward" in image.run(image.config["Cmd"]).stdout


def test_a_ca_serves_in_it(image: Unpacked, writable: Path, tmp_path: Path) -> None:
    health, listen = free_port(), free_port()
    shutil.copytree(EXAMPLE, tmp_path / "manifests")
    arguments = ["ca", "serve", "--environment=prod", "--manifests=/manifests"]
    arguments += ["--data=/volume/data", "--kek-file=/volume/kek"]
    arguments += [f"--listen=127.0.0.1:{listen}", f"--health=127.0.0.1:{health}"]
    mounts = {"/volume": writable, "/manifests": tmp_path / "manifests", TEMPORARY: writable}
    with image.running(arguments, mounts=mounts) as process:
        assert json.loads(answer(health, "/readyz"))["status"] == "ready"
        status = ["ca", "status", "--data=/volume/data", "--output=json"]
        done = image.run(status, entrypoint=["/usr/bin/featward"], mounts=mounts)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)
    assert process.returncode == 0


def test_a_sidecar_becomes_its_lean_self_in_it(
    image: Unpacked, writable: Path, tmp_path: Path
) -> None:
    health, outbound = free_port(), free_port()
    shutil.copytree(EXAMPLE, tmp_path / "manifests")
    variables = {
        "WORKLOAD": "prod.payments/pricing-api",
        "MANIFESTS": "/manifests",
        "STATE": "/volume/state",
        # Nobody is there: a sidecar starts without its CA.
        "CA": "unix:/volume/ca.sock",
        "EVIDENCE": "unix",
        "HEALTH": f"127.0.0.1:{health}",
        "OUTBOUND": f"driver-stats=127.0.0.1:{outbound}",
    }
    told = {f"FEATWARD_SIDECAR_{key}": value for key, value in variables.items()}
    mounts = {"/volume": writable, "/manifests": tmp_path / "manifests"}
    with image.running(["sidecar", "run"], environment=told, mounts=mounts) as process:
        answer(health, "/startedz")
        assert "featward_" in answer(health, "/metrics")
    assert process.returncode == 0


def test_a_folder_is_checked_in_it(image: Unpacked) -> None:
    done = image.run(["check", "/manifests"], mounts={"/manifests": EXAMPLE})
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_of_python_that_is_there_can_be_loaded(image: Unpacked) -> None:
    """A library that none of packages.txt brings shows here and not in somebody's cluster."""
    script = """
import importlib, pathlib, sys
for file in sorted(pathlib.Path("/usr/lib/python3.11/lib-dynload").glob("*.so")):
    importlib.import_module(file.name.partition(".")[0])
import ctypes, sqlite3, ssl, zoneinfo, locale, uuid, bz2, lzma, multiprocessing.pool
zoneinfo.ZoneInfo("Europe/Berlin")
assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 100
"""
    done = image.run(["-c", script], entrypoint=["/usr/bin/python3.11"])
    assert done.returncode == 0, done.stderr


def test_what_our_parts_import_is_there(image: Unpacked) -> None:
    """Packages have lost what we don't use, the Kubernetes client its models: every module of ours loads."""
    script = """
import asyncio, importlib, pkgutil
for name in ("featward", "featward_ca", "featward_sidecar", "featward_operator", "featward_engine"):
    part = importlib.import_module(name)
    for one in pkgutil.walk_packages(part.__path__, f"{name}."):
        if not one.name.endswith("__main__"):
            importlib.import_module(one.name)
import OpenSSL, jwt, psycopg, rich.traceback, sqlalchemy, watchfiles
assert psycopg.pq.__impl__ == "binary"
sqlalchemy.create_engine("postgresql+psycopg://nobody@nowhere/nothing").dialect.name
with sqlalchemy.create_engine("sqlite://").connect() as database:
    assert database.execute(sqlalchemy.text("select 1")).scalar() == 1
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
async def ask():
    where = Configuration()
    where.host = "http://127.0.0.1:1"
    async with ApiClient(where) as client:
        try:
            await client.rest_client.request("GET", "http://127.0.0.1:1/version")
        except OSError as error:
            print("asked")
asyncio.run(ask())
"""
    done = image.run(["-c", script], entrypoint=["/usr/bin/python3.11"])
    assert (done.returncode, done.stdout) == (0, "asked\n"), done.stderr


def test_python_compiles_nothing_at_a_start(image: Unpacked) -> None:
    script = """
import os, sys
import asyncio, featward.cli.root, pydantic, ssl
specs = [one.__spec__ for one in sys.modules.values() if getattr(one, "__spec__", None)]
cached = [one.cached for one in specs if one.cached and one.has_location]
print(len(cached) > 200, [one for one in cached if not os.path.exists(one)])
"""
    done = image.run(["-c", script], entrypoint=["/usr/bin/python3.11"])
    assert done.stdout == "True []\n", done.stdout + done.stderr


def test_there_is_no_shell_and_nothing_that_gives_privileges(image: Unpacked) -> None:
    programs = {
        path.relative_to(image.root).as_posix()
        for folder in ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin")
        for path in (image.root / folder).glob("*")
    }
    assert programs == {"usr/bin/python3.11", "usr/bin/featward"}
    for path in image.root.rglob("*"):
        mode = path.lstat().st_mode
        assert not mode & (stat.S_ISUID | stat.S_ISGID), path
        assert stat.S_ISLNK(mode) or not mode & stat.S_IWOTH or path == image.root / "tmp", path


def test_it_runs_as_nobody(image: Unpacked) -> None:
    assert image.config["User"] == "65532:65532"
    script = "import os; print(os.getuid(), os.getgid(), os.access('/', os.W_OK))"
    done = image.run(["-c", script], entrypoint=["/usr/bin/python3.11"])
    assert done.stdout == "65532 65532 False\n"


def test_scanners_find_the_packages(image: Unpacked) -> None:
    listed = {
        path.name: path.read_text() for path in (image.root / "var/lib/dpkg/status.d").iterdir()
    }
    wanted = (ROOT / "images" / "packages.txt").read_text().splitlines()
    assert set(listed) == {line for line in wanted if line and not line.startswith("#")}
    assert all("\nVersion: " in text for text in listed.values())
    for name in listed:
        assert (image.root / "usr/share/doc" / name).exists(), name


def test_it_is_small(image: Unpacked, images: list[Built]) -> None:
    size = sum(path.lstat().st_size for path in image.root.rglob("*") if not path.is_symlink())
    # 158 and 55 with this engine; the one of the release profile is smaller.
    assert size < 165e6, f"{size / 1e6:.0f} MB unpacked"
    assert images[0].file.stat().st_size < 60e6


def test_the_same_tree_makes_the_same_image(images: list[Built], tmp_path: Path) -> None:
    """In another folder, by nobody's leave: only what was downloaded is shared."""
    shutil.copytree(default_cache() / "debs", tmp_path / "debs")
    (again,) = build("dev", cache=tmp_path)
    assert again.digest == images[0].digest
    assert again.file.read_bytes() == images[0].file.read_bytes()


def test_an_image_says_what_it_is(images: list[Built]) -> None:
    for built, title in zip(images, ("featward", "featward-demo"), strict=True):
        entry, config, blobs = read_image(built.file)
        assert entry["annotations"]["io.containerd.image.name"] == f"localhost/{title}:0.2.0"
        assert built.name == f"localhost/{title}:0.2.0"
        assert entry["digest"] == built.digest
        assert "created" not in config
        layers = json.loads(blobs[entry["digest"]])["layers"]
        assert len(layers) == len(config["rootfs"]["diff_ids"]) == len(config["history"])


def test_feast_answers_in_the_demo(demo: Unpacked, writable: Path) -> None:
    port = free_port()
    arguments = ["serve", "--host", "127.0.0.1", "--port", str(port), "--registry_ttl_sec", "3600"]
    with demo.running(
        arguments,
        entrypoint=["/usr/bin/python3.11", "-m", "feast.cli.cli"],
        environment={"PYTHONPATH": "/opt/feast", "HOME": TEMPORARY, "XDG_RUNTIME_DIR": TEMPORARY},
        mounts={TEMPORARY: writable},
        folder="/opt/feast-repository",
    ):
        answer(port, "/health", 120)
        asked = {
            "features": ["driver_hourly_stats:conv_rate"],
            "entities": {"driver_id": [1001, 1002]},
        }
        values = json.loads(answer(port, "/get-online-features", body=asked))["results"]
    assert [0.0, 0.001] in [one["values"] for one in values]


def test_the_command_prints_where_the_image_is() -> None:
    command = [sys.executable, "-m", "image_builder", "--profile=dev"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'images'}:{ROOT / 'demo'}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    line = done.stdout.splitlines()[-1]
    assert line.startswith("localhost/featward:0.2.0 sha256:")
    assert Path(line.rpartition(": ")[2]).exists()

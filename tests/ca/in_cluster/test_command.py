"""What `featward ca serve` says to options about clusters, and that a CA without them needs no package."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from featward_ca.cli import app

ENVIRONMENT = ["serve", "--environment", "prod", "--data", "data"]
# What an import of a package that is not installed does.
WITHOUT = """
import importlib.metadata, sys
sys.modules["kubernetes"] = None
found = importlib.metadata.distribution
def distribution(name):
    if name == "kubernetes":
        raise importlib.metadata.PackageNotFoundError(name)
    return found(name)
importlib.metadata.distribution = distribution
from featward_ca.cli import app
app(sys.argv[1:])
"""
MANIFESTS = """
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec: {trustDomain: prod.acme.example}
"""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "either --manifests DIR"),
        (["--manifests", "m", "--from-cluster", "eu1"], "either --manifests DIR"),
        (
            ["--from-cluster", "eu1", "--kek-file", "k", "--kek-secret", "eu1/featward/kek"],
            "either --kek-file or --kek-secret",
        ),
        (["--from-cluster", "eu1", "--kek-secret", "featward/kek"], "write CLUSTER/NAMESPACE/NAME"),
        (["--manifests", "m", "--publish-bundle", "eu1"], "write CLUSTER/NAMESPACE/NAME"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_what_to_write(options: list[str], said: str) -> None:
    done = CliRunner().invoke(app, [*ENVIRONMENT, *options], env={"COLUMNS": "400"})
    assert done.exit_code == 2
    assert said in done.stderr


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "m").mkdir(exist_ok=True)
    (folder / "m" / "all.yaml").write_text(MANIFESTS)
    command = [sys.executable, "-c", WITHOUT, *ENVIRONMENT, *options]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize(
    "option",
    ["--from-cluster=eu1", "--publish-bundle=eu1/featward/b", "--kek-secret=eu1/featward/k"],
)
def test_without_the_package_it_says_what_to_install(tmp_path: Path, option: str) -> None:
    manifests = [] if "from" in option else ["--manifests", "m"]
    done = run(tmp_path, *manifests, option)
    assert done.returncode == 1
    name = option.partition("=")[0]
    words = f"{name} needs the package kubernetes: pip install 'featward[ca,kubernetes]'"
    assert words in " ".join(done.stderr.split())


def test_a_ca_with_a_folder_needs_no_package_for_clusters(tmp_path: Path) -> None:
    # It gets so far as to open its sockets, which is after everything that is imported.
    options = ["--manifests", "m", "--kek-file", "kek", "--health", "", "--listen", "192.0.2.1:1"]
    done = run(tmp_path, *options)
    assert "--listen" in done.stderr
    assert "kubernetes" not in done.stderr

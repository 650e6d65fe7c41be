"""`featward operator`, as people type it."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from featward_operator.cli import app
from operator_kit import configuration

runner = CliRunner()


def test_the_command_is_one_of_featward() -> None:
    (entry,) = entry_points(group="featward.commands", name="operator")
    assert entry.load() is app
    assert entry.extras == ["operator"]


@pytest.mark.parametrize("command", [[], ["run"], ["check"]])
def test_help_answers(command: list[str]) -> None:
    result = runner.invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "operator" in result.output or "configuration" in result.output


def test_help_imports_no_client_of_api_servers() -> None:
    """Every command's help asks for all others: none of them may cost 20 MB and half a second."""
    program = (
        "import sys, featward_operator.cli; print({'kubernetes', 'aiohttp'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_check_says_ok_or_everything_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(configuration("featward")))
    result = runner.invoke(app, ["check", str(file)])
    assert (result.exit_code, result.output) == (0, "ok\n")
    file.write_text(yaml.safe_dump(configuration("featward", cluster="EU1", gateways=1)))
    result = runner.invoke(app, ["check", str(file)])
    assert result.exit_code == 1
    assert "cluster is" in result.output
    assert "gateways is 1" in result.output
    assert f"{file}:1:10" in result.output
    assert "for 2 reasons" in result.output


def test_run_refuses_a_wrong_configuration_as_wrong_usage(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("{}")
    result = runner.invoke(app, ["run", "--config", str(file)])
    assert result.exit_code == 2
    assert "required key namespace is missing" in result.output

"""The command line for manifests, as a person and a CI job see it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from featward.cli import root
from featward.manifests import load, validate

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "driver-stats"
CLIENT = "spiffe://prod.acme.example/bu/payments/svc/pricing-api"

Run = Callable[..., Any]


@pytest.fixture
def run() -> Run:
    app = root.build()
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_help_lists_the_commands(run: Run) -> None:
    shown = run("--help").stdout
    for name in ("check", "explain", "init", "request"):
        assert name in shown


def test_help_says_what_each_command_does(run: Run) -> None:
    shown = " ".join(run("--help").stdout.replace("│", " ").split())
    assert "check Check a folder of manifests: every error with file and line." in shown
    assert "ca Run and look after the certificate authority." in shown


def test_a_command_imports_no_other() -> None:
    program = (
        "import sys; from featward.cli import main; sys.argv = ['featward', 'init', '--help']\n"
        "try: main()\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "featward.cli.init" in done.stderr.split()
    others = {"featward.cli.check", "featward_ca", "featward_sidecar", "featward_demo"}
    assert not others & set(done.stderr.split())


def test_a_command_that_is_mistyped_is_guessed(run: Run) -> None:
    done = run("chek")
    assert done.exit_code == 2
    assert "Did you mean 'check'?" in done.stderr


def test_the_version_is_the_packages(run: Run) -> None:
    assert run("--version").stdout.startswith("featward ")


def test_check_passes_the_example(run: Run) -> None:
    done = run("check", EXAMPLE)
    assert done.exit_code == 0
    assert "0 errors" in done.stdout


def test_check_shows_the_line_with_a_caret(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {nam: x}\n")
    done = run("check", tmp_path)
    assert done.exit_code == 1
    shown = done.stdout.splitlines()
    place = next(number for number, line in enumerate(shown) if "a.yaml:3:12" in line)
    assert shown[place + 1] == "     3 | metadata: {nam: x}"
    assert shown[place + 2].index("^") == shown[place + 1].index("nam: x")
    assert "did you mean name?" in shown[place + 3]


def test_check_in_json_is_for_programs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Namespase\n")
    done = run("check", tmp_path, "--output", "json")
    assert done.exit_code == 1
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    assert answer["findings"][0]["code"] == "unknown-kind"
    assert answer["findings"][0]["severity"] == "error"


def test_a_missing_folder_is_a_sentence(run: Run, tmp_path: Path) -> None:
    done = run("check", tmp_path / "nothing")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_what_init_writes_passes_check_without_a_warning(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    assert run("init", folder).exit_code == 0
    loaded = load(folder)
    assert loaded.documents
    assert (*loaded.findings, *validate(loaded)) == ()


def test_init_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    done = run("init", tmp_path)
    assert done.exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def explained(run: Run, *arguments: str) -> Any:
    done = run("explain", "--manifests", EXAMPLE, "--output", "json", *arguments)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_a_tab_is_seen_in_what_check_shows(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v1\n\tkind: Namespace\n")
    assert "   2 | ⇥kind: Namespace\n         ^\n" in run("check", tmp_path).stdout


@pytest.mark.parametrize("identity", [CLIENT, "prod.payments/pricing-api"])
def test_explain_allows_what_is_granted(run: Run, identity: str) -> None:
    request = (
        "--feature-set",
        "driver-stats",
        "--features",
        "driver_hourly_stats:conv_rate",
        "--rows",
        "20",
    )
    decision = explained(run, "--identity", identity, *request)
    assert (decision["outcome"], decision["rule"]) == ("allow", "pricing/pricing-api")
    assert decision["charges"] == [{"binding": "pricing/pricing-api", "cost": 20}]
    assert decision["request"] is None


def test_explain_allows_a_service(run: Run) -> None:
    request = ("--feature-set", "pricing/driver-stats", "--service", "driver_activity_v1")
    assert explained(run, "--identity", CLIENT, *request)["outcome"] == "allow"


def test_explain_names_what_is_missing_and_the_command_to_ask_for_it(run: Run) -> None:
    features = "driver_hourly_stats:conv_rate,driver_hourly_stats:avg_daily_trips"
    request = ("--feature-set", "driver-stats", "--features", features)
    decision = explained(run, "--identity", CLIENT, *request)
    assert decision["outcome"] == "deny"
    assert decision["missing"] == ["driver_hourly_stats:avg_daily_trips"]
    assert decision["nearest_binding"]["name"] == "pricing/pricing-api", "its own"
    alone = ("--feature-set", "driver-stats", "--features", "driver_hourly_stats:avg_daily_trips")
    other = explained(run, "--identity", CLIENT, *alone)
    assert other["nearest_binding"]["name"] == "pricing/report", (
        "no binding of its own grants any of it"
    )
    assert decision["request"].endswith(
        f"--identity {CLIENT} --feature-set pricing/driver-stats --features driver_hourly_stats:avg_daily_trips"
    )


def test_the_command_that_explain_names_works(run: Run) -> None:
    request = ("--feature-set", "driver-stats", "--features", "driver_hourly_stats:avg_daily_trips")
    command = explained(run, "--identity", CLIENT, *request)["request"].split()
    assert run(*command[1:], "--manifests", EXAMPLE).exit_code == 0


def test_explain_in_words_says_the_same(run: Run) -> None:
    request = ("--feature-set", "driver-stats", "--features", "driver_hourly_stats:home")
    done = run("explain", "--manifests", EXAMPLE, "--identity", CLIENT, *request)
    assert done.stdout.startswith("deny (not-granted)")
    assert "shadow" in done.stdout


def test_who_can_read_a_feature(run: Run) -> None:
    readers = explained(run, "--who", "driver_hourly_stats:avg_daily_trips")
    assert {reader["subject"] for reader in readers} == {
        "spiffe://prod.acme.example/bu/payments/svc/report",
        "spiffe://prod.acme.example/bu/payments/ci/nightly",
    }
    words = run(
        "explain", "--manifests", EXAMPLE, "--who", "driver_hourly_stats:avg_daily_trips"
    ).stdout
    assert "spiffe://prod.acme.example/bu/payments/ci/nightly" in words


def test_what_an_identity_can_read(run: Run) -> None:
    grants = explained(run, "--can", "prod.payments/report")
    assert [grant["feature"] for grant in grants] == ["driver_hourly_stats:avg_daily_trips"]
    assert (
        run("explain", "--manifests", EXAMPLE, "--can", "prod.payments/feast").stdout.count(
            "nothing"
        )
        == 1
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--who", "driver_hourly_stats:nothing"),
        ("--can", "prod.payments/nobody"),
        ("--feature-set", "driver-stat", "--features", "v:f"),
        ("--feature-set", "driver-stats"),
    ],
)
def test_questions_about_nothing_are_a_sentence(run: Run, arguments: tuple[str, ...]) -> None:
    done = run("explain", "--manifests", EXAMPLE, *arguments)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--features", "driver_hourly_stats:conv_rat"), "mean driver_hourly_stats:conv_rate?"),
        (("--features", "conv_rate"), "mean driver_hourly_stats:conv_rate?"),
        (("--features", "driver_hourly_stat:conv_rate"), "mean driver_hourly_stats:conv_rate?"),
        (("--features", "driver_hourly_stats:salary"), "feature-set.yaml lists"),
        (("--service", "driver_activity_v2"), "mean driver_activity_v1?"),
        (("--service", "nothing"), "feature-set.yaml lists"),
        (("--who", "driver_hourly_stats:conv_rat"), "mean driver_hourly_stats:conv_rate?"),
        (("--who", "avg_daily_trip"), "mean driver_hourly_stats:avg_daily_trips?"),
    ],
)
def test_explain_says_that_there_is_no_such_thing(
    run: Run, arguments: tuple[str, str], said: str
) -> None:
    asked = ("--identity", CLIENT, "--feature-set", "driver-stats", *arguments)
    done = run("explain", "--manifests", EXAMPLE, *asked)
    assert done.exit_code == 1
    assert done.stderr.startswith(
        f"error: there is no {'service' if 'serv' in arguments[0] else 'feature'} "
    )
    assert repr(arguments[1]) in done.stderr
    assert said in done.stderr


def test_two_questions_at_once_are_a_wrong_command_line(run: Run) -> None:
    assert run("explain", "--manifests", EXAMPLE, "--who", "a:b", "--can", "c/d").exit_code == 2


def test_what_request_prints_passes_check_when_added(run: Run, tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLE, tmp_path / "manifests")
    names = "driver_hourly_stats:avg_daily_trips,driver_activity_v1"
    options = (
        "--manifests",
        folder,
        "--feature-set",
        "driver-stats",
        "--identity",
        "prod.payments/report",
    )
    done = run("request", *options, "--features", names)
    assert done.exit_code == 0
    assert "driver-ml@acme.example" in done.stderr
    (folder / "asked.yaml").write_text(done.stdout)
    assert run("check", folder).exit_code == 0
    decision = run("request", *options, "--features", names).stdout
    assert "name: report-driver-stats-2" in decision


@pytest.mark.parametrize(
    ("features", "identity"),
    [
        ("driver_hourly_stats:nothing", CLIENT),
        (",", CLIENT),
        ("driver_hourly_stats:acc_rate", "spiffe://dev.acme.example/bu/payments/svc/x"),
        ("driver_hourly_stats:acc_rate", "spiffe://prod.acme.example/bu/risk/svc/x"),
    ],
)
def test_request_refuses_to_ask_for_what_would_not_pass(
    run: Run, features: str, identity: str
) -> None:
    options = ("--manifests", EXAMPLE, "--feature-set", "driver-stats", "--identity", identity)
    done = run("request", *options, "--features", features)
    assert (done.exit_code, done.stdout) == (1, "")


@pytest.mark.parametrize("line", [["ca"], ["ca", "serve"], ["ca", "token", "create", "--help"]])
def test_a_command_whose_extra_is_not_installed_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: list[str]
) -> None:
    installed = tmp_path / "featward-0.1.0.dist-info"
    installed.mkdir()
    installed.joinpath("METADATA").write_text(
        "Metadata-Version: 2.4\nName: featward\nVersion: 0.1.0\nProvides-Extra: ca\n"
        'Requires-Dist: rich\nRequires-Dist: no-such-package>=1; extra == "ca"\n'
    )
    installed.joinpath("entry_points.txt").write_text(
        f"[{root.GROUP}]\nca = featward_ca.cli:app [ca]\ncheck = featward.cli.check:check\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    done = CliRunner().invoke(root.build(), line)
    assert done.exit_code == 1
    assert done.stderr.strip() == (
        "error: ca needs the package no-such-package: pip install 'featward[ca]'"
    )

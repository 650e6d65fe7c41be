"""`featward import feast`, from a repository to a manifest that the loader takes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from featward.feast import registry_pb2 as pb
from featward.feast.command import app
from featward.feast.errors import RegistryUnreadableError
from featward.feast.source import open_repository
from featward.manifests import Catalogue, load
from featward.manifests.feature_set import FeatureSetSpec

Registry = Callable[[], pb.Registry]


@pytest.fixture
def repository(tmp_path: Path, registry: Registry) -> Path:
    """A Feast repository whose registry lies where feature_store.yaml says."""
    folder = tmp_path / "repository"
    (folder / "deep").mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(
        "project: drivers\nregistry: {path: deep/registry.pb}\n"
    )
    (folder / "deep" / "registry.pb").write_bytes(registry().SerializeToString())
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["feast", *map(str, arguments)], env={"COLUMNS": "200"})


def written(folder: Path) -> FeatureSetSpec:
    loaded = load(folder)
    assert loaded.findings == ()
    ((_, document),) = Catalogue(loaded.documents).feature_sets.items()
    return document.model.spec


def test_a_repository_becomes_a_manifest(repository: Path, tmp_path: Path) -> None:
    manifests = tmp_path / "manifests"
    done = run(
        repository,
        "--name",
        "stats",
        "--workload",
        "feast",
        "--manifests",
        manifests,
        "--into",
        manifests / "s.yaml",
    )
    assert done.exit_code == 0, done.output
    spec = written(manifests)
    assert (spec.owner.team, spec.owner.contact) == ("driver-ml", "ml@acme.example")
    assert [(key.name, key.type) for key in spec.entities] == [("driver_id", "int64")]
    assert [(key.name, key.type) for key in spec.request_inputs] == [("added", "int64")]
    assert {f.name: f.sensitivity for f in spec.features}["stats:trips"] == 2
    assert [(s.name, s.features) for s in spec.services] == [
        ("activity", ("plus:rate_plus", "stats:rate"))
    ]


def test_a_registry_file_gives_the_same_as_its_repository(repository: Path, tmp_path: Path) -> None:
    options = ("--name", "stats", "--manifests", tmp_path / "none")
    assert (
        run(repository, *options).stdout
        == run(repository / "deep/registry.pb", *options).stdout
        != ""
    )


def test_what_an_owner_wrote_by_hand_is_kept(repository: Path, tmp_path: Path) -> None:
    manifests = tmp_path / "manifests"
    again = (
        repository,
        "--name",
        "stats",
        "--manifests",
        manifests,
        "--into",
        manifests / "s.yaml",
    )
    run(*again, "--mode", "observe", "--version", "1.4.0")
    text = (manifests / "s.yaml").read_text()
    accepted = '{what: registry, port: 6570, reason: batch only, until: "2027-06-30"}'
    edited = text.replace("sensitivity: 2", "sensitivity: 3") + f"  accepted: [{accepted}]\n"
    (manifests / "s.yaml").write_text(edited)
    assert run(*again).exit_code == 0
    spec = written(manifests)
    assert (spec.version, spec.enforcement.mode) == ("1.4.0", "observe")
    assert {f.name: f.sensitivity for f in spec.features}["stats:trips"] == 3
    assert [one.port for one in spec.accepted] == [6570]


def test_what_had_no_effect_is_said(repository: Path, tmp_path: Path) -> None:
    target = tmp_path / "manifests" / "s.yaml"
    again = (repository, "--name", "stats", "--manifests", target.parent, "--into", target)
    assert "note:" not in run(*again, "--port", 7000).stderr
    target.write_text("# ours\n" + target.read_text())
    said = run(*again, "--port", 7777, "--team", "other", "--mode", "observe").stderr
    assert "--team, --port had no effect" in said
    assert f"comments in {target} are not kept" in said
    assert "--mode" not in said
    assert "mode: observe" in target.read_text()


def test_a_team_is_not_given_the_address_of_another(
    repository: Path, registry: Registry, tmp_path: Path
) -> None:
    changed = registry()
    for name, address, team in (
        ("a", "Guest ML <guest@acme.example>", "guest-ml"),
        ("b", "guest@acme.example", "guest-ml"),
        ("c", "revenue@acme.example", ""),
    ):
        view = changed.feature_views.add().spec
        view.CopyFrom(changed.feature_views[0].spec)
        view.name, view.owner, view.tags["team"] = name, address, team
    del changed.feature_views[0]
    (repository / "deep" / "registry.pb").write_bytes(changed.SerializeToString())
    done = run(repository, "--name", "stats", "--into", tmp_path / "m" / "s.yaml")
    owner = written(tmp_path / "m").owner
    assert (owner.team, owner.contact) == ("guest-ml", "guest@acme.example")
    assert "name 2 owners (guest@acme.example, revenue@acme.example)" in done.stderr


def test_callers_without_identity_are_let_in_until_the_day_that_is_given(
    repository: Path, tmp_path: Path
) -> None:
    manifests = tmp_path / "manifests"
    place = ("--manifests", manifests, "--into", manifests / "s.yaml")
    given = ("--mode", "observe", "--unidentified-until", "2027-01-31")
    done = run(repository, *place, *given)
    assert done.exit_code == 0, done.output
    enforcement = written(manifests).enforcement
    assert (enforcement.mode, enforcement.unidentified.until) == ("observe", "2027-01-31")
    assert enforcement.unidentified.allow
    # What is there is its owner's, and not given up without a word.
    again = run(repository, *place, "--mode", "shadow", "--unidentified-until", "2028-01-31")
    assert "is kept" in again.stderr
    assert written(manifests).enforcement == enforcement


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (("--mode", "observe", "--unidentified-until", "soon"), "until"),
        (("--mode", "enforce", "--unidentified-until", "2027-01-31"), "--mode observe"),
        (("--unidentified-until", "2027-01-31"), "--mode observe"),
    ],
)
def test_a_day_that_means_nothing_is_refused(
    repository: Path, given: tuple[str, ...], reason: str
) -> None:
    done = run(repository, *given)
    assert done.exit_code == 1
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--mode", "enfroce"),
        ("--version", "x y"),
        ("--address", "here"),
        ("--name", "A B"),
        ("--namespace", "A B"),
        ("--workload", "A B"),
        ("--service-account", "A B"),
        ("--host", "a b"),
        ("--team", "a\tb"),
    ],
)
def test_a_wrong_value_is_told_by_its_option(repository: Path, option: str, value: str) -> None:
    done = run(repository, option, value)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: {option} is {json.dumps(value)}; write ")


def test_what_was_written_is_said(repository: Path, tmp_path: Path) -> None:
    target = tmp_path / "m" / "s.yaml"
    done = run(repository, "--into", target)
    assert done.stdout == ""
    assert done.stderr == f"wrote {target}: FeatureSet default/drivers (features: 4, services: 1)\n"


def test_a_place_that_takes_no_file_is_a_sentence(repository: Path, tmp_path: Path) -> None:
    done = run(repository, "--into", tmp_path)
    assert done.exit_code == 1
    assert f"{tmp_path} is a folder: name a file in it, {tmp_path}/drivers.yaml" in done.stderr
    done = run(repository, "--into", "/proc/nowhere/s.yaml")
    assert done.exit_code == 1
    assert "--into /proc/nowhere/s.yaml can't be written: No such file" in done.stderr


def test_check_ends_with_0_until_feast_drifts_and_then_with_1(
    repository: Path, tmp_path: Path, registry: Registry
) -> None:
    manifests = tmp_path / "manifests"
    run(repository, "--name", "stats", "--manifests", manifests, "--into", manifests / "s.yaml")
    assert run(repository, "--check", "--manifests", manifests).exit_code == 0
    changed = registry()
    changed.feature_views[0].spec.features[1].name = "trips_daily"
    (repository / "deep" / "registry.pb").write_bytes(changed.SerializeToString())
    done = run(repository, "--check", "--manifests", manifests, "--output", "json")
    assert done.exit_code == 1
    assert [change["kind"] for change in json.loads(done.stdout)["changes"]] == ["renamed"]


def test_a_registry_without_an_owner_asks_for_one(repository: Path, registry: Registry) -> None:
    changed = registry()
    changed.feature_views[0].spec.owner = ""
    changed.feature_views[0].spec.tags.clear()
    (repository / "deep" / "registry.pb").write_bytes(changed.SerializeToString())
    done = run(repository)
    assert done.exit_code == 1
    assert "--contact" in done.output


def test_a_repository_without_a_registry_says_what_to_run(repository: Path) -> None:
    (repository / "deep" / "registry.pb").unlink()
    done = run(repository)
    assert done.exit_code == 1
    assert "feast apply" in done.output


def test_a_registry_in_a_database_asks_for_a_feast(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    text = "project: drivers\nregistry: {registry_type: sql, path: 'sqlite:///x.db'}\n"
    (repository / "feature_store.yaml").write_text(text)
    done = run(repository)
    assert done.exit_code == 1
    assert "--feast-python" in done.output


def test_variables_in_the_configuration_are_filled_in(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERE", "deep/registry.pb")
    (repository / "feature_store.yaml").write_text("project: drivers\nregistry: ${WHERE}\n")
    assert open_repository(repository).project == "drivers"


def test_a_configuration_that_is_no_feast_configuration_is_refused(repository: Path) -> None:
    (repository / "feature_store.yaml").write_text("- just\n- a list\n")
    with pytest.raises(RegistryUnreadableError, match="project"):
        open_repository(repository)

"""The manifests of the demo: templates laid out with dates filled in, and the edits that the tour makes."""

import os
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from string import Template

import yaml

from featward_demo.command_line import run

LAST_WEEK = timedelta(days=-7)
NEXT_QUARTER = timedelta(days=90)
NAMESPACE = "driver-ml"
# What each FeatureSet of the demo takes from the one Feast repository.
VIEWS = {
    "driver-stats": ("driver_hourly_stats", "conv_rate_plus"),
    "customer-profile": ("customer_profile",),
}


def lay_out(environment: str, folder: Path, part: str) -> None:
    """Write one template (`platform`, `bindings`) of an environment into its folder of manifests."""
    template = files("featward_demo") / "manifests" / environment / f"{part}.yaml"
    text = Template(template.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}.yaml").write_text(
        text.substitute(next_quarter=day(NEXT_QUARTER), last_week=day(LAST_WEEK))
    )


def import_feature_set(name: str, repository: Path, folder: Path, address: str, port: int) -> Path:
    """Let `featward import feast` write a FeatureSet; returns its file."""
    file = folder / f"{name}.yaml"
    options = [option for view in VIEWS[name] for option in ("--view", view)]
    place = ["--namespace", NAMESPACE, "--workload", "feast", "--address", address]
    run(
        *("import", "feast", repository, "--name", name, *place, "--port", port, *options),
        *("--manifests", folder, "--into", file),
    )
    return file


def set_mode(file: Path, mode: str, unidentified: bool = False) -> None:
    """Edit a FeatureSet's enforcement as its owner would, in one step that no reader sees half of."""
    document = yaml.safe_load(file.read_text())
    enforcement: dict[str, object] = {"mode": mode}
    if unidentified:
        enforcement["unidentified"] = {"allow": True, "until": day(NEXT_QUARTER)}
    document["spec"]["enforcement"] = enforcement
    # A hidden name: the sidecar must not take the file for a second FeatureSet.
    fresh = file.with_name(f".{file.name}")
    fresh.write_text(yaml.safe_dump(document, sort_keys=False))
    os.replace(fresh, file)


def day(distance: timedelta) -> str:
    """A day so far from today, UTC."""
    return (datetime.now(UTC) + distance).date().isoformat()

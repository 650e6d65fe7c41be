"""The Envoy configuration in the sidecar's page is one that Envoy takes."""

import subprocess
import sys
from pathlib import Path

import yaml

from documented import blocks

PAGE = Path(__file__).parents[2] / "docs" / "sidecar.md"


def test_the_clusters_of_the_page_are_what_envoy_takes(tmp_path: Path) -> None:
    (block,) = [each for each in blocks(PAGE) if each.info == "envoy"]
    file = tmp_path / "envoy.yaml"
    node = {"id": "app", "cluster": "app"}
    file.write_text(yaml.safe_dump({"node": node, "static_resources": yaml.safe_load(block.text)}))
    envoy = str(Path(sys.executable).with_name("envoy"))
    command = [envoy, "--mode", "validate", "-c", str(file), "--log-level", "error"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

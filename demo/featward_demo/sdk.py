"""A process with the stock Feast SDK, asked from here.

The SDK lives in Feast's own environment; this is the end that we hold of it.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from featward_demo.errors import ProgramError
from featward_demo.feast_environment import FeastEnvironment

# Sent to the app's sidecar on loopback, in the clear; the sidecar speaks mTLS from there.
CONFIGURATION = """\
project: drivers
provider: local
registry: {registry}
entity_key_serialization_version: 3
online_store:
  type: remote
  path: {url}
"""


@dataclass(frozen=True)
class SdkAnswer:
    """What one call of `get_online_features` gave: columns, or the text of its exception."""

    seconds: float
    columns: Mapping[str, Sequence[Any]] | None = None
    error: str | None = None


@dataclass
class SdkClient:
    """An app with the SDK, from `start` to `stop`."""

    environment: FeastEnvironment
    folder: Path
    registry: Path
    url: str
    log: Path
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Write its feature_store.yaml and start it; `ready` waits until it has imported Feast."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = CONFIGURATION.format(registry=self.registry, url=self.url)
        (self.folder / "feature_store.yaml").write_text(text)
        with as_file(files("featward_demo") / "feast_client" / "ask.py") as script:
            shutil.copyfile(script, self.folder / "ask.py")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.environment.python), "ask.py", "."],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def ready(self) -> str:
        """Wait until it can be asked; returns Feast's version."""
        return str(self._read()["feast"])

    def ask(
        self,
        rows: Sequence[Mapping[str, Any]],
        features: Sequence[str] = (),
        feature_service: str | None = None,
    ) -> SdkAnswer:
        """One call of the SDK."""
        question = {"rows": rows, "features": features, "feature_service": feature_service}
        process = self._running()
        assert process.stdin is not None  # noqa: S101  it is a pipe
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        answer = self._read()
        return SdkAnswer(answer["seconds"], answer.get("columns"), answer.get("error"))

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _read(self) -> dict[str, Any]:
        process = self._running()
        assert process.stdout is not None  # noqa: S101  it is a pipe
        line = process.stdout.readline()
        if not line:
            raise ProgramError(f"the client app with Feast's SDK has ended; see {self.log}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise ProgramError("the client app with Feast's SDK was not started")
        return self._process

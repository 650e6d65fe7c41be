"""The chart as it was before its last change, of what Git has: what somebody has installed who upgrades."""

import io
import subprocess
import tarfile
from pathlib import Path

from chart_kit import CHART

__all__ = ["chart_before"]

_ROOT = CHART.parents[1]
_INSIDE = CHART.relative_to(_ROOT).as_posix()
# What is installed; a page is no change of it.
_PARTS = [f"{_INSIDE}/{one}" for one in ("Chart.yaml", "values.yaml", "templates", "files")]


def chart_before(folder: Path) -> Path | None:
    """Unpacked into the folder; None where there is no Git or it knows no other chart than the present one."""
    try:
        commits = _git("log", "--format=%H", "--", *_PARTS).stdout.decode().split()
    except (OSError, subprocess.CalledProcessError):
        return None
    for commit in commits:
        if _git("diff", "--quiet", commit, "--", *_PARTS, check=False).returncode == 1:
            packed = _git("archive", commit, "--", _INSIDE).stdout
            with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
                tar.extractall(folder, filter="data")
            return folder / _INSIDE
    return None


def _git(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, check=check)

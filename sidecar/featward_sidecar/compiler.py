"""Runs the policy compiler in a process of its own and takes what it made.

Its own, because pydantic and the manifests would stay in this process's memory for good (some 30 MB), and
because a folder that makes the compiler slow or large must not make the data plane so.
"""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from featward.logs import fields
from featward_sidecar.errors import ManifestsError

__all__ = ["Compiler"]

log = logging.getLogger(__name__)

SECONDS = 300.0
"""A folder of 100,000 bindings compiles in about a minute; past this something hangs."""

SHOWN = 20
"""Findings logged for one edit; `featward check` shows all."""


class Compiler:
    """Compiles a folder of manifests for one workload."""

    def __init__(self, manifests: Path, workload: str) -> None:
        self._command = [
            sys.executable,
            "-P",  # a folder named featward where we were started must not be taken for the package
            "-m",
            "featward.policy",
            "--manifests",
            str(manifests),
            "--workload",
            workload,
        ]
        self._manifests = manifests
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def compile(self, output: Path) -> int:
        """Write the snapshot to `output`; returns the number of warnings. Raises ManifestsError."""
        with output.open("wb") as file:
            child = self._start(file.fileno())
            try:
                _, errors = child.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate()
                raise ManifestsError(
                    f"compiling {self._manifests} took over {SECONDS:.0f} s"
                ) from None
            finally:
                self._child = None
        findings, rest = _read(errors)
        _report(findings)
        if child.returncode != 0:
            raise self._refusal(child.returncode, findings, rest)
        return len(findings)

    def stop(self) -> None:
        """End a compilation that runs in another thread, and start none after it."""
        with self._lock:
            self._stopped = True
            if self._child is not None:
                self._child.kill()

    def _start(self, output: int) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise ManifestsError("the sidecar is stopping")
            # A session of its own: Ctrl-C in a terminal is for us to act on.
            self._child = subprocess.Popen(
                self._command,
                stdout=output,
                stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            return self._child

    def _refusal(
        self, code: int, findings: list[dict[str, object]], rest: list[str]
    ) -> ManifestsError:
        blocking = [finding for finding in findings if finding.get("blocks", True)]
        sentences = [_sentence(finding) for finding in blocking[:SHOWN]]
        if sentences:
            more = f" and {len(blocking) - 1} more" if len(blocking) > 1 else ""
            return ManifestsError(f"{sentences[0]}{more}", sentences)
        why = rest[-1] if rest else f"the compiler ended with status {code}"
        return ManifestsError(f"compiling {self._manifests} failed: {why}")


def _read(errors: bytes) -> tuple[list[dict[str, object]], list[str]]:
    """Findings (an object per line), and what else was said: a lone error, or a traceback's lines."""
    findings: list[dict[str, object]] = []
    rest: list[str] = []
    for line in filter(None, errors.decode(errors="replace").splitlines()):
        try:
            parsed = json.loads(line)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            rest.append(line.strip())
        elif "error" in parsed:
            rest.append(str(parsed["error"]))
        else:
            findings.append(parsed)
    return findings, rest


def _report(findings: list[dict[str, object]]) -> None:
    for finding in findings[:SHOWN]:
        level = logging.ERROR if finding.get("blocks", True) else logging.WARNING
        log.log(level, "manifest finding", extra=fields(**finding))


def _sentence(finding: dict[str, object]) -> str:
    remedy = finding.get("remedy")
    return ": ".join(_parts(finding)) + (f"; {remedy}" if remedy else "")


def _parts(finding: dict[str, object]) -> Iterator[str]:
    if finding.get("file"):
        yield f"{finding['file']}:{finding.get('line') or 1}"
    if finding.get("path"):
        yield str(finding["path"])
    yield str(finding.get("message", "refused"))

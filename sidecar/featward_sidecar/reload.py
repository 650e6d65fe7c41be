"""Tells an app to read its files again: a command, or SIGHUP to the process that a file names."""

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from featward_sidecar.errors import ReloadError

__all__ = ["reload_app"]

SECONDS = 30.0
"""For the command to end. A reload takes milliseconds, a restart seconds."""

SHOWN = 500
"""Characters of the end of what a failed command printed."""


def reload_app(how: tuple[str, ...]) -> None:
    """Raises ReloadError when the app was not told; it will be tried again."""
    if not how:
        return
    if len(how) == 1 and how[0].startswith("signal:"):
        _signal(Path(how[0].removeprefix("signal:")))
    else:
        _run(how)


def _signal(file: Path) -> None:
    try:
        process = int(file.read_text(encoding="ascii").split()[0])
        if process <= 1:  # 0, -1 and below mean groups of processes, and everybody
            raise ValueError(f"process {process} is nobody's app")
        os.kill(process, signal.SIGHUP)
    except (OSError, ValueError, IndexError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error) or "it is empty"
        raise ReloadError(f"no SIGHUP to the process that {file} names: {why}") from error


def _run(command: tuple[str, ...]) -> None:
    with tempfile.TemporaryFile() as printed:
        try:
            # A session of its own, so that all of it can be ended when it hangs.
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ReloadError(f"{command[0]} can't be run: {error.strerror or error}") from error
        try:
            code = child.wait(SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise ReloadError(f"{command[0]} took over {SECONDS:.0f} s and was ended") from None
        if code != 0:
            size = printed.seek(0, os.SEEK_END)
            printed.seek(max(0, size - SHOWN))
            said = printed.read().decode(errors="replace").strip() or "nothing"
            raise ReloadError(f"{command[0]} ended with status {code} and said: {said}")

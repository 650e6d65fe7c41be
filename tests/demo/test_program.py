"""Programs that the demo starts: ready, failed, stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from featward_demo.errors import ProgramError
from featward_demo.program import Program, answers


def python(tmp_path: Path, code: str) -> Program:
    return Program("the program", [sys.executable, "-c", code], tmp_path / "program.log")


def test_a_program_is_ready_when_it_says_so_and_ends_when_told(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    program = python(
        tmp_path, f"import pathlib, time; pathlib.Path({str(mark)!r}).touch(); time.sleep(60)"
    )
    program.start()
    program.wait_until(mark.exists, seconds=30)
    assert program.alive()
    program.stop()
    assert not program.alive()


def test_a_program_that_ends_early_shows_the_end_of_its_log(tmp_path: Path) -> None:
    program = python(tmp_path, "import sys; sys.exit('the disk is full')")
    program.start()
    with pytest.raises(ProgramError, match=r"status 1 before it was ready(.|\n)*the disk is full"):
        program.wait_until(lambda: False)


def test_a_program_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    program = python(tmp_path, "import time; time.sleep(60)")
    program.start()
    with pytest.raises(ProgramError, match="not ready after"):
        program.wait_until(lambda: False, seconds=0.2)
    program.stop()


def test_a_program_that_ignores_the_request_to_end_is_ended(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    ignoring = "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    program = python(tmp_path, f"{ignoring}; pathlib.Path({str(mark)!r}).touch(); time.sleep(60)")
    program.start()
    program.wait_until(mark.exists, seconds=30)
    program.stop(seconds=0.2)
    assert not program.alive()


def test_a_program_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    program = Program("the program", [str(tmp_path / "missing")], tmp_path / "program.log")
    with pytest.raises(ProgramError, match="the program could not be started"):
        program.start()


def test_a_port_without_a_server_does_not_answer() -> None:
    assert not answers("127.0.0.1", 1, "/health")


def test_programs_end_with_a_demo_that_is_killed(tmp_path: Path) -> None:
    # The program leaves its mark as it ends; the demo in between is killed and can't tell it to.
    started, ended = tmp_path / "started", tmp_path / "ended"
    os.mkfifo(started)
    os.mkfifo(ended)
    code = f"""import pathlib, signal, sys
signal.alarm(30)
signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({str(ended)!r}).write_text("x"), sys.exit()))
pathlib.Path({str(started)!r}).write_text("x")
while True: signal.pause()"""
    demo = f"""import signal, sys
from pathlib import Path
from featward_demo.program import Program
Program("it", [sys.executable, "-c", {code!r}], Path({str(tmp_path / "log")!r})).start()
signal.pause()"""
    with subprocess.Popen([sys.executable, "-c", demo]) as parent:
        assert started.read_text() == "x"
        parent.send_signal(signal.SIGKILL)
        assert ended.read_text() == "x"

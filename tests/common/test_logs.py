"""The form of log lines."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from featward.logs import Form, Level, fields, set_up


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def test_a_json_line_has_the_phrase_and_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(Form.JSON)
    logging.getLogger("a").info("identity issued", extra=fields(serial="01", nothing=None))
    line = json.loads(capsys.readouterr().err)
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "logger": "a", "message": "identity issued", "serial": "01"}


def test_a_console_line_quotes_what_would_be_read_wrongly(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up(Form.CONSOLE)
    logging.getLogger("a").warning(
        "odd", extra=fields(a="two words", b=3, c="plain", d="line\nbreak")
    )
    assert capsys.readouterr().err.split("odd")[1].split() == [
        'a="two',
        'words"',
        "b=3",
        "c=plain",
        'd="line\\nbreak"',
    ]


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(Form.JSON, Level.WARNING)
    logging.getLogger("a").info("quiet")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_gets_lines_to_read_and_a_file_gets_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    set_up()
    logging.getLogger("a").info("identity issued", extra=fields(serial="01"))
    line = capsys.readouterr().err
    assert line.startswith("{") is not terminal
    assert "identity issued" in line

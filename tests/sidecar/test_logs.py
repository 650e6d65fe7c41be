"""The form of log lines."""

import json
import logging
from collections.abc import Iterator

import pytest

from featward_sidecar.configuration import Logging
from featward_sidecar.events import log_events
from featward_sidecar.logs import fields, set_up


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def test_a_json_line_has_the_phrase_and_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(Logging("json"))
    logging.getLogger("a").info("identity issued", extra=fields(serial="01", nothing=None))
    line = json.loads(capsys.readouterr().err)
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "logger": "a", "message": "identity issued", "serial": "01"}


def test_a_console_line_quotes_what_would_be_read_wrongly(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up(Logging("console"))
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
    set_up(Logging("json", "warning"))
    logging.getLogger("a").info("quiet")
    assert capsys.readouterr().err == ""


def test_events_of_the_engine_become_lines(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(Logging("json"))
    log_events(
        json.dumps(
            [{"kind": "handshake-refused", "source": "127.0.0.1"}, {"kind": "lost", "count": 2}]
        ).encode()
    )
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["message"], first["source"], first["logger"]) == (
        "handshake refused",
        "127.0.0.1",
        "featward_engine",
    )
    assert (second["message"], second["level"], second["count"]) == ("lost", "warning", 2)

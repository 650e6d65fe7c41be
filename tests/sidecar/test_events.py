"""What the engine tells becomes lines of the sidecar's log."""

import json
import logging
from collections.abc import Iterator

import pytest

from featward.logs import Form, set_up
from featward_sidecar.events import log_events


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def test_events_of_the_engine_become_lines(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(Form.JSON)
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

"""A CA whose machine's clock jumps, in a process of its own under libfaketime."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clocked_ca import Ca, clocked_ca

HOUR, MONTH = 3600, 30 * 86_400
# As long as it takes the CA to look at its clock again, and a little.
STEP = 6.0


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return clocked_ca(tmp_path)


def _health(address: str) -> tuple[int, dict[str, str]]:
    try:
        with urllib.request.urlopen(f"http://{address}/healthz", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def _said(ca: Ca, message: str) -> list[dict[str, Any]]:
    lines = (ca.folder / "log").read_text().splitlines()
    said = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in said if line["message"].startswith(message)]


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen within 30 s"
        time.sleep(0.2)


@pytest.mark.timeout(120)
def test_a_clock_that_jumps_back_signs_nothing_until_it_is_right_again(ca: Ca) -> None:
    with ca.served() as health:
        ca.attest()
        assert _health(health) == (200, {"status": "ok"})
        ca.set_clock(-HOUR)
        said = ca.refused()
        assert said.startswith("clock-skew: the CA's clock says ")
        assert "set the clock right" in said
        status, answer = _health(health)
        assert (status, answer["status"]) == (503, "failing")
        assert answer["problem"].startswith("clock-skew: ")
        ca.set_clock(0)
        ca.attest()
        _wait_for(lambda: _health(health)[0] == 200)
    assert " 0 findings" in ca.findings()
    assert len(ca.serials()) == 2


@pytest.mark.timeout(120)
def test_a_clock_that_jumps_ahead_is_reported_and_costs_no_record(ca: Ca) -> None:
    with ca.served() as health:
        before = [ca.attest() for _ in range(3)]
        ca.set_clock(MONTH)
        # All authorities have ended by this clock; the schedule makes others once it has noticed.
        _wait_for(ca.attests)
        _wait_for(lambda: _health(health)[0] == 200)
        ahead = ca.attest()
        assert ahead.not_before > before[0].not_before + MONTH - HOUR
        ca.set_clock(0)
        assert "if it is right now and was ahead then, wait until that time" in ca.refused()
        time.sleep(STEP)
    (forward, back) = (line["seconds"] for line in _said(ca, "the clock was set"))
    assert (round(forward / MONTH, 3), round(back / MONTH, 3)) == (1, -1)
    kept = {each.lineage for each in (*before, ahead)}
    assert kept <= ca.lineages()
    assert " 0 findings" in ca.findings()


@pytest.mark.timeout(120)
def test_a_ca_that_starts_with_a_clock_behind_says_why_it_does_not_sign(ca: Ca) -> None:
    with ca.served():
        first = ca.attest()
    ca.set_clock(-HOUR)
    refused = ca.command(*ca.serve)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("error: clock-skew: the CA's clock says ")
    ca.set_clock(0)
    with ca.served():
        ca.attest()
    assert first.lineage in ca.lineages()
    assert " 0 findings" in ca.findings()

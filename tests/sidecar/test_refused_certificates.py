"""A sidecar whose certificate the CA refuses: it says so, and how it comes back, with a real CA.

What the kernel or Kubernetes says of a workload lasts, so it attests anew by itself (the pod's is in
`test_token_evidence`); what was enrolled by join token needs another one, and no restart.
"""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from featward_sidecar.errors import CallError, CertificateRefusedError
from featward_sidecar.grpc_call import Status
from featward_sidecar.refusals import evidence_helps, of_certificate
from featward_sidecar.status_view import render

FEATWARD = Path(sys.executable).with_name("featward")
FEAST = "spiffe://prod.acme.example/bu/payments/svc/feast"


def commanded(scene: Any, *words: str) -> Any:
    command = [FEATWARD, "ca", *words, "--data", scene.ca.data, "--output", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def banned(scene: Any, *whom: str) -> str:
    """Ban; returns the ban's id."""
    ban: str = commanded(scene, "ban", "add", *whom, "--reason", "test")["ban"]["id"]
    return ban


def refused(status: dict[str, Any]) -> Any:
    return status["agent"]["identity"]["refused"]


def shown(status: dict[str, Any]) -> str:
    out = io.StringIO()
    Console(file=out, width=200, color_system=None, soft_wrap=True).print(render(status))
    return out.getvalue()


@pytest.fixture
def sidecar(scene: Any) -> Iterator[Any]:
    """A sidecar with an identity by join token."""
    scene.write()
    scene.start_ca()
    running = scene.run(
        join_token_file=scene.token("feast"), workload_socket=scene.folder / "w.sock"
    )
    running.ready()
    running.wait(lambda status: status["agent"]["ca"]["connected"])
    yield running
    # Words of a TLS library, which help nobody here.
    said = [line.get("error", "") for line in running.lines]
    assert not [each for each in said if "close_notify" in each or "docs.rs" in each]


def test_a_banned_identity_is_shown_as_such_and_goes_on_when_the_ban_is_lifted(
    scene: Any, sidecar: Any
) -> None:
    serial = sidecar.status()["identity"]["serial"]
    ban = banned(scene, "--identity", FEAST)
    status = sidecar.wait(refused)
    told = refused(status)
    assert told["reason"] == "banned"
    assert "featward ca ban list" in told["message"]
    assert status["agent"]["ca"]["last_error"]["message"] == told["message"]
    assert "by the CA for" in shown(status)
    assert "banned or revoked; `featward ca ban list` says why" in shown(status)
    assert sidecar.logged("CA refused us")["error"] == told["message"]
    commanded(scene, "ban", "remove", ban)
    status = sidecar.wait(lambda status: status["agent"]["ca"]["connected"])
    assert refused(status) is None
    assert status["identity"]["serial"] == serial
    assert "by the CA for" not in shown(status)


def test_whoever_came_by_join_token_comes_back_by_another_one_without_a_restart(
    scene: Any, sidecar: Any
) -> None:
    serial = sidecar.status()["identity"]["serial"]
    banned(scene, "--serial", serial)
    sidecar.wait(refused)
    # The token was used, and is shown once more at the most.
    status = sidecar.wait(lambda status: status["agent"]["identity"]["last_error"])
    said = status["agent"]["identity"]["last_error"]["message"]
    assert "featward ca token create --workload prod.payments/feast" in said
    assert status["identity"]["serial"] == serial
    scene.token("feast")
    status = sidecar.wait(lambda status: status["agent"]["ca"]["connected"])
    assert status["identity"]["serial"] != serial
    assert refused(status) is None
    assert status["agent"]["identity"]["last_error"] is None


def test_a_ca_with_another_root_is_believed_by_a_new_token_once_the_identity_is_over(
    scene: Any,
) -> None:
    scene.write(ttl="4s")
    authority = scene.start_ca()
    sidecar = scene.run(
        join_token_file=scene.token("feast"), workload_socket=scene.folder / "w.sock"
    )
    sidecar.ready()
    before = sidecar.wait(lambda status: status["agent"]["ca"]["connected"])
    authority.kill()
    authority.data.rename(authority.data.with_name("lost"))
    authority.start()
    scene.token("feast")
    status = sidecar.wait(lambda status: status["agent"]["ca"]["connected"])
    assert sidecar.logged("CA not reached")
    # Not before: somebody else's CA must take nothing away.
    assert status["agent"]["identity"]["last_issued"] > before["identity"]["not_after"]


# Without a CA


@pytest.mark.parametrize(
    ("alert", "reason"),
    [
        ("CertificateRevoked", "banned"),
        ("AccessDenied", "authority-revoked"),
        ("UnknownCA", "unknown-root"),
        ("CertificateExpired", "expired"),
    ],
)
def test_each_alert_about_a_certificate_has_a_word_and_who_says_it(alert: str, reason: str) -> None:
    found = of_certificate(CallError(14, "broke", alert=alert), "operator")
    assert found is not None
    assert (found.reason, found.status) == (reason, Status.PERMISSION_DENIED)
    assert str(found).startswith(f"the operator refuses our certificate (TLS alert {alert}): ")


@pytest.mark.parametrize("alert", ["", "HandshakeFailure", "ProtocolVersion"])
def test_other_alerts_say_nothing_of_a_certificate(alert: str) -> None:
    assert of_certificate(CallError(14, "broke", alert=alert), "CA") is None


@pytest.mark.parametrize(
    ("error", "holds", "over"),
    [
        (None, False, False),
        (CertificateRefusedError(7, "", "banned"), True, True),
        (CallError(Status.FAILED_PRECONDITION, ""), False, True),
        (CallError(Status.UNAVAILABLE, "", cause="not-trusted"), False, True),
        (CallError(Status.UNAVAILABLE, "", cause="unreachable"), False, False),
    ],
)
def test_evidence_is_shown_again_where_it_may_help(
    error: CallError | None, holds: bool, over: bool
) -> None:
    assert evidence_helps(error, expired=False) is holds
    assert evidence_helps(error, expired=True) is over

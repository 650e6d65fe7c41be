"""`featward ca authority rotate`, and the steering of rotations that are under way."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.console import console, errors
from featward.cli.output import Output, OutputOption
from featward_ca.cli.connection import TIMEOUT, admin
from featward_ca.cli.options import AdminOption, WhereOption, seconds
from featward_ca.cli.ordering import (
    DryRunOption,
    ForceOption,
    GenerationOption,
    OwnerArgument,
    ReasonOption,
    finish,
    show_answer,
)

if TYPE_CHECKING:
    from featward.authority.v1 import authority_pb2
    from featward.authority.v1.authority_pb2_grpc import AuthorityServiceStub

RotationArgument = Annotated[str, typer.Argument(help="A rotation's id, or its owner.")]
_LOOK_SECONDS = 0.5


def rotate(
    owner: OwnerArgument,
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    generation: GenerationOption = 0,
    reason: ReasonOption = "",
    dry_run: DryRunOption = False,
    step_timeout: Annotated[
        str, typer.Option(help="How long a step waits before it is blocked; default: one svidTTL.")
    ] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow it until it is done; fails when it is blocked.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Replace an owner's authority: prepare, activate, taint and revoke, each when it is safe."""
    from featward.authority.v1 import authority_pb2

    request = authority_pb2.RotateRequest(
        owner=owner,
        generation=generation,
        reason=reason,
        dry_run=dry_run,
        step_timeout_seconds=seconds(step_timeout, "--step-timeout") if step_timeout else 0,
    )
    with admin(data, admin_socket) as stub:
        answer = stub.Rotate(request, timeout=TIMEOUT)
        if wait and answer.HasField("rotation"):
            _follow(stub, answer.rotation, output)
            return
    show_answer(answer, output)


def pause(
    rotation: RotationArgument,
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    reason: ReasonOption = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Let a rotation stand where it is until it is resumed."""
    _control("PAUSE", rotation, data, admin_socket, reason, output)


def resume(
    rotation: RotationArgument,
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    force: ForceOption = False,
    reason: ReasonOption = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Let a paused rotation go on; with --force, take its present step whatever is in the way."""
    _control("FORCE" if force else "RESUME", rotation, data, admin_socket, reason, output)


def cancel(
    rotation: RotationArgument,
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    reason: ReasonOption = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Give a rotation up. What was prepared is withdrawn; what was activated stays active."""
    _control("CANCEL", rotation, data, admin_socket, reason, output)


def _control(
    action: str,
    rotation: str,
    data: Path | None,
    admin_socket: Path | None,
    reason: str,
    output: Output,
) -> None:
    from featward.authority.v1 import authority_pb2

    request = authority_pb2.ControlRotationRequest(
        rotation=rotation,
        action=action,
        reason=reason,
    )
    with admin(data, admin_socket) as stub:
        finish(stub.ControlRotation(request, timeout=TIMEOUT), output, False)


def _follow(stub: "AuthorityServiceStub", begun: "authority_pb2.Rotation", output: Output) -> None:
    """A line for each step and each change of who is waited for, until it is over. As JSON only
    what came of it: who signs now, or the rotation that stands still.
    """
    from featward.authority.v1 import authority_pb2

    seen = ""
    while True:
        shown = stub.Show(authority_pb2.ShowRequest(), timeout=TIMEOUT)
        now = next((one for one in shown.rotations if one.id == begun.id), None)
        if now is None:
            break
        line = f"{now.owner}: {now.step} {now.state}, acknowledged {now.acknowledged}/{now.needed}"
        if line != seen and output is Output.TABLE:
            console.print(line)
            seen = line
        if now.state in ("blocked", "paused"):
            if output is Output.JSON:
                show_answer(authority_pb2.StepResponse(rotation=now), output)
            asking = f"featward ca authority rotate {now.owner} --dry-run"
            errors.print(f"it stands still; {asking} lists what it waits for")
            raise typer.Exit(1)
        time.sleep(_LOOK_SECONDS)
    active = [
        one for one in shown.authorities if one.owner == begun.owner and one.state == "active"
    ]
    if output is Output.JSON:
        show_answer(authority_pb2.StepResponse(authority=active[0], changed=True), output)
        return
    console.print(f"{begun.owner}: done, {', '.join(one.id for one in active)} signs")

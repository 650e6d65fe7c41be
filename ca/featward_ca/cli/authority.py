"""`featward ca authority …`: rotation by hand, and what is under way."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.console import console, errors
from featward.cli.output import Output, OutputOption
from featward_ca.cli.connection import TIMEOUT, admin
from featward_ca.cli.options import AdminOption, WhereOption, seconds

if TYPE_CHECKING:
    from featward.authority.v1 import authority_pb2
    from featward.authority.v1.authority_pb2_grpc import AuthorityServiceStub

app = typer.Typer(
    no_args_is_help=True,
    help="Authorities and their rotation: prepare, activate, taint, revoke; or rotate for all.",
)

ReasonOption = Annotated[
    str, typer.Option(help="Why; it is kept in the journal and the audit table.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Do it whatever stands in the way; says what breaks.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what stands in the way, and change nothing.")
]
GenerationOption = Annotated[
    int,
    typer.Option(
        help="Which of an owner's authorities; asked for twice it is done once.",
        min=0,
        max=2**31 - 1,
    ),
]
OwnerArgument = Annotated[str, typer.Argument(help="prod.payments, platform or root.")]
AuthorityArgument = Annotated[
    str, typer.Argument(help="An authority's id, or the owner whose one is meant.")
]
RotationArgument = Annotated[str, typer.Argument(help="A rotation's id, or its owner.")]
_LOOK_SECONDS = 0.5


@app.command("list")
def list_authorities(
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show all authorities, and the rotations that are under way."""
    from featward.authority.v1 import authority_pb2
    from featward_ca.report import as_json, authorities, rotations

    with admin(data, admin_socket) as stub:
        shown = stub.Show(authority_pb2.ShowRequest(), timeout=TIMEOUT)
    if output is Output.JSON:
        kept = authority_pb2.ShowResponse(
            environment=shown.environment,
            trust_domain=shown.trust_domain,
            sequence=shown.sequence,
            authorities=shown.authorities,
            rotations=shown.rotations,
            server_time=shown.server_time,
        )
        fields = ("environment", "trust_domain", "sequence", "authorities", "rotations")
        typer.echo(as_json(kept, (*fields, "server_time")))
        return
    console.print(authorities(shown.authorities, shown.server_time))
    if shown.rotations:
        console.print("\n", rotations(shown.rotations, shown.server_time), sep="")


@app.command()
def prepare(
    owner: OwnerArgument,
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    generation: GenerationOption = 0,
    reason: ReasonOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make an owner's next authority and announce it. Nothing is signed by it yet."""
    from featward.authority.v1 import authority_pb2

    request = authority_pb2.StepRequest(
        authority=owner, generation=generation, reason=reason, dry_run=dry_run
    )
    with admin(data, admin_socket) as stub:
        _finish(stub.Prepare(request, timeout=TIMEOUT), output, dry_run)


@app.command()
def activate(
    authority: AuthorityArgument,
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    generation: GenerationOption = 0,
    force: ForceOption = False,
    reason: ReasonOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Sign with a prepared authority from now on. Waits for everybody to have heard of it."""
    request = _request(authority, generation, force, reason, dry_run)
    with admin(data, admin_socket) as stub:
        _finish(stub.Activate(request, timeout=TIMEOUT), output, dry_run)


@app.command()
def taint(
    authority: AuthorityArgument,
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    generation: GenerationOption = 0,
    reason: ReasonOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Have all that an old authority signed renewed."""
    request = _request(authority, generation, False, reason, dry_run)
    with admin(data, admin_socket) as stub:
        _finish(stub.Taint(request, timeout=TIMEOUT), output, dry_run)


@app.command()
def revoke(
    authority: AuthorityArgument,
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    generation: GenerationOption = 0,
    force: ForceOption = False,
    reason: ReasonOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let nobody accept a tainted authority any more. Waits until nobody uses what it signed."""
    request = _request(authority, generation, force, reason, dry_run)
    with admin(data, admin_socket) as stub:
        _finish(stub.Revoke(request, timeout=TIMEOUT), output, dry_run)


@app.command()
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
    _print(answer, output)


@app.command()
def pause(
    rotation: RotationArgument,
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    reason: ReasonOption = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Let a rotation stand where it is until it is resumed."""
    _control("PAUSE", rotation, data, admin_socket, reason, output)


@app.command()
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


@app.command()
def cancel(
    rotation: RotationArgument,
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    reason: ReasonOption = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Give a rotation up. What was prepared is withdrawn; what was activated stays active."""
    _control("CANCEL", rotation, data, admin_socket, reason, output)


def _request(
    authority: str, generation: int, force: bool, reason: str, dry_run: bool
) -> "authority_pb2.StepRequest":
    from featward.authority.v1 import authority_pb2

    return authority_pb2.StepRequest(
        authority=authority, generation=generation, force=force, reason=reason, dry_run=dry_run
    )


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
        _finish(stub.ControlRotation(request, timeout=TIMEOUT), output, False)


def _finish(answer: "authority_pb2.StepResponse", output: Output, dry_run: bool) -> None:
    """Print; a step that was asked for and is blocked is a failure."""
    _print(answer, output)
    if answer.blockers and not answer.changed and not dry_run:
        raise typer.Exit(1)


def _print(answer: "authority_pb2.StepResponse", output: Output) -> None:
    from featward_ca.report import as_json, step

    if output is Output.JSON:
        typer.echo(as_json(answer))
    else:
        step(answer, console, time.time())


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
                _print(authority_pb2.StepResponse(rotation=now), output)
            asking = f"featward ca authority rotate {now.owner} --dry-run"
            errors.print(f"it stands still; {asking} lists what it waits for")
            raise typer.Exit(1)
        time.sleep(_LOOK_SECONDS)
    active = [
        one for one in shown.authorities if one.owner == begun.owner and one.state == "active"
    ]
    if output is Output.JSON:
        _print(authority_pb2.StepResponse(authority=active[0], changed=True), output)
        return
    console.print(f"{begun.owner}: done, {', '.join(one.id for one in active)} signs")

"""``featward sidecar run | validate | status``: the only part of the sidecar that people type.

Imported by every `featward` command to show its help, so it imports nothing at the top that is not needed
for that.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.console import console, errors, fail
from featward.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from featward_sidecar.configuration import Configuration, Problem

__all__ = ["app"]

app = typer.Typer(help="The proxy beside a feature server or its clients.", no_args_is_help=True)

USAGE = 2

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="YAML file; flags and FEATWARD_SIDECAR_* go over it.",
        envvar="FEATWARD_SIDECAR_CONFIG",
    ),
]


@app.command()
def run(
    config: Config = None,
    workload: Annotated[str, typer.Option(help="Who this is for: prod.payments/feast.")] = "",
    manifests: Annotated[str, typer.Option(help="Folder of manifests.")] = "",
    ca: Annotated[str, typer.Option(help="The CA: host:port or unix:/path.")] = "",
    join_token_file: Annotated[
        str, typer.Option(help="File with a token of `featward ca token create`.")
    ] = "",
    state: Annotated[str, typer.Option(help="Folder of the sidecar's own (0700).")] = "",
    listen: Annotated[str, typer.Option(help="Serve mTLS callers here: 127.0.0.1:15443.")] = "",
    plain: Annotated[str, typer.Option(help="Serve callers without identity here.")] = "",
    outbound: Annotated[
        list[str] | None,
        typer.Option(help="Feature sets for apps beside us: driver-stats=127.0.0.1:15100,…"),
    ] = None,
    health: Annotated[str, typer.Option(help="Probes and metrics; none for nowhere.")] = "",
    admin: Annotated[str, typer.Option(help="UNIX socket for `featward sidecar status`.")] = "",
    record: Annotated[str, typer.Option(help="File for the decision record.")] = "",
    workload_socket: Annotated[
        str, typer.Option(help="UNIX socket where apps fetch this identity (SPIFFE, SDS).")
    ] = "",
    workers: Annotated[
        str, typer.Option(help="Threads of the engine; 0: as the CPU limit allows.")
    ] = "",
    drain_seconds: Annotated[
        str, typer.Option(help="Time for requests in flight after SIGTERM.")
    ] = "",
    log_format: Annotated[str, typer.Option(help="auto, json or console.")] = "",
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "",
) -> None:
    """Serve until SIGTERM. Limits are set in the file or the environment."""
    from featward_sidecar.launch import become_sidecar

    told = {
        "workload": workload,
        "manifests": manifests,
        "ca": ca,
        "joinTokenFile": join_token_file,
        "state": state,
        "server.listen": listen,
        "server.plain": plain,
        "outbound": ",".join(outbound or []),
        "health": health,
        "admin": admin,
        "record": record,
        "workloadSocket": workload_socket,
        "workers": workers,
        "drainSeconds": drain_seconds,
        "log.format": log_format,
        "log.level": log_level,
    }
    become_sidecar(_load(config, {key: text for key, text in told.items() if text}))


@app.command()
def validate(
    config: Config = None, output: Annotated[Output, typer.Option()] = Output.TABLE
) -> None:
    """Print the configuration as it would be used, or everything that is wrong with it."""
    from featward_sidecar.configuration_view import as_text
    from featward_sidecar.manifest_names import undeclared

    configuration = _load(config, {}, exit_code=1)
    if problems := undeclared(configuration):
        raise _refusal(problems, exit_code=1)
    if output is Output.JSON:
        typer.echo(configuration.to_json())
    else:
        console.print(as_text(configuration), markup=False, highlight=False, soft_wrap=True)


@app.command()
def status(
    config: Config = None,
    admin: Annotated[Path | None, typer.Option(help="The sidecar's admin socket.")] = None,
    output: Annotated[Output, typer.Option()] = Output.TABLE,
) -> None:
    """Show identity and expiry, policy and mode, who called lately and what would be refused."""
    import json

    from featward_sidecar.admin import fetch_status
    from featward_sidecar.errors import SidecarError

    socket = admin or _load(config, {}).agent.admin
    if socket is None:
        fail("this sidecar has no admin socket; set admin: in its configuration")
    try:
        found = fetch_status(socket)
    except SidecarError as error:
        fail(str(error))
    if output is Output.JSON:
        typer.echo(json.dumps(found, indent=2))
        return
    from featward_sidecar.status_view import render

    console.print(render(found))


def _load(file: Path | None, flags: dict[str, str], exit_code: int = USAGE) -> "Configuration":
    from featward_sidecar.configuration import ConfigurationError
    from featward_sidecar.sources import load

    try:
        return load(file, os.environ, flags)
    except ConfigurationError as error:
        raise _refusal(error.problems, exit_code) from None


def _refusal(problems: "Sequence[Problem]", exit_code: int) -> typer.Exit:
    for problem in problems:
        errors.print(f"error: {problem}", markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(exit_code)

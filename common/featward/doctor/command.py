"""`featward doctor TARGET`: what the command is told, and in which order things are looked at."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.console import console
from featward.cli.output import Output, OutputOption, print_json

if TYPE_CHECKING:
    from featward.doctor.examination import Told

__all__ = ["doctor"]

SECONDS = 5.0


def doctor(
    target: Annotated[
        str,
        typer.Argument(
            help="What to look at: host:port of a TLS endpoint, or the path of a UNIX socket that hands out "
            "identities (SPIFFE Workload API, Envoy SDS)."
        ),
    ],
    bundle: Annotated[
        Path | None, typer.Option(help="Judge by the roots in this PEM file, such as bundle.pem.")
    ] = None,
    workload_api: Annotated[
        Path | None,
        typer.Option(
            help="Judge by what this Workload API socket hands out, and show its SVID to a server that asks."
        ),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            help="Judge by what this CA announces now, its scope table and bans included, and compare its "
            "clock: its data directory or admin socket."
        ),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option(help="A certificate chain (PEM, leaf first) to show to a server that asks."),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    expect: Annotated[
        str,
        typer.Option(
            help="Who should be there: a SPIFFE ID, or in short prod.payments/pricing-api."
        ),
    ] = "",
    trust_domain: Annotated[
        str, typer.Option(help="The trust domain of --bundle, where its roots do not say it.")
    ] = "",
    timeout: Annotated[
        float,
        typer.Option(min=0.1, max=300, help="Seconds for each look, from connecting to the end."),
    ] = SECONDS,
    output: OutputOption = Output.TABLE,
) -> None:
    """Look at an endpoint or a socket as a client would: chain, identity, expiry, clocks, and what a verifier
    would refuse and why. Exit status 1 if anything. A TLS endpoint is asked GET / once.
    """
    from featward.doctor.examination import examine_endpoint, examine_socket
    from featward.doctor.report import as_json, show

    told = _told(bundle, workload_api, ca, cert, key, expect, trust_domain, timeout)
    path = _socket(target)
    report = examine_socket(path, told) if path else examine_endpoint(*_address(target), told)
    if output is Output.JSON:
        print_json(as_json(report))
    else:
        show(report, console)
    if not report.is_healthy:
        raise typer.Exit(1)


def _told(
    bundle: Path | None,
    workload_api: Path | None,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    expect: str,
    trust_domain: str,
    timeout: float,
) -> "Told":
    """All that can be known before anything is looked at. What is wrong with it ends with exit status 2."""
    from featward.doctor.examination import Told, gather
    from featward.errors import DoctorError, SpiffeIdError
    from featward.identity.called import Called

    if (cert is None) != (key is None):
        raise typer.BadParameter(
            "a certificate needs its key: give both", param_hint="--cert, --key"
        )
    if bundle is not None and ca is not None:
        raise typer.BadParameter("there can be one judge: --bundle or --ca", param_hint="--bundle")
    try:
        who = Called.parse(expect) if expect else None
        told = Told(bundle, workload_api, ca, cert, key, who, trust_domain or None, timeout)
        return gather(told)
    except (DoctorError, SpiffeIdError) as error:
        raise typer.BadParameter(str(error)) from error


def _socket(target: str) -> Path | None:
    """A path: with a slash, or as `unix:` and `unix://` addresses are written."""
    for prefix in ("unix://", "unix:"):
        if target.startswith(prefix):
            return Path(target.removeprefix(prefix))
    return Path(target) if "/" in target or Path(target).is_socket() else None


def _address(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_host = bool(host) and len(host) <= 253 and host.isascii() and host.isprintable()
    if not is_host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise typer.BadParameter(
            f"{target!r} is no target; write host:port, such as 127.0.0.1:15443, or the path of a "
            "socket, such as ./state/feast/workload.sock",
            param_hint="TARGET",
        )
    return host, int(port)

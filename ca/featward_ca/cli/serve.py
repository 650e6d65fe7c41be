"""`featward ca serve`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.console import errors, fail
from featward.logs import Form, Level, set_up
from featward_ca.cli.connection import ADMIN_NAME
from featward_ca.cli.options import AdminOption, DataOption, StoreOption, address

if TYPE_CHECKING:
    from featward_ca.cluster.names import ObjectName
    from featward_ca.server import Addresses


def serve(
    environment: Annotated[str, typer.Option(help="The name of an Environment in the manifests.")],
    data: DataOption,
    manifests: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The folder of manifests; or --from-cluster says where else they are.",
        ),
    ] = None,
    from_cluster: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=(
                "Read the manifests from the API server of this one of the clusters of --cluster,"
                " and wait there for the Environment."
            ),
        ),
    ] = None,
    kek_file: Annotated[
        Path | None,
        typer.Option(
            help=(
                "The key-encryption key: a 0600 file outside of the data directory, made at the"
                " first start. "
                "Without it, and without --kek-secret, FEATWARD_CA_KEK holds the key."
            )
        ),
    ] = None,
    kek_secret: Annotated[
        str | None,
        typer.Option(
            metavar="CLUSTER/NAMESPACE/NAME",
            help="The key-encryption key in a Secret instead, made at the first start.",
        ),
    ] = None,
    store: StoreOption = None,
    listen: Annotated[
        str, typer.Option(help="Where workloads connect with mTLS.")
    ] = "127.0.0.1:8443",
    workload_socket: Annotated[
        Path | None, typer.Option(help="A UNIX socket where the kernel says who connects.")
    ] = None,
    admin_socket: AdminOption = None,
    health: Annotated[
        str | None,
        typer.Option(help="Where /healthz, /readyz and /metrics are; empty for nowhere."),
    ] = "127.0.0.1:8080",
    bundle_listen: Annotated[
        str | None,
        typer.Option(
            help="Where foreign trust domains fetch this one's SPIFFE bundle (https_web)."
        ),
    ] = None,
    bundle_certificate: Annotated[
        Path | None,
        typer.Option(
            help="The certificate of --bundle-listen: PEM, leaf first; read again on change."
        ),
    ] = None,
    bundle_key: Annotated[
        Path | None, typer.Option(help="Its key: PEM, not encrypted; read again on change.")
    ] = None,
    cluster: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=KUBECONFIG",
            help=(
                "How to ask a cluster of the Environment about tokens: a kubeconfig, or in-cluster"
                " for the one that the CA runs in. May be given several times."
            ),
        ),
    ] = None,
    operator: Annotated[
        str | None,
        typer.Option(
            metavar="CLUSTER/NAMESPACE/SERVICEACCOUNT",
            help="The one service account that is the environment's operator.",
        ),
    ] = None,
    publish_bundle: Annotated[
        str | None,
        typer.Option(
            metavar="CLUSTER/NAMESPACE/NAME",
            help="A ConfigMap that says to pods how to know the CA: its roots, kept up to date.",
        ),
    ] = None,
    log_format: Annotated[
        Form,
        typer.Option(
            envvar="FEATWARD_CA_LOG_FORMAT",
            help="How lines of the log look; auto: console on a terminal, else JSON.",
        ),
    ] = Form.AUTO,
    log_level: Annotated[
        Level, typer.Option(envvar="FEATWARD_CA_LOG_LEVEL", help="The least severe level written.")
    ] = Level.INFO,
    unsafe_short_lives: Annotated[
        bool,
        typer.Option("--unsafe-short-lives", help="Allow lifetimes of seconds. For tests only."),
    ] = False,
) -> None:
    """Run the CA of one environment in the foreground."""
    import asyncio

    from featward.descriptors import raise_limit
    from featward_ca.garbage import collect_rarely
    from featward_ca.server import serve as run
    from featward_ca.settings import BundleSettings, ServeSettings

    bundle = None
    if bundle_listen is not None and bundle_certificate is not None and bundle_key is not None:
        bundle = BundleSettings(bundle_listen, bundle_certificate, bundle_key)
    elif (bundle_listen, bundle_certificate, bundle_key) != (None, None, None):
        raise typer.BadParameter(
            "--bundle-listen, --bundle-certificate and --bundle-key go together: give all or none"
        )
    in_cluster = {
        "--from-cluster": from_cluster,
        "--publish-bundle": publish_bundle,
        "--kek-secret": kek_secret,
    }
    _check_sources(manifests, from_cluster, kek_file, kek_secret)
    for option, told in in_cluster.items():
        if told is not None:
            _require_kubernetes(option)
    settings = ServeSettings(
        environment=environment,
        data=data,
        manifests=manifests,
        kek_file=kek_file,
        listen=address(listen, "--listen"),
        workload_socket=workload_socket and workload_socket.absolute(),
        admin_socket=admin_socket or data / ADMIN_NAME,
        health=address(health, "--health") if health else None,
        clusters=dict(_cluster(one) for one in cluster or ()),
        operator=operator,
        unsafe_short_lives=unsafe_short_lives,
        bundle=bundle,
        store_address=store,
        from_cluster=from_cluster,
        publish_bundle=_object("--publish-bundle", publish_bundle),
        kek_secret=_object("--kek-secret", kek_secret),
    )
    set_up(log_format, log_level)
    raise_limit()
    collect_rarely()
    asyncio.run(run(settings, _announce))


def _check_sources(
    manifests: Path | None, from_cluster: str | None, kek_file: Path | None, kek_secret: str | None
) -> None:
    if (manifests is None) == (from_cluster is None):
        raise typer.BadParameter(
            "the manifests are in one place: give either --manifests DIR, for a folder, or"
            " --from-cluster NAME, for the API server of --cluster NAME=KUBECONFIG"
        )
    if kek_file is not None and kek_secret is not None:
        raise typer.BadParameter(
            "there is one key-encryption key: give either --kek-file or --kek-secret"
        )


def _require_kubernetes(option: str) -> None:
    from featward.cli.extras import absent

    if package := absent("kubernetes"):
        fail(f"{option} needs the package {package}: pip install 'featward[ca,kubernetes]'")


def _object(option: str, text: str | None) -> "ObjectName | None":
    from featward_ca.cluster.names import ObjectName
    from featward_ca.errors import ConfigurationError

    try:
        return None if text is None else ObjectName.parse(text)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _cluster(text: str) -> tuple[str, str]:
    name, equals, where = text.partition("=")
    if not equals or not name or not where:
        raise typer.BadParameter(
            f"{text!r} names no kubeconfig; write eu1=/etc/featward/eu1.kubeconfig or"
            " eu1=in-cluster",
            param_hint="--cluster",
        )
    return name, where


def _announce(addresses: "Addresses") -> None:
    for name, where in vars(addresses).items():
        errors.print(f"{name.replace('_', ' ')}: {where or 'off'}")
    errors.print("the CA is ready")

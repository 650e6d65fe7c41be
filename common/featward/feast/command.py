"""``featward import feast``: the FeatureSet of a real Feast, and what changed in it since."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from featward.feast.catalogue import FeastCatalogue
    from featward.feast.comparison import Change

app = typer.Typer(
    no_args_is_help=True, help="Write manifests from what a feature server says of itself."
)


@app.callback()
def _group() -> None:
    """Write manifests from what a feature server says of itself."""


@app.command()
def feast(
    context: typer.Context,
    place: Annotated[
        Path,
        typer.Argument(
            metavar="REPO|REGISTRY", help="A Feast repository's folder, or its registry file."
        ),
    ],
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="The FeatureSet to write or to check. [default: the project's name; all]"
        ),
    ] = None,
    namespace: Annotated[str, typer.Option(help="The FeatureSet's namespace.")] = "default",
    workload: Annotated[
        str | None,
        typer.Option(help="The Workload that serves it, outside Kubernetes (its spec.name)."),
    ] = None,
    service_account: Annotated[
        str | None,
        typer.Option(help="The service account that serves it, on Kubernetes. [default: feast]"),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Where the sidecar before it listens, host:port; outside Kubernetes."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where Feast itself listens, as its sidecar reaches it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port of `feast serve`.")] = 6566,
    version: Annotated[str, typer.Option(help="The FeatureSet's version.")] = "1.0.0",
    mode: Annotated[
        str | None, typer.Option(help="observe, shadow or enforce. [default: enforce]")
    ] = None,
    unidentified_until: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="The last day on which callers without identity pass, in observe and shadow, such as "
            "2027-01-31. [default: they never do]",
        ),
    ] = None,
    team: Annotated[
        str | None, typer.Option(help="The owning team. [default: from tags and owners]")
    ] = None,
    contact: Annotated[
        str | None, typer.Option(help="The team's address. [default: from owners]")
    ] = None,
    view: Annotated[list[str] | None, typer.Option(help="Only this view; may be repeated.")] = None,
    project: Annotated[
        str | None, typer.Option(help="The project, where a registry file holds several.")
    ] = None,
    manifests: Annotated[
        Path,
        typer.Option(help="The folder to --check, and whose handwritten settings are kept."),
    ] = Path("manifests"),
    into: Annotated[
        Path | None, typer.Option(help="Write to this file. [default: standard output]")
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Compare with the manifests; exit 1 where they no longer fit."
        ),
    ] = False,
    feast_python: Annotated[
        Path | None,
        typer.Option(
            help="A Python with Feast, for registries that are no files. [default: of `feast`]"
        ),
    ] = None,
    output: Annotated[Output, typer.Option(help="How to show it.")] = Output.TABLE,
) -> None:
    """Write the FeatureSet of a Feast repository, or --check the manifests against it.

    Feast need not be installed for a registry in a file. Notes about what is left out go to
    standard error.
    """
    from featward.cli.console import errors, fail
    from featward.errors import FeatwardError
    from featward.feast.manifest import Placement, earlier, feature_set, owners
    from featward.feast.options import kept, says, setting

    try:
        catalogue = _catalogue(place, project, view or [], feast_python)
        for note in catalogue.notes:
            errors.print(f"note: {note}", markup=False)
        if check:
            _show(_changes(catalogue, manifests, name or []), output)
            return
        if workload is not None and service_account is not None:
            fail("one workload serves a FeatureSet: give --workload or --service-account, not both")
        if unidentified_until is not None and mode not in ("observe", "shadow"):
            fail(
                "in enforce a caller without identity is refused whatever the date: give "
                "--mode observe or --mode shadow with --unidentified-until"
            )
        server = {"name": workload} if workload else {"serviceAccount": service_account or "feast"}
        chosen = (name or [catalogue.project.replace("_", "-")])[0]
        placement = Placement(
            namespace=namespace,
            name=chosen,
            workload=server,
            host=host,
            port=port,
            address=address,
            version=version,
            mode=mode,
            unidentified_until=unidentified_until,
            team=team,
            contact=contact,
        )
        before = earlier(manifests, placement)
        for note in kept(context, before, into):
            errors.print(f"note: {note}", markup=False, soft_wrap=True)
        document = feature_set(catalogue, placement, before)
        if (others := owners(catalogue)) and len(others) > 1 and not says(before, "owner"):
            chosen = document["spec"]["owner"]["contact"]
            errors.print(
                f"note: the views name {len(others)} owners ({', '.join(others)}); the set's is {chosen}:"
                " give --team and --contact, or a set of its own to each with --view",
                markup=False,
                soft_wrap=True,
            )
        _write(document, into, output, setting(context))
    except (FeatwardError, OSError) as error:
        fail(str(error))


def _catalogue(
    place: Path, project: str | None, views: list[str], feast_python: Path | None
) -> "FeastCatalogue":
    from featward.feast.catalogue import read
    from featward.feast.source import open_repository

    repository = open_repository(place, feast_python)
    catalogue = read(repository.registry, project or repository.project)
    return catalogue.only(views) if views else catalogue


def _write(
    document: dict[str, "Any"], into: Path | None, output: Output, options: "Mapping[str, str]"
) -> None:
    from featward.cli.console import errors, fail
    from featward.feast.manifest import checked
    from featward.manifests import dump

    model = checked(document, options)
    text = dump(model) if output is Output.TABLE else json.dumps(document, indent=2) + "\n"
    if into is None:
        typer.echo(text, nl=False)
        return
    metadata, spec = model.metadata, model.spec
    if into.is_dir():
        fail(f"--into {into} is a folder: name a file in it, {into / metadata.name}.yaml")
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_text(text)
    except OSError as error:
        fail(f"--into {into} can't be written: {error.strerror}; name another file")
    errors.print(
        f"wrote {into}: FeatureSet {metadata.namespace}/{metadata.name} "
        f"(features: {len(spec.features)}, services: {len(spec.services)})",
        markup=False,
    )


def _changes(catalogue: "FeastCatalogue", manifests: Path, names: list[str]) -> "list[Change]":
    from featward.feast.comparison import compare
    from featward.feast.declared import declared
    from featward.manifests import load

    picture, grants = declared(load(manifests), names)
    return compare(picture, catalogue, grants)


def _show(changes: "list[Change]", output: Output) -> None:
    """Print the changes; exits with 1 when the manifests no longer fit."""
    from featward.feast.report import changes_as_json, print_changes

    if output is Output.JSON:
        typer.echo(changes_as_json(changes))
    else:
        print_changes(changes)
    if any(change.drifts for change in changes):
        raise typer.Exit(1)

"""From manifests to a `Directory`: those of a folder, at start and after every edit, or documents that
somebody else has read.

Only what `featward.manifests.load` finds wrong in reading stops the CA (at start) or an edit
(later): a typo in one Workload must not look like its removal. What is wrong between feature sets
and bindings is none of its business, so that a service owner's slip never stops identities.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from featward.errors import FolderError
from featward.manifests.catalogue import Catalogue
from featward.manifests.document import AnyModel, Document
from featward.manifests.loading import load
from featward.manifests.platform import BusinessUnit, Environment, EnvironmentSpec, Workload
from featward.manifests.text import seconds
from featward_ca import directory
from featward_ca.directory import Directory
from featward_ca.errors import ConfigurationError
from featward_ca.federation.relations import relations
from featward_ca.settings import AUTHORITY_LIFETIME

_Model = TypeVar("_Model")
# How long after the first change of a burst (an editor's, a checkout's) the folder is read.
_SETTLE_MILLISECONDS = 200


def read_directory(folder: Path, environment: str) -> Directory:
    """The environment as the folder describes it. Raises ConfigurationError."""
    try:
        loaded = load(folder)
    except FolderError as error:
        raise ConfigurationError(str(error)) from error
    blocking = [finding for finding in loaded.findings if finding.blocks]
    if blocking:
        more = (
            f" (and {len(blocking) - 1} more; featward check {folder} lists them)"
            if len(blocking) > 1
            else ""
        )
        raise ConfigurationError(f"the manifests hold errors: {blocking[0]}{more}")
    return directory_of(loaded.documents, environment, str(folder))


async def changes(folder: Path) -> AsyncIterator[None]:
    """Yields after every change of the folder."""
    from watchfiles import awatch  # only a running CA needs it

    async for _ in awatch(folder, debounce=_SETTLE_MILLISECONDS, recursive=True):
        yield


def directory_of(
    documents: Iterable[Document[AnyModel]],
    environment: str,
    where: str,
    *,
    namespaces: bool = True,
) -> Directory:
    """The environment as these documents describe it; `where` says in errors where they were read.

    Without `namespaces` those among the documents are not looked at: a Namespace of a directory is for all
    clusters, and the labels of one in a cluster are asked for when a token names it. Raises
    ConfigurationError.
    """
    loaded, name = tuple(documents), environment
    environments = [model for model in of_kind(loaded, Environment) if model.metadata.name == name]
    if not environments:
        raise ConfigurationError(_unknown(name, loaded, where))
    if len(environments) > 1:
        raise ConfigurationError(
            f"{where} has {len(environments)} Environments named {name}; leave one"
        )
    spec, catalogue = environments[0].spec, Catalogue(loaded)
    _refuse_shared_issuers(spec)
    units = {f"{name}.default": AUTHORITY_LIFETIME}
    units |= {
        unit.metadata.name: float(seconds(unit.spec.authority.lifetime))
        for unit in of_kind(loaded, BusinessUnit)
        if unit.metadata.name.startswith(f"{name}.")
    }
    workloads = [
        workload_of(model, name, spec.trust_domain)
        for model in of_kind(loaded, Workload)
        if model.spec.business_unit.startswith(f"{name}.")
    ]
    _refuse_strangers(workloads, units)
    return Directory(
        environment=name,
        trust_domain=spec.trust_domain,
        svid_lifetime=float(seconds(spec.svid_ttl)),
        business_units=units,
        workloads={workload.name: workload for workload in workloads},
        relations=relations(
            [model.spec.trust_domain for model in of_kind(loaded, Environment)], spec.federates_with
        ),
        renew_every=float(seconds(spec.renew_every)) if spec.renew_every else None,
        rotate_every={
            unit.metadata.name: float(seconds(unit.spec.authority.rotate_every))
            for unit in of_kind(loaded, BusinessUnit)
            if unit.spec.authority.rotate_every is not None
        },
        clusters=tuple(
            directory.Cluster(one.name, one.issuer, frozenset(one.business_units))
            for one in spec.clusters
        ),
        jwt_issuers=tuple(
            directory.JwtIssuer(one.name, one.issuer, one.ca_file, float(seconds(one.max_key_age)))
            for one in spec.jwt_issuers
        ),
        namespaces={one: catalogue.business_unit_of(one) for one in catalogue.namespaces}
        if namespaces
        else {},
        default_unit=f"{name}.default" if len(catalogue.environments) == 1 else None,
    )


def _unknown(name: str, documents: Iterable[Document[AnyModel]], where: str) -> str:
    known = sorted(model.metadata.name for model in of_kind(documents, Environment))
    near = get_close_matches(name, known, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
    return f"{where} has no Environment named {name!r}, which --environment asks for: {remedy}"


def workload_of(model: Workload, environment: str, trust_domain: str) -> directory.Workload:
    """A Workload with its identity. Raises ConfigurationError."""
    spec = model.spec
    user = spec.attest.unix.user if spec.attest.unix else None
    told = spec.attest.jwt
    rule = directory.JwtRule(told.issuer, tuple(sorted(told.claims.items()))) if told else None
    return directory.workload(
        environment, trust_domain, spec.business_unit, spec.name, user, jwt=rule, role=spec.role
    )


def _refuse_shared_issuers(spec: EnvironmentSpec) -> None:
    """A token would lead to two clusters or issuers, and neither can be preferred. Raises
    ConfigurationError.
    """
    for key, entries in (("clusters", spec.clusters), ("jwtIssuers", spec.jwt_issuers)):
        for what in ("name", "issuer"):
            for value, count in Counter(getattr(one, what) for one in entries).items():
                if count > 1:
                    raise ConfigurationError(
                        f"{count} {key} of the Environment have the {what} {value}; give each its own"
                    )


def _refuse_strangers(workloads: list[directory.Workload], units: dict[str, float]) -> None:
    """Two workloads of one name might have two users; neither can be preferred. Raises
    ConfigurationError.
    """
    for name, count in Counter(workload.name for workload in workloads).items():
        if count > 1:
            raise ConfigurationError(f"there are {count} Workloads {name}; leave one")
    for workload in workloads:
        if workload.business_unit not in units:
            raise ConfigurationError(
                f"Workload {workload.name} belongs to a BusinessUnit that is not declared; add it"
            )


def of_kind(documents: Iterable[Document[AnyModel]], kind: type[_Model]) -> list[_Model]:
    """The models of this kind."""
    return [document.model for document in documents if isinstance(document.model, kind)]

"""Names of the configuration that only the manifests can know: feature sets, and the workload itself.

Looked up by `featward sidecar validate` alone. A running sidecar goes on without them, because a manifest may
be there tomorrow, and it carries no reader of manifests.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from featward.errors import FeatwardError
from featward_sidecar.configuration import Configuration, Problem

__all__ = ["undeclared"]


def undeclared(configuration: Configuration) -> list[Problem]:
    """What the configuration names and no manifest declares. A file that can't be read declares nothing
    here; `featward check` says what is wrong with it. The operator is not asked what it has.
    """
    if configuration.agent.manifests is None:
        return []
    source = str(configuration.agent.manifests)
    problems = []
    try:
        for key, look_up in _names(configuration, configuration.agent.manifests):
            try:
                look_up()
            except FeatwardError as error:
                problems.append(Problem(source, key, str(error)))
    except FeatwardError as error:
        problems.append(Problem("configuration", "manifests", str(error)))
    return problems


def _names(
    configuration: Configuration, manifests: Path
) -> Iterator[tuple[str, Callable[[], object]]]:
    from featward.manifests.catalogue import Catalogue
    from featward.manifests.loading import load
    from featward.manifests.naming import feature_set_called, identity_called

    documents = load(manifests).documents
    if not documents:
        return  # a folder that is yet to be filled contradicts nothing
    catalogue = Catalogue(documents)
    yield "workload", partial(identity_called, catalogue, configuration.identity.workload)
    for each in configuration.outbound:
        key = f"outbound.{each.feature_set}"
        yield key, partial(feature_set_called, catalogue, each.feature_set)

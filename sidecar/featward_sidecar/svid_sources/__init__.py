"""Where an SVID comes from when it is not our CA that issues it: somebody else's Workload API, or files."""

from featward_sidecar.configuration import Identity
from featward_sidecar.errors import StartError
from featward_sidecar.svid_sources.keeper import SourceKeeper
from featward_sidecar.svid_sources.material import Source

__all__ = ["SourceKeeper", "address_of", "source_for"]


def address_of(told: Identity) -> str:
    """Where the identity comes from, as the status shows it."""
    if told.ca is not None:
        return told.ca
    return f"unix:{told.source_socket}" if told.source_socket else str(told.source_chain)


def source_for(told: Identity, expected: str) -> Source:
    """The source that the configuration names; each is imported only where it is used."""
    if told.source_socket is not None:
        from featward_sidecar.svid_sources.workload_api import WorkloadApiSource

        return WorkloadApiSource(told.source_socket, expected)
    from featward_sidecar.svid_sources.files import FilesSource

    chain, key, bundle = told.source_chain, told.source_key, told.source_bundle
    if chain is None or key is None or bundle is None:
        raise StartError("source is files, and not all of sourceFiles are given")
    return FilesSource(chain, key, bundle, expected.split("/")[2])

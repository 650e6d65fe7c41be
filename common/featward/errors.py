"""The errors that featward's shared code raises, in one small tree.

    FeatwardError                 anything below; its text is one sentence for a person
    ├── SpiffeIdError             a text is no SPIFFE ID or trust domain
    ├── FolderError               a folder of manifests can't be read at all
    ├── DoctorError               the doctor was given something that it can't work with
    └── CompileError              manifests hold errors that block a snapshot; carries the findings
        └── UnknownWorkloadError  they know no such workload, so there is nothing to compile for it

`featward.kubernetes.errors` has two more, of API servers. The command line prints all of them as
`error: <sentence>` without a traceback. What is wrong inside a manifest is not raised but reported as findings,
so that one run shows all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from featward.manifests.findings import Finding

__all__ = [
    "CompileError",
    "DoctorError",
    "FeatwardError",
    "FolderError",
    "SpiffeIdError",
    "UnknownWorkloadError",
]


class FeatwardError(Exception):
    """Base of featward's own errors; what went wrong and what to do, in one sentence."""


class SpiffeIdError(FeatwardError, ValueError):
    """A text breaks the SPIFFE ID or trust domain grammar; the sender or writer of it is at fault."""


class FolderError(FeatwardError):
    """The folder of manifests is missing or can't be listed; the caller named a wrong one."""


class DoctorError(FeatwardError):
    """A file, key or socket that `featward doctor` was told to use can't be used; a wrong one was named."""


class CompileError(FeatwardError):
    """No snapshot can be made; ``findings`` says why, and the last good one stays in use."""

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class UnknownWorkloadError(CompileError):
    """A snapshot was asked for on behalf of a workload that the manifests do not know of."""

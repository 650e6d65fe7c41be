"""`python -m featward.policy`: compiles one snapshot in a process of its own.

The sidecar's agent runs it, so that the models and the YAML reader leave no trace in a process that stays. It
writes the snapshot's bytes to standard output and the findings to standard error, one JSON object a line; a
failure that is no finding is an object with the one key `error`. Exit status 0 means that there is a snapshot,
1 that there is none, 2 a wrong command line.
"""

import argparse
import json
import sys

from featward.errors import CompileError, FeatwardError
from featward.identity.called import Called
from featward.identity.spiffe import SpiffeId
from featward.manifests.findings import Finding
from featward.manifests.loading import load
from featward.policy.compiler import Compiler

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Compile, write, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m featward.policy", description="Compile one policy snapshot."
    )
    parser.add_argument("--manifests", required=True, help="the folder of manifests")
    parser.add_argument(
        "--workload",
        required=True,
        help="whom it is for: a SPIFFE ID, prod.payments/feast or namespace/serviceaccount",
    )
    options = parser.parse_args(arguments)
    try:
        compiler = Compiler(load(options.manifests))
        compiled = compiler.compile(_identity(compiler, options.workload))
    except FeatwardError as error:
        _report(error.findings if isinstance(error, CompileError) else ())
        sys.stderr.write(json.dumps({"error": str(error)}) + "\n")
        return 1
    _report(compiled.findings)
    sys.stdout.buffer.write(compiled.snapshot_bytes)
    return 0


def _identity(compiler: Compiler, workload: str) -> SpiffeId:
    """The identity that is meant. Raises SpiffeIdError for what is no name of one, and CompileError for a
    workload that is not declared."""
    called = Called.parse(workload)
    if called.spiffe_id is not None:
        return called.spiffe_id
    catalogue = compiler.catalogue
    if called.is_workload:
        identity = catalogue.workload(called.owner, called.name)
        what, known = "Workload", sorted("/".join(key) for key in catalogue.workloads)
    else:
        identity = catalogue.service_account(called.owner, called.name)
        what, known = "Namespace of", sorted(catalogue.namespaces)
    if identity is None:
        listed = ", ".join(known) or "none"
        message = f"the manifests declare no {what} {workload!r}; they have {listed}"
        raise CompileError(message, compiler.findings)
    return identity


def _report(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        sys.stderr.write(json.dumps(finding.as_json()) + "\n")


if __name__ == "__main__":
    sys.exit(main())

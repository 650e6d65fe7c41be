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
        "--workload", required=True, help="whom it is for: a SPIFFE ID, or prod.payments/feast"
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
    """The identity that is meant. Raises CompileError for a workload that is not declared."""
    if workload.startswith("spiffe://"):
        return SpiffeId.parse(workload)
    business_unit, _, name = workload.partition("/")
    identity = compiler.catalogue.workload(business_unit, name)
    if identity is None:
        known = ", ".join(sorted("/".join(key) for key in compiler.catalogue.workloads))
        message = f"the manifests declare no Workload {workload!r}; they have {known or 'none'}"
        raise CompileError(message, compiler.findings)
    return identity


def _report(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        sys.stderr.write(json.dumps(finding.as_json()) + "\n")


if __name__ == "__main__":
    sys.exit(main())

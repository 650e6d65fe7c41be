"""What several commands ask for, and how they run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer
import yaml

from featward.cli.console import errors, fail

if TYPE_CHECKING:
    from featward.kubectl.cluster import Cluster

__all__ = ["KubeconfigOption", "NamespaceOption", "context_namespace", "place_of", "run"]

T = TypeVar("T")

NamespaceOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="The namespace; without it your context's."),
]
KubeconfigOption: TypeAlias = Annotated[
    str | None,
    typer.Option(help="The kubeconfig; without it $KUBECONFIG, then ~/.kube/config."),
]
# Where `kubectl` looks, too.
_DEFAULT = "~/.kube/config"


def run(work: Callable[[Cluster], Awaitable[T]], kubeconfig: str | None) -> T:
    """Do something with the cluster, as the user. What could not be read on the way is said at the end.

    Raises LoginError and ApiError.
    """
    return asyncio.run(_run(work, kubeconfig))


async def _run(work: Callable[[Cluster], Awaitable[T]], kubeconfig: str | None) -> T:
    from featward.kubectl.cluster import Cluster
    from featward.kubernetes.gateway import Gateway

    agent = f"kubectl-featward/{version('featward')}"
    async with await Gateway.open(kubeconfig, agent=agent) as gateway:
        cluster = Cluster(gateway)
        try:
            return await work(cluster)
        finally:
            for sentence in cluster.unread:
                errors.print(f"note: {sentence}", markup=False)


def context_namespace(kubeconfig: str | None) -> str:
    """The namespace of the current context: of the first file that names one, as kubectl reads them."""
    told = kubeconfig or os.environ.get("KUBECONFIG") or _DEFAULT
    read = [_read(Path(one).expanduser()) for one in told.split(os.pathsep) if one]
    current = next((one["current-context"] for one in read if one.get("current-context")), None)
    for one in read:
        for context in one.get("contexts") or ():
            if context.get("name") == current:
                return str((context.get("context") or {}).get("namespace") or "default")
    return "default"


def place_of(pod: str, namespace: str | None, kubeconfig: str | None) -> tuple[str, str]:
    """Namespace and name of a pod that is given as either."""
    inside, slash, name = pod.partition("/")
    if slash and namespace and namespace != inside:
        fail(f"the pod is {pod!r} and the namespace {namespace!r}: give one namespace")
    return (inside, name) if slash else (namespace or context_namespace(kubeconfig), pod)


def _read(file: Path) -> dict[str, Any]:
    """A kubeconfig; empty where it can't be read, which whoever logs in with it says better."""
    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}

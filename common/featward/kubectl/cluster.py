"""What a user may read of a cluster, and what they may not, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from featward.errors import FeatwardError
from featward.kubernetes.errors import ApiError
from featward.kubernetes.resource import (
    DOCUMENTS,
    NAMESPACES,
    PODS,
    Resource,
)
from featward.manifests.document import Document
from featward.manifests.labels import is_ours
from featward.manifests.objects import document_of
from featward.policy.index import PolicyIndex

if TYPE_CHECKING:
    from featward.kubernetes.gateway import Gateway

__all__ = ["Cluster", "index_of"]

_PAGE = 250
_LIST_SECONDS = 30.0


class Cluster:
    """The API server as its user sees it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.unread: list[str] = []
        """What could not be read though an answer may depend on it, a sentence each."""

    async def listed(self, resource: Resource, namespace: str | None = None) -> list[Any]:
        """All objects of a kind, in a namespace or everywhere. Raises ApiError."""
        found: list[Any] = []
        more = ""
        while True:
            query = [("limit", str(_PAGE)), *([("continue", more)] if more else [])]
            path = resource.path(namespace)
            answer = await self.gateway.ask("GET", path, query=query, seconds=_LIST_SECONDS)
            for one in answer.get("items") or ():
                one.setdefault("apiVersion", answer.get("apiVersion"))
                one.setdefault("kind", str(answer.get("kind") or "").removesuffix("List"))
                found.append(one)
            more = answer["metadata"].get("continue") or ""
            if not more:
                return found

    async def readable(self, resource: Resource, namespace: str) -> list[Any]:
        """All objects of a kind that the user may read: everywhere, else in a namespace. Raises ApiError for
        anything but a no.
        """
        try:
            return await self.listed(resource)
        except ApiError as error:
            if error.status != 403:
                raise
        where = f"in {namespace}"
        try:
            if resource == NAMESPACES:
                return [await self.one(NAMESPACES, "", namespace)]
            if resource.namespaced:
                found = await self.listed(resource, namespace)
                self.unread.append(
                    f"you may list {resource} {where} only: what is elsewhere is left out"
                )
                return found
        except ApiError as error:
            if error.status not in (403, 404):
                raise
        self.unread.append(f"you may not list {resource}: what depends on them is left out")
        return []

    async def one(self, resource: Resource, namespace: str, name: str) -> Any:
        """One object, with its kind. Raises ApiError."""
        return await self.gateway.ask("GET", resource.path(namespace or None, name))

    async def pod(self, namespace: str, name: str) -> Any:
        """A pod. Raises FeatwardError when there is none, and ApiError."""
        try:
            return await self.one(PODS, namespace, name)
        except ApiError as error:
            if error.status != 404:
                raise
        raise FeatwardError(
            f"there is no pod {name} in the namespace {namespace}: name one of `kubectl get pods -n"
            f" {namespace}`, or give its namespace with -n"
        )

    async def index(self, namespace: str, kinds: Iterable[str] = DOCUMENTS) -> PolicyIndex:
        """All documents of these kinds that the user may read. Raises FeatwardError where no Environment is
        among them, and ApiError.
        """
        objects = [await self.readable(DOCUMENTS[kind], namespace) for kind in kinds]
        index = index_of(raw for kind in objects for raw in kind)
        if not index.catalogue.environments:
            raise FeatwardError(
                "no Environment can be read in this cluster: have one made, and the role to list"
                " environments.featward.dev"
            )
        return index


def index_of(objects: Iterable[Mapping[str, Any]]) -> PolicyIndex:
    """The documents of these objects, as the operator reads them."""
    index = PolicyIndex()
    for raw in objects:
        found = document_of(_ours(raw))
        metadata = raw["metadata"]
        if isinstance(found, Document):
            index.put(found)
        else:
            index.refuse(raw["kind"], metadata.get("namespace"), metadata["name"], found)
    return index


def _ours(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Without the labels and annotations of others, which are nothing to us."""
    metadata = dict(raw["metadata"])
    for group in ("labels", "annotations"):
        given = metadata.pop(group, None) or {}
        if kept := {key: value for key, value in given.items() if is_ours(key.partition("/")[0])}:
            metadata[group] = kept
    return {**raw, "metadata": metadata}

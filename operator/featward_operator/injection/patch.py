"""From what is ours to JSON patch: only what is missing is added, and only what is ours is replaced.

What is there may hold more than we wrote, since the API server fills in defaults and other injectors add to
every container: as long as all of ours is in it, it stays. So a second pass over a pod answers nothing.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from featward_operator.injection.facts import RawPod, items
from featward_operator.injection.names import CONTAINER, SOCKET_VARIABLE, STATUS
from featward_operator.injection.render import Rendered

__all__ = ["Operation", "patch"]

Operation: TypeAlias = dict[str, Any]
_ADDRESS = re.compile(r"http://127\.0\.0\.1:[0-9]{1,5}")


def patch(pod: RawPod, rendered: Rendered) -> list[Operation]:
    """The operations, in their order; none where all of it is there."""
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    status = (metadata.get("annotations") or {}).get(STATUS)
    older = status not in (None, rendered.annotations[STATUS])
    found = [
        *_entries(metadata, "labels", rendered.labels),
        *_entries(metadata, "annotations", rendered.annotations),
        *_volumes(spec, rendered),
    ]
    for group in ("containers", "initContainers"):
        for index, container in enumerate(items(spec, group)):
            if container.get("name") != CONTAINER:
                path = f"/spec/{group}/{index}"
                found += _app(path, container, rendered, older)
    # Last, as it moves the others.
    return [*found, *_sidecar(spec, rendered.container)]


def _entries(
    metadata: Mapping[str, Any], group: str, wanted: Mapping[str, str]
) -> Iterator[Operation]:
    given = metadata.get(group)
    if given is None:
        yield _add(f"/metadata/{group}", dict(wanted))
        return
    for key, value in wanted.items():
        if given.get(key) != value:
            # "add" replaces what a map has already.
            yield _add(f"/metadata/{group}/{_escaped(key)}", value)


def _volumes(spec: Mapping[str, Any], rendered: Rendered) -> Iterator[Operation]:
    given = {volume.get("name"): index for index, volume in enumerate(items(spec, "volumes"))}
    missing = []
    for volume in rendered.volumes:
        index = given.get(volume["name"])
        if index is None:
            missing.append(volume)
        elif not _holds(items(spec, "volumes")[index], volume):
            yield {"op": "replace", "path": f"/spec/volumes/{index}", "value": volume}
    yield from _appended("/spec", spec, "volumes", missing)


def _app(
    path: str, container: Mapping[str, Any], rendered: Rendered, older: bool
) -> Iterator[Operation]:
    given = {one.get("name"): index for index, one in enumerate(items(container, "env"))}
    missing = []
    for name, value in rendered.env:
        index = given.get(name)
        if index is None:
            missing.append({"name": name, "value": value})
        elif older and _is_ours(name, items(container, "env")[index], value):
            yield {"op": "replace", "path": f"{path}/env/{index}/value", "value": value}
    yield from _appended(path, container, "env", missing)
    mounted = {one.get("name") for one in items(container, "volumeMounts")}
    mounts = [dict(mount) for mount in rendered.mounts if mount["name"] not in mounted]
    yield from _appended(path, container, "volumeMounts", mounts)


def _is_ours(name: str, given: Mapping[str, Any], value: str) -> bool:
    """Whether an older one of us wrote its address there. What the app's owner wrote is the owner's."""
    text = given.get("value", "")
    return name != SOCKET_VARIABLE and text != value and bool(_ADDRESS.fullmatch(text))


def _sidecar(spec: Mapping[str, Any], container: dict[str, Any]) -> Iterator[Operation]:
    for index, given in enumerate(items(spec, "initContainers")):
        if given.get("name") == CONTAINER:
            if not _holds(given, container):
                path = f"/spec/initContainers/{index}"
                yield {"op": "replace", "path": path, "value": container}
            return
    if spec.get("initContainers") is None:
        yield _add("/spec/initContainers", [container])
    else:
        yield _add("/spec/initContainers/0", container)


def _appended(
    path: str, owner: Mapping[str, Any], key: str, missing: list[dict[str, Any]]
) -> Iterator[Operation]:
    if missing and owner.get(key) is None:
        yield _add(f"{path}/{key}", missing)
        return
    for one in missing:
        yield _add(f"{path}/{key}/-", one)


def _holds(given: object, wanted: object) -> bool:
    """Whether all that is wanted is in what is given."""
    if isinstance(wanted, Mapping):
        return isinstance(given, Mapping) and all(
            key in given and _holds(given[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list) and isinstance(given, list) and _are_named(wanted):
        by_name = {_name(one): one for one in given}
        return all(_holds(by_name.get(_name(one)), one) for one in wanted)
    if isinstance(wanted, list):
        return (
            isinstance(given, list)
            and len(given) == len(wanted)
            and all(map(_holds, given, wanted))
        )
    return given == wanted


def _are_named(entries: list[Any]) -> bool:
    return all(isinstance(one, Mapping) and "name" in one for one in entries)


def _name(entry: Any) -> object:
    return entry.get("name") if isinstance(entry, Mapping) else None


def _add(path: str, value: object) -> Operation:
    return {"op": "add", "path": path, "value": value}


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
